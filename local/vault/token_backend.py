"""``auth/token``: create, look up, renew and revoke tokens."""

from collections.abc import Callable

from local.vault.acl import Acl
from local.vault.api import Backend, Operation, Reply, Request, Route, VaultError, absent, denied, invalid
from local.vault.fields import boolean, integer, mapping, seconds, strings, text
from local.vault.tokens import Token, TokenParams, TokenStore, normalise

READ, UPDATE, LIST = Operation.READ, Operation.UPDATE, Operation.LIST


class TokenBackend(Backend):
    """The auth method that is always there."""

    type_name = "token"

    def __init__(self, store: TokenStore, *, acl: Callable[[Token], Acl], clock: Callable[[], float]) -> None:
        self._store = store
        self._acl = acl
        self._clock = clock
        self.routes = (
            Route(path="create", operations={UPDATE: self._create}),
            Route(path="create-orphan", operations={UPDATE: self._create_orphan}, sudo=True),
            Route(path="lookup-self", operations={READ: self._lookup_self, UPDATE: self._lookup_self}),
            Route(path="lookup", operations={READ: self._lookup_self, UPDATE: self._lookup}),
            Route(path="lookup-accessor", operations={UPDATE: self._lookup_accessor}),
            Route(path="renew-self", operations={UPDATE: self._renew_self}),
            Route(path="renew", operations={UPDATE: self._renew}),
            Route(path="renew-accessor", operations={UPDATE: self._renew_accessor}),
            Route(path="revoke-self", operations={UPDATE: self._revoke_self}),
            Route(path="revoke", operations={UPDATE: self._revoke}),
            Route(path="revoke-accessor", operations={UPDATE: self._revoke_accessor}),
            Route(path="revoke-orphan", operations={UPDATE: self._revoke_orphan}, sudo=True),
            Route(path="accessors/", operations={LIST: self._accessors}, sudo=True),
            Route(path="accessors", operations={LIST: self._accessors}, sudo=True),
        )

    def _create(self, request: Request) -> Reply:
        return self._make(request, orphan=False)

    def _create_orphan(self, request: Request) -> Reply:
        return self._make(request, orphan=True)

    def _make(self, request: Request, *, orphan: bool) -> Reply:
        parent, data = _own(request), request.data
        if parent.type == "batch":
            raise invalid("batch tokens cannot create more tokens")
        acl = self._acl(parent)
        trusted = acl.allows(Operation.UPDATE, request.path, {}, sudo=True)
        orphan = orphan or boolean(data, "no_parent")
        if orphan and not trusted:
            raise invalid("root or sudo privileges required to create orphan token")
        if text(data, "id") and not trusted:
            raise invalid("root or sudo privileges required to specify token id")
        no_default = boolean(data, "no_default_policy")
        policies = normalise(strings(data, "policies") or parent.policies, default=False)
        if not trusted and not set(policies) <= {*parent.policies, "default"}:
            raise invalid("child policies must be subset of parent")
        period = seconds(data, "period")
        if period and not trusted:
            raise invalid("root or sudo privileges required to create periodic token")
        display = text(data, "display_name")
        params = TokenParams(
            explicit_max_ttl=seconds(data, "explicit_max_ttl"),
            period=period,
            num_uses=integer(data, "num_uses"),
            policies=policies,
            no_default_policy=no_default or policies == ("root",),
            type=text(data, "type", "service") or "service",
        )
        meta = {name: str(value) for name, value in mapping(data, "meta").items()}
        increment = seconds(data, "ttl") or seconds(data, "lease")
        name = f"token-{display}" if display else "token"
        unlimited = not (increment or params.period or params.explicit_max_ttl or params.num_uses)
        if policies == ("root",) and unlimited and parent.ttl == 0:
            token = self._store.create_root()
            token.parent, token.orphan = (None, True) if orphan else (parent.id, False)
            token.path, token.display_name, token.meta = "auth/token/create", name, meta
        else:
            token = self._store.create(
                path="auth/token/create",
                display_name=name,
                params=params,
                meta=meta,
                parent=None if orphan else parent.id,
                renewable=boolean(data, "renewable", default=True),
                increment=increment,
            )
        return Reply(auth=token.auth(), warnings=token.warnings)

    def _lookup_self(self, request: Request) -> Reply:
        return Reply(data=_own(request).lookup(self._clock()))

    def _lookup(self, request: Request) -> Reply:
        token = self._named(request, error=denied("bad token")) if text(request.data, "token") else _own(request)
        return Reply(data=token.lookup(self._clock()))

    def _lookup_accessor(self, request: Request) -> Reply:
        return Reply(data=self._by_accessor(request).lookup(self._clock()) | {"id": ""})

    def _renew_self(self, request: Request) -> Reply:
        return self._renewed(_own(request), request)

    def _renew(self, request: Request) -> Reply:
        return self._renewed(self._named(request, error=invalid("token not found")), request)

    def _renew_accessor(self, request: Request) -> Reply:
        reply = self._renewed(self._by_accessor(request), request)
        return Reply(auth={**(reply.auth or {}), "client_token": ""}, warnings=reply.warnings)

    def _renewed(self, token: Token, request: Request) -> Reply:
        self._store.renew(token, seconds(request.data, "increment"))
        return Reply(auth=token.auth(), warnings=token.warnings)

    def _revoke_self(self, request: Request) -> None:
        token = _own(request)
        if token.type == "batch":
            raise invalid("batch tokens cannot be revoked")
        self._store.revoke(token)

    def _revoke(self, request: Request) -> None:
        if not text(request.data, "token"):
            raise invalid("missing token ID")
        token = self._store.find(text(request.data, "token"))
        if token is not None:
            self._revoke_self(Request(operation=UPDATE, path=request.path, data={}, token=token))

    def _revoke_accessor(self, request: Request) -> None:
        self._store.revoke(self._by_accessor(request))

    def _revoke_orphan(self, request: Request) -> None:
        self._store.revoke(self._named(request, error=invalid("token to revoke not found")), children=False)

    def _accessors(self, _request: Request) -> Reply:
        accessors = self._store.accessors()
        if not accessors:
            raise absent()
        return Reply(data={"keys": accessors})

    def _named(self, request: Request, *, error: VaultError) -> Token:
        token = self._store.find(text(request.data, "token"))
        if token is None:
            raise error
        return token

    def _by_accessor(self, request: Request) -> Token:
        accessor = text(request.data, "accessor")
        if not accessor:
            raise invalid("missing accessor")
        token = self._store.find_by_accessor(accessor)
        if token is None:
            raise invalid("1 error occurred:\n\t* invalid accessor\n\n")
        return token


def _own(request: Request) -> Token:
    if request.token is None:
        raise denied()
    return request.token
