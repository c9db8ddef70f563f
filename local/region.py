"""One region of a local run: its addresses, clients and tokens."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from local.services import task_name


class TokenError(RuntimeError):
    """The API gave no token; the message holds its answer."""


@dataclass(kw_only=True)
class Region:
    """What one region listens on, and what it told."""

    name: str
    gateway: int
    vault: int
    cache: int
    """Port of its cache, where one is declared."""
    ca: Path | None = None
    """Certificate of the authority that vouches for the gateway; None: the gateway speaks plain HTTP."""
    ports: dict[str, list[int]] = field(default_factory=dict)
    """Of each container, one a task."""
    clients: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def api(self) -> str:
        """Base URL of its gateway."""
        return f"{'http' if self.ca is None else 'https'}://127.0.0.1:{self.gateway}"

    @property
    def vault_url(self) -> str:
        """Base URL of its Vault."""
        return f"http://127.0.0.1:{self.vault}"

    @property
    def targets(self) -> dict[str, list[str]]:
        """Container name → base URLs."""
        return {name: [f"http://127.0.0.1:{port}" for port in ports] for name, ports in self.ports.items()}

    @property
    def services(self) -> dict[str, str]:
        """Program name → base URL."""
        return {task_name(name, n): url for name, urls in self.targets.items() for n, url in enumerate(urls)}

    async def get_tokens(self) -> int:
        """Get a token for each role's client by the way every client takes.

        :returns: how many seconds they last.
        :raises TokenError: the API does not give one.
        """
        lifetime = 0
        verify = True if self.ca is None else ssl.create_default_context(cafile=self.ca)
        async with httpx.AsyncClient(base_url=self.api, timeout=30, trust_env=False, verify=verify) as client:
            for role, credentials in self.clients.items():
                try:
                    response = await client.post("/v1/auth/token", json={"grant": "approle", **credentials})
                except httpx.TransportError as error:
                    raise TokenError(f"POST {self.api}/v1/auth/token: no answer: {error!r}") from error
                if response.is_error:
                    said = f"{response.status_code} {response.text[:300]}"
                    raise TokenError(f"POST {self.api}/v1/auth/token gave no token for the {role}: {said}")
                answer = response.json()
                self.tokens[role], lifetime = str(answer["access_token"]), int(answer["expires_in"])
        return lifetime

    def document(self) -> dict[str, Any]:
        """Its part of ``local.json``."""
        return {
            "region": self.name,
            "api": self.api,
            "services": self.services,
            "tokens": self.tokens,
            "clients": self.clients,
            "vault": self.vault_url,
        }
