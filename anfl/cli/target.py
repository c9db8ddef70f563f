"""Where a command goes and with which token: options, environment variables, ``anfl login``, ``.anfl/local.json``."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anfl.cli.errors import CliError
from anfl.client import Client
from anfl.resources import Service

ENDPOINT_VARIABLE = "ANFL_ENDPOINT"
INGEST_VARIABLE = "ANFL_INGEST"
"""Base URL of the path for large requests (``https://ingest.lib.aeonova.com``): API Gateway ends at 10 MB."""
TOKEN_VARIABLE = "ANFL_TOKEN"  # noqa: S105 - the name of a variable
DEFAULT_ROLE = "admin"


@dataclass(frozen=True, kw_only=True)
class Target:
    """An endpoint and the token to use there."""

    endpoint: str
    token: str | None
    ingest: str | None = None
    """Base URL for artefacts too large for the gateway; None where none is known."""

    def connect(self) -> Client:
        """A client for it; use as a context manager."""
        return Client(self.endpoint, token=self.token)


def local_state(directory: Path | None = None) -> dict[str, Any] | None:
    """What a running ``anfl up`` wrote: ``.anfl/local.json`` here or in a folder above; None where there is none."""
    start = directory or Path.cwd()
    for folder in (start, *start.parents):
        path = folder / ".anfl" / "local.json"
        if path.is_file():
            try:
                state = json.loads(path.read_text())
            except ValueError as error:
                raise CliError(f"{path} is damaged ({error}); stop with 'anfl down' and start again.") from error
            if isinstance(state, dict):
                return state
    return None


def credentials_file() -> Path:
    """Where ``anfl login`` keeps tokens: ``$XDG_CONFIG_HOME/anfl/credentials.json``, mode 0600."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "anfl" / "credentials.json"


def saved_tokens() -> dict[str, str]:
    """Endpoint → token of earlier logins."""
    try:
        tokens = json.loads(credentials_file().read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise CliError(f"{credentials_file()} is damaged ({error}); remove it and log in again.") from error
    return {str(endpoint): str(token) for endpoint, token in tokens.items()}


def save_token(endpoint: str, token: str) -> Path:
    """Keep ``token`` for ``endpoint``; the file is replaced at once and never readable by others."""
    path = credentials_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(saved_tokens() | {endpoint: token}, file)
    draft.replace(path)
    return path


def resolve(endpoint: str | None, token: str | None, *, role: str = DEFAULT_ROLE) -> Target:
    """Decide where to go.

    An endpoint named by option or ``ANFL_ENDPOINT`` wins over a local run; a token named by option or ``ANFL_TOKEN``
    wins over a saved one. A local run offers a token for each role; ``role`` chooses.

    :raises CliError: no endpoint is known, or the local run has no such role.
    """
    endpoint = endpoint or os.environ.get(ENDPOINT_VARIABLE)
    token = token or os.environ.get(TOKEN_VARIABLE)
    local = local_state()
    if endpoint is None:
        if local is None:
            raise CliError(
                f"No endpoint: start one here with 'make run', or name one with --endpoint or {ENDPOINT_VARIABLE}."
            )
        endpoint = str(local["api"])
    endpoint = endpoint.rstrip("/")
    ingest = os.environ.get(INGEST_VARIABLE)
    if local is not None and endpoint == str(local["api"]).rstrip("/"):
        ingest = ingest or local["services"][Service.MODEL_REGISTRY]
        tokens = local["tokens"]
        if token is None and role not in tokens:
            raise CliError(f"The local run has no role {role!r}; it has {', '.join(sorted(tokens))}.", exit_code=2)
        token = token or tokens[role]
    return Target(endpoint=endpoint, token=token or saved_tokens().get(endpoint), ingest=ingest)
