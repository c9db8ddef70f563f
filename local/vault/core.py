"""The server's heart: mounts, seal, token and policy checks, dispatch to a mount's routes."""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from local.vault.acl import Acl, Rule, parse
from local.vault.api import (
    INVALID_TOKEN,
    MISSING_TOKEN,
    Backend,
    Operation,
    Reply,
    Request,
    Route,
    VaultError,
    denied,
    invalid,
)
from local.vault.cidrs import admit
from local.vault.seal import Seal
from local.vault.tokens import Token, TokenParams, TokenStore, new_id

DEFAULT_POLICY = """
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
path "sys/capabilities-self" { capabilities = ["update"] }
path "sys/leases/renew" { capabilities = ["update"] }
path "sys/leases/lookup" { capabilities = ["update"] }
path "cubbyhole/*" { capabilities = ["create", "read", "update", "delete", "list"] }
path "sys/wrapping/wrap" { capabilities = ["update"] }
path "sys/wrapping/lookup" { capabilities = ["update"] }
path "sys/wrapping/unwrap" { capabilities = ["update"] }
"""


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A backend at a path that ends in a slash."""

    path: str
    backend: Backend
    description: str = ""
    accessor: str = field(default_factory=new_id)
    uuid: str = field(default_factory=new_id)
    options: Mapping[str, str] | None = None
    config: dict[str, Any] = field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        """As ``sys/mounts`` and ``sys/auth`` list it."""
        return {
            "type": self.backend.type_name,
            "description": self.description,
            "accessor": f"{self.backend.type_name}_{self.accessor[:8]}",
            "uuid": self.uuid,
            "config": {"default_lease_ttl": 0, "max_lease_ttl": 0, "force_no_cache": False, **self.config},
            "local": False,
            "seal_wrap": False,
            "external_entropy_access": False,
            "options": dict(self.options) if self.options is not None else None,
        }


class Core:
    """All state of one server."""

    def __init__(self, *, clock: Callable[[], float] = time.time, auto_unseal: bool = False) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.seal = Seal(auto=auto_unseal)
        self.tokens = TokenStore(clock=clock)
        self.mounts: dict[str, Mount] = {}
        self.policies: dict[str, tuple[str, tuple[Rule, ...]]] = {"default": (DEFAULT_POLICY, parse(DEFAULT_POLICY))}

    def mount(self, mount: Mount) -> None:
        """Put a backend at its path.

        :raises VaultError: 400 where that path, one above or one below is taken.
        """
        for path in self.mounts:
            if path.startswith(mount.path) or mount.path.startswith(path):
                raise invalid(f"path is already in use at {path}")
        self.mounts[mount.path] = mount

    def unmount(self, path: str) -> None:
        """Remove a mount and revoke what logged in through it; absent is fine."""
        if self.mounts.pop(path, None) is not None and path.startswith("auth/"):
            self.tokens.clear_mount(path)

    def acl(self, token: Token) -> Acl:
        """What the token may do, by its policies as they are now; an unknown policy grants nothing."""
        named = [self.policies[name][1] for name in token.policies if name in self.policies]
        return Acl(named, root="root" in token.policies)

    def login(
        self, *, sender: str, mount: str, display_name: str, params: TokenParams, metadata: Mapping[str, str]
    ) -> Reply:
        """The reply of a successful login below the auth mount ``mount`` (``auth/<path>/``)."""
        if not admit(sender, params.bound_cidrs):
            raise denied()
        if "root" in params.policies:
            raise invalid("auth methods cannot create root tokens")
        with self.lock:
            token = self.tokens.create(path=f"{mount}login", display_name=display_name, params=params, meta=metadata)
            return Reply(auth=token.auth(), warnings=token.warnings)

    def handle(
        self,
        operation: Operation,
        path: str,
        data: Mapping[str, Any],
        token_id: str | None,
        *,
        sender: str = "127.0.0.1",
    ) -> Reply | None:
        """Answer one request.

        :param sender: its IP address.
        :raises VaultError: for every answer that is no success.
        """
        with self.lock:
            found = self._route(operation, path)
            if self.seal.sealed and not (found and found[0].while_sealed):
                raise VaultError(503, "Vault is sealed")
            token = None
            if not (found and found[0].public):
                token = self._authenticate(token_id, sender)
            try:
                if token is not None:
                    self._authorise(token, operation, path, data, found)
                return self._dispatch(operation, path, data, token, found, sender)
            finally:
                if token is not None:
                    self.tokens.settle(token)

    def _authenticate(self, token_id: str | None, sender: str) -> Token:
        if not token_id:
            raise denied(MISSING_TOKEN)
        token = self.tokens.find(token_id)
        if token is None:
            raise denied(INVALID_TOKEN)
        if not admit(sender, token.bound_cidrs):
            raise denied()
        self.tokens.use(token)
        return token

    def _authorise(
        self,
        token: Token,
        operation: Operation,
        path: str,
        data: Mapping[str, Any],
        found: "tuple[Route, Request] | None",
    ) -> None:
        needed, sudo = operation, False
        if found is not None:
            route, request = found
            sudo = route.sudo
            if operation is Operation.UPDATE and route.exists is not None and not route.exists(request):
                needed = Operation.CREATE
        if not self.acl(token).allows(needed, path, data, sudo=sudo):
            raise denied()

    def _route(self, operation: Operation, path: str) -> "tuple[Route, Request] | None":
        mount = self._mount_of(path)
        if mount is None:
            return None
        rest = path[len(mount.path) :]
        for route in mount.backend.routes:
            match = route.pattern.fullmatch(rest)
            if match is not None:
                return route, Request(operation=operation, path=path, data={}, params=match.groupdict())
        return None

    def _mount_of(self, path: str) -> Mount | None:
        return next((mount for prefix, mount in self.mounts.items() if path.startswith(prefix)), None)

    def _dispatch(
        self,
        operation: Operation,
        path: str,
        data: Mapping[str, Any],
        token: Token | None,
        found: "tuple[Route, Request] | None",
        sender: str,
    ) -> Reply | None:
        if found is None:
            if self._mount_of(path) is None:
                raise VaultError(404, f'no handler for route "{path}". route entry not found.')
            raise VaultError(404, "unsupported path")
        route, request = found
        handler = route.operations.get(operation)
        if handler is None:
            raise VaultError(405, "unsupported operation")
        whole = Request(operation=operation, path=path, data=data, token=token, sender=sender, params=request.params)
        # A login that waits for another system must not stop everyone else; public ones own no token to settle.
        with _released(self.lock) if route.slow and route.public else nullcontext():
            return handler(whole)


class _released:  # noqa: N801 - reads as a verb in `with`
    """Gives a lock held once back for the length of a block."""

    def __init__(self, lock: Any) -> None:  # noqa: ANN401 - RLock has no public type on 3.11
        self._lock = lock

    def __enter__(self) -> None:
        self._lock.release()

    def __exit__(self, *_: object) -> None:
        self._lock.acquire()
