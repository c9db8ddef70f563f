"""``sys/``: health, initialisation, seal, mounts, auth methods, policies, capabilities."""

import base64
from collections.abc import Callable, Mapping
from typing import Any

from local.vault.acl import parse
from local.vault.api import Backend, Handler, Operation, Reply, Request, Route, absent, invalid
from local.vault.cluster import cluster_routes
from local.vault.core import Core, Mount
from local.vault.fields import boolean, integer, mapping, parse_duration, strings, text
from local.vault.tokens import DEFAULT_TTL, MAX_TTL, Token

VERSION = "1.16.3"
_CLUSTER = {"cluster_name": "vault-cluster-dev", "cluster_id": "00000000-0000-0000-0000-000000000000"}
READ, UPDATE, LIST, DELETE = Operation.READ, Operation.UPDATE, Operation.LIST, Operation.DELETE
Factory = Callable[[str], Backend]
"""Builds the backend for a mount path."""


class SystemBackend(Backend):
    """Always mounted at ``sys/``."""

    type_name = "system"

    def __init__(self, core: Core, *, engines: Mapping[str, Factory], methods: Mapping[str, Factory]) -> None:
        """:param engines: secrets engines by type; ``methods``: auth methods by type."""
        self._core = core
        self._engines = engines
        self._methods = methods
        policy = {READ: self._read_policy, UPDATE: self._write_policy, DELETE: self._delete_policy}
        self.routes = (
            _opening("health", {READ: self._health}),
            _opening("init", {READ: self._initialised, UPDATE: self._initialise}),
            _opening("seal-status", {READ: self._seal_status}),
            _opening("unseal", {UPDATE: self._unseal}),
            _opening("leader", {READ: self._leader}),
            Route(path="seal", operations={UPDATE: self._seal}, sudo=True),
            Route(path="mounts", operations={READ: self._mounts}),
            Route(path="mounts/{path:path}/tune", operations={READ: self._tuned, UPDATE: self._tune}),
            Route(
                path="mounts/{path:path}",
                operations={READ: self._read_mount, UPDATE: self._mount, DELETE: self._unmount},
            ),
            Route(path="auth", operations={READ: self._auths}),
            Route(path="auth/{path:path}/tune", operations={READ: self._tuned, UPDATE: self._tune}, sudo=True),
            Route(
                path="auth/{path:path}",
                operations={READ: self._read_mount, UPDATE: self._enable, DELETE: self._unmount},
                sudo=True,
            ),
            Route(path="policies/acl", operations={LIST: self._list_policies}),
            Route(path="policies/acl/", operations={LIST: self._list_policies}),
            Route(path="policies/acl/{name:path}", operations=policy),
            Route(path="policy", operations={READ: self._list_policies, LIST: self._list_policies}),
            Route(path="policy/{name:path}", operations=policy),
            Route(path="capabilities-self", operations={UPDATE: self._capabilities_self}),
            Route(path="capabilities", operations={UPDATE: self._capabilities}),
            Route(path="capabilities-accessor", operations={UPDATE: self._capabilities_accessor}),
            *cluster_routes(),
        )

    def _health(self, request: Request) -> Reply:
        seal = self._core.seal
        state, status = ("uninit", 501) if not seal.initialised else ("sealed", 503) if seal.sealed else ("active", 200)
        body = {
            "initialized": seal.initialised,
            "sealed": seal.sealed,
            "standby": False,
            "performance_standby": False,
            "replication_performance_mode": "disabled",
            "replication_dr_mode": "disabled",
            "server_time_utc": int(self._core.clock()),
            "version": VERSION,
            "enterprise": False,
        }
        if not seal.sealed:
            body |= _CLUSTER
        return Reply(data=body, raw=True, status=integer(request.data, f"{state}code", status))

    def _initialised(self, _request: Request) -> Reply:
        return Reply(data={"initialized": self._core.seal.initialised}, raw=True)

    def _initialise(self, request: Request) -> Reply:
        if self._core.seal.initialised:
            raise invalid("Vault is already initialized")
        auto = self._core.seal.auto
        kind = "recovery" if auto else "secret"
        shares = integer(request.data, f"{kind}_shares", 5)
        threshold = integer(request.data, f"{kind}_threshold", 3)
        if auto and {"secret_shares", "secret_threshold"} & request.data.keys():
            raise invalid("parameters secret_shares,secret_threshold not applicable to seal type awskms")
        if not 1 <= threshold <= shares <= 255 or (threshold == 1) != (shares == 1):
            raise invalid(
                f"invalid seal configuration: {kind}_threshold must be between 2 and {kind}_shares, or both 1"
            )
        keys = self._core.seal.initialise(shares=shares, threshold=threshold)
        prefix = "recovery_" if auto else ""
        told = {
            f"{prefix}keys": [key.hex() for key in keys],
            f"{prefix}keys_base64": [base64.b64encode(key).decode() for key in keys],
            "root_token": self._core.tokens.create_root().id,
        }
        return Reply(data={"keys": [], "keys_base64": []} | told, raw=True)

    def _seal_status(self, _request: Request) -> Reply:
        seal = self._core.seal
        body: dict[str, Any] = {
            "type": "awskms" if seal.auto else "shamir",
            "initialized": seal.initialised,
            "sealed": seal.sealed,
            "t": seal.threshold,
            "n": len(seal.shares),
            "progress": seal.progress,
            "nonce": "",
            "version": VERSION,
            "migration": False,
            "recovery_seal": seal.auto,
            "storage_type": "inmem",
        }
        return Reply(data=body if seal.sealed else body | _CLUSTER, raw=True)

    def _unseal(self, request: Request) -> Reply:
        seal = self._core.seal
        if not seal.initialised:
            raise invalid("Vault is not initialized")
        if boolean(request.data, "reset"):
            seal.reset()
        elif seal.sealed and not seal.offer(_share(text(request.data, "key"))):
            raise invalid("failed to decrypt encrypted stored keys: cipher: message authentication failed")
        return self._seal_status(request)

    def _seal(self, _request: Request) -> None:
        self._core.seal.close()

    def _leader(self, _request: Request) -> Reply:
        return Reply(data={"ha_enabled": False, "is_self": False, "leader_address": ""}, raw=True)

    def _mounts(self, _request: Request) -> Reply:
        return Reply(data={p: m.shown() for p, m in self._core.mounts.items() if not p.startswith("auth/")}, flat=True)

    def _auths(self, _request: Request) -> Reply:
        mounts = self._core.mounts.items()
        return Reply(data={p.removeprefix("auth/"): m.shown() for p, m in mounts if p.startswith("auth/")}, flat=True)

    def _read_mount(self, request: Request) -> Reply:
        return Reply(data=self._named(request).shown(), flat=True)

    def _named(self, request: Request) -> Mount:
        prefix = "auth/" if request.path.startswith("sys/auth/") else ""
        mount = self._core.mounts.get(f"{prefix}{request.params['path'].strip('/')}/")
        if mount is None:
            raise invalid(f"No {'auth' if prefix else 'secret'} engine at {request.params['path']}/")
        return mount

    def _mount(self, request: Request) -> None:
        path = f"{request.params['path'].strip('/')}/"
        if path.startswith(("sys/", "auth/", "cubbyhole/", "identity/")):
            raise invalid(f"cannot mount {path!r}")
        self._add(request, path, self._engines)

    def _enable(self, request: Request) -> None:
        self._add(request, f"auth/{request.params['path'].strip('/')}/", self._methods)

    def _add(self, request: Request, path: str, factories: Mapping[str, Factory]) -> None:
        kind = text(request.data, "type")
        factory = factories.get(kind)
        if factory is None:
            raise invalid(f'plugin not found in the catalog: "{kind}"')
        self._core.mount(
            Mount(
                path=path,
                backend=factory(path),
                description=text(request.data, "description"),
                options=mapping(request.data, "options") or None,
                config=_lease_config(mapping(request.data, "config")),
            )
        )

    def _unmount(self, request: Request) -> None:
        prefix = "auth/" if request.path.startswith("sys/auth/") else ""
        path = f"{prefix}{request.params['path'].strip('/')}/"
        if path in {"sys/", "auth/token/"}:
            raise invalid(f"cannot unmount {path!r}")
        self._core.unmount(path)

    def _tuned(self, request: Request) -> Reply:
        config = self._named(request).shown()["config"]
        config["default_lease_ttl"] = config["default_lease_ttl"] or DEFAULT_TTL
        config["max_lease_ttl"] = config["max_lease_ttl"] or MAX_TTL
        return Reply(data=config, flat=True)

    def _tune(self, request: Request) -> None:
        self._named(request).config.update(_lease_config(request.data))

    def _list_policies(self, request: Request) -> Reply:
        names = sorted({*self._core.policies, "root"})
        return Reply(data={"keys": names} | ({"policies": names} if "policies" not in request.path else {}), flat=True)

    def _read_policy(self, request: Request) -> Reply:
        name = request.params["name"].lower()
        if name not in self._core.policies and name != "root":
            raise absent()
        body = self._core.policies[name][0] if name != "root" else ""
        return Reply(data={"name": name, "policy" if "policies/" in request.path else "rules": body}, flat=True)

    def _write_policy(self, request: Request) -> Reply | None:
        given = request.params["name"]
        name = given.lower()
        if name in {"root", "response-wrapping"}:
            raise invalid(f"cannot update {name!r} policy")
        body = text(request.data, "policy") or text(request.data, "rules")
        if not body:
            raise invalid("'policy' parameter not supplied or empty")
        body = _from_base64(body)
        self._core.policies[name] = (body, parse(body))
        if name != given:
            return Reply(warnings=(f"policy name was converted to lower case: {name}",))
        return None

    def _delete_policy(self, request: Request) -> None:
        name = request.params["name"].lower()
        if name in {"root", "default", "response-wrapping"}:
            raise invalid(f"cannot delete {name!r} policy")
        self._core.policies.pop(name, None)

    def _capabilities_self(self, request: Request) -> Reply:
        return self._tell(request, request.token)

    def _capabilities(self, request: Request) -> Reply:
        return self._tell(request, self._core.tokens.find(text(request.data, "token")))

    def _capabilities_accessor(self, request: Request) -> Reply:
        return self._tell(request, self._core.tokens.find_by_accessor(text(request.data, "accessor")))

    def _tell(self, request: Request, token: Token | None) -> Reply:
        paths = strings(request.data, "paths") or strings(request.data, "path")
        if not paths:
            raise invalid("paths must be supplied")
        if token is None:
            raise invalid("invalid token")
        acl = self._core.acl(token)
        found: dict[str, Any] = {path: acl.capabilities(path.removeprefix("/")) for path in paths}
        if len(paths) == 1:
            found["capabilities"] = found[paths[0]]
        return Reply(data=found, flat=True)


def _opening(path: str, operations: Mapping[Operation, Handler]) -> Route:
    """A path that answers while sealed, to anyone."""
    return Route(path=path, operations=operations, public=True, while_sealed=True)


def _lease_config(given: Mapping[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for name in ("default_lease_ttl", "max_lease_ttl"):
        if given.get(name):
            ttl = parse_duration(given[name])
            if ttl is None:
                raise invalid(f"field validation failed: {name} is no duration")
            config[name] = ttl
    return config


def _share(given: str) -> bytes:
    if not given:
        raise invalid("'key' must be specified in request body as JSON, or 'reset' set to true")
    try:
        return bytes.fromhex(given)
    except ValueError:
        pass
    try:
        return base64.b64decode(given, validate=True)
    except ValueError:
        raise invalid("'key' must be a valid hex or base64 string") from None


def _from_base64(body: str) -> str:
    """The policy's text; it may be given as base64."""
    try:
        return base64.b64decode(body, validate=True).decode()
    except ValueError:  # also where it is no UTF-8
        return body
