"""The AppRole method: a role id and a secret id, for people's tools and machines outside AWS."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from local.vault.api import Backend, Operation, Reply, Request, Route, absent, invalid
from local.vault.cidrs import admit, check_within, cidrs
from local.vault.core import Core
from local.vault.fields import Data, boolean, integer, mapping, seconds, text
from local.vault.tokens import TokenParams, new_id, timestamp

READ, UPDATE, LIST, DELETE = Operation.READ, Operation.UPDATE, Operation.LIST, Operation.DELETE
_REFUSED = "invalid role or secret ID"


@dataclass(kw_only=True)
class SecretId:
    """One secret id of a role."""

    accessor: str
    created: float
    ttl: int
    uses: int
    """Logins left; 0 is unlimited."""
    metadata: Mapping[str, str]
    cidr_list: tuple[str, ...] = ()
    token_bound_cidrs: tuple[str, ...] = ()
    """Of its tokens, in place of the role's."""

    def shown(self) -> dict[str, Any]:
        """As a look-up shows it."""
        return {
            "secret_id_accessor": self.accessor,
            "secret_id_num_uses": self.uses,
            "secret_id_ttl": self.ttl,
            "metadata": dict(self.metadata),
            "cidr_list": list(self.cidr_list),
            "token_bound_cidrs": list(self.token_bound_cidrs),
            "creation_time": timestamp(self.created),
            "last_updated_time": timestamp(self.created),
            "expiration_time": timestamp(self.created + self.ttl) if self.ttl else "0001-01-01T00:00:00Z",
        }


@dataclass(kw_only=True)
class AppRole:
    """One role."""

    name: str
    role_id: str = field(default_factory=new_id)
    bind_secret_id: bool = True
    secret_id_bound_cidrs: tuple[str, ...] = ()
    secret_id_num_uses: int = 0
    secret_id_ttl: int = 0
    token: TokenParams = field(default_factory=TokenParams)
    secret_ids: dict[str, SecretId] = field(default_factory=dict)

    def live(self, secret_id: str, now: float) -> SecretId | None:
        """The secret id, unless unknown or expired."""
        found = self.secret_ids.get(secret_id)
        if found is not None and found.ttl and now >= found.created + found.ttl:
            del self.secret_ids[secret_id]
            return None
        return found

    def shown(self) -> dict[str, Any]:
        """As a read shows it."""
        return {
            "bind_secret_id": self.bind_secret_id,
            "secret_id_bound_cidrs": list(self.secret_id_bound_cidrs) or None,
            "secret_id_num_uses": self.secret_id_num_uses,
            "secret_id_ttl": self.secret_id_ttl,
            "local_secret_ids": False,
            **self.token.fields(),
        }


