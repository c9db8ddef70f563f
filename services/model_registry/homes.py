"""What changes something is asked for in the registry's home region alone."""

from collections.abc import Mapping
from functools import wraps

from starlette.requests import Request

from anfl.auth.principal import Principal
from anfl.auth.rbac import ROUTES, Action
from anfl.http.adapters import StarletteHandler
from anfl.http.answers import Response
from anfl.registry.home import Home

_READS = frozenset(
    (route.method, route.path)
    for route in ROUTES
    if route.method == "GET" or route.action in {Action.MODELS_READ, Action.AUDIT_READ}
)


def at_home(
    handlers: Mapping[tuple[str, str], StarletteHandler], home: Home
) -> dict[tuple[str, str], StarletteHandler]:
    """The same ``handlers``, by (method, path); elsewhere those that do more than read are 409 ``written_elsewhere``.

    A refusal and no redirect: clients of HTTP follow one to another host without the token, and end at 401.
    """
    return {route: handler if route in _READS else _checked(handler, home) for route, handler in handlers.items()}


def _checked(handler: StarletteHandler, home: Home) -> StarletteHandler:
    @wraps(handler)
    async def handle(request: Request, principal: Principal) -> Response:
        home.check()
        return await handler(request, principal)

    return handle