class AppRoleBackend(Backend):
    """One AppRole mount."""

    type_name = "approle"

    def __init__(self, core: Core, mount: str) -> None:
        self._core = core
        self._mount = mount
        self._roles: dict[str, AppRole] = {}
        role = "role/{name}"
        self.routes = (
            Route(path="login", operations={UPDATE: self._login}, public=True),
            Route(path="role", operations={LIST: self._list}),
            Route(path="role/", operations={LIST: self._list}),
            Route(
                path=role,
                operations={READ: self._read, UPDATE: self._write, DELETE: self._delete},
                exists=self._exists,
            ),
            Route(path=f"{role}/role-id", operations={READ: self._read_role_id, UPDATE: self._write_role_id}),
            Route(path=f"{role}/secret-id", operations={UPDATE: self._generate, LIST: self._accessors}),
            Route(path=f"{role}/secret-id/", operations={LIST: self._accessors}),
            Route(path=f"{role}/custom-secret-id", operations={UPDATE: self._generate}),
            *self._secret_routes(f"{role}/secret-id", self._by_id),
            *self._secret_routes(f"{role}/secret-id-accessor", self._by_accessor),
        )

    def _secret_routes(self, path: str, find: Callable[[Request, AppRole], str | None]) -> tuple[Route, ...]:
        """Look-up and destruction of one secret id, found by itself or by its accessor."""

        def lookup(request: Request) -> Reply | None:
            role = self._role(request)
            secret_id = find(request, role)
            if secret_id is None:
                if path.endswith("accessor"):
                    raise absent()
                return None
            return Reply(data=role.secret_ids[secret_id].shown())

        def destroy(request: Request) -> None:
            role = self._role(request)
            secret_id = find(request, role)
            if secret_id is None:
                raise absent()
            del role.secret_ids[secret_id]

        return (
            Route(path=f"{path}/lookup", operations={UPDATE: lookup}),
            Route(path=f"{path}/destroy", operations={UPDATE: destroy, DELETE: destroy}),
        )

    def _exists(self, request: Request) -> bool:
        return request.params["name"].lower() in self._roles

    def _role(self, request: Request) -> AppRole:
        role = self._roles.get(request.params["name"].lower())
        if role is None:
            raise absent() if request.operation is READ else invalid(f'role "{request.params["name"]}" does not exist')
        return role

    def _list(self, _request: Request) -> Reply:
        if not self._roles:
            raise absent()
        return Reply(data={"keys": sorted(self._roles)})

    def _read(self, request: Request) -> Reply:
        return Reply(data=self._role(request).shown())

    def _write(self, request: Request) -> None:
        name, data = request.params["name"].lower(), request.data
        old = self._roles.get(name) or AppRole(name=name)
        role = AppRole(
            name=name,
            role_id=text(data, "role_id") or old.role_id,
            bind_secret_id=boolean(data, "bind_secret_id", old.bind_secret_id),
            secret_id_bound_cidrs=cidrs(data, "secret_id_bound_cidrs", old.secret_id_bound_cidrs),
            secret_id_num_uses=integer(data, "secret_id_num_uses", old.secret_id_num_uses),
            secret_id_ttl=seconds(data, "secret_id_ttl", old.secret_id_ttl),
            token=TokenParams.from_fields(old.token.fields() | _given(data)),
            secret_ids=old.secret_ids,
        )
        if not role.bind_secret_id and not (role.secret_id_bound_cidrs or role.token.bound_cidrs):
            raise invalid("at least one constraint should be enabled on the role")
        self._roles[name] = role

    def _delete(self, request: Request) -> None:
        self._roles.pop(request.params["name"].lower(), None)

    def _read_role_id(self, request: Request) -> Reply:
        return Reply(data={"role_id": self._role(request).role_id})

    def _write_role_id(self, request: Request) -> None:
        role_id = text(request.data, "role_id")
        if not role_id:
            raise invalid("missing role_id")
        self._role(request).role_id = role_id

    def _generate(self, request: Request) -> Reply:
        role, data = self._role(request), request.data
        if not role.bind_secret_id:
            raise invalid("bind_secret_id is not set on the role")
        secret_id = text(data, "secret_id") or new_id()
        if secret_id in role.secret_ids:
            raise invalid("SecretID is already registered")
        made = SecretId(
            accessor=new_id(),
            created=self._core.clock(),
            ttl=seconds(data, "ttl", role.secret_id_ttl),
            uses=integer(data, "num_uses", role.secret_id_num_uses),
            metadata={name: str(value) for name, value in mapping(data, "metadata").items()},
            cidr_list=cidrs(data, "cidr_list"),
            token_bound_cidrs=cidrs(data, "token_bound_cidrs"),
        )
        check_within(made.cidr_list, role.secret_id_bound_cidrs, "cidr_list")
        check_within(made.token_bound_cidrs, role.token.bound_cidrs, "token_bound_cidrs")
        role.secret_ids[secret_id] = made
        return Reply(
            data={
                "secret_id": secret_id,
                "secret_id_accessor": made.accessor,
                "secret_id_ttl": made.ttl,
                "secret_id_num_uses": made.uses,
            }
        )

    def _accessors(self, request: Request) -> Reply:
        role = self._role(request)
        accessors = [
            made.accessor for secret_id in list(role.secret_ids) if (made := role.live(secret_id, self._core.clock()))
        ]
        if not accessors:
            raise absent()
        return Reply(data={"keys": accessors})

    def _by_id(self, request: Request, role: AppRole) -> str | None:
        secret_id = text(request.data, "secret_id")
        if not secret_id:
            raise invalid("missing secret_id")
        return secret_id if role.live(secret_id, self._core.clock()) is not None else None

    def _by_accessor(self, request: Request, role: AppRole) -> str | None:
        accessor = text(request.data, "secret_id_accessor")
        if not accessor:
            raise invalid("missing secret_id_accessor")
        found = next((key for key, made in role.secret_ids.items() if made.accessor == accessor), None)
        return found if found is not None and role.live(found, self._core.clock()) else None

    def _login(self, request: Request) -> Reply:
        role_id, secret_id = text(request.data, "role_id").strip(), text(request.data, "secret_id").strip()
        if not role_id:
            raise invalid("missing role_id")
        role = next((role for role in self._roles.values() if role.role_id == role_id), None)
        if role is None:
            raise invalid(_REFUSED)
        metadata, params = {"role_name": role.name}, role.token
        if role.bind_secret_id:
            if not secret_id:
                raise invalid("missing secret_id")
            found = role.live(secret_id, self._core.clock())
            if found is None:
                raise invalid(_REFUSED)
            if found.uses == 1:
                del role.secret_ids[secret_id]
            elif found.uses:
                found.uses -= 1
            if not admit(request.sender, found.cidr_list):
                raise invalid(_unauthorised(request.sender, "secret ID"))
            metadata = {**found.metadata, **metadata}
            params = replace(params, bound_cidrs=found.token_bound_cidrs or params.bound_cidrs)
        if not admit(request.sender, role.secret_id_bound_cidrs):
            raise invalid(_unauthorised(request.sender, "role"))
        return self._core.login(
            sender=request.sender, mount=self._mount, display_name="approle", params=params, metadata=metadata
        )


def _unauthorised(sender: str, by: str) -> str:
    return f'source address "{sender}" unauthorized through CIDR restrictions on the {by}'


def _given(data: Data) -> dict[str, Any]:
    """The token fields of a role write, under their long names."""
    names = {"policies", "ttl", "max_ttl", "period"}
    short = {f"token_{name}": data[name] for name in names if data.get(name) is not None}
    return short | {name: value for name, value in data.items() if name.startswith("token_") and value is not None}
