"""How many bytes of bodies are inside one process at a time. Those of artefacts pass piece by piece, and count not."""

from collections.abc import Mapping
from functools import wraps

from starlette.requests import Request

from anfl.auth.principal import Principal
from anfl.http.adapters import StarletteHandler
from anfl.http.answers import Response
from services.model_registry.parameters import LARGEST_BODY_BYTES
from services.model_registry.shares import Shares

MOST = 256 * 1024 * 1024
"""Of all tenants."""
MOST_OF_TENANT = 128 * 1024 * 1024
SMALL_BYTES = 64 * 1024
"""A body up to this size is let in whatever others send: most requests have one."""


def all_bodies(*, most: int = MOST, most_of_tenant: int = MOST_OF_TENANT) -> Shares:
    """How much there may be."""
    return Shares("bytes of bodies", most=most, most_of_tenant=most_of_tenant)


def bounded(
    handlers: Mapping[tuple[str, str], StarletteHandler], bodies: Shares
) -> dict[tuple[str, str], StarletteHandler]:
    """The same ``handlers``, which raise 429 or 503 for a body beyond what there may be."""
    return {route: _bounded(handler, bodies) for route, handler in handlers.items()}


def _bounded(handler: StarletteHandler, bodies: Shares) -> StarletteHandler:
    @wraps(handler)
    async def handle(request: Request, principal: Principal) -> Response:
        size = _size(request)
        if size <= SMALL_BYTES:
            return await handler(request, principal)
        with bodies.taken(principal.tenant, size):
            return await handler(request, principal)

    return handle


def _size(request: Request) -> int:
    """Bytes that the body may have before it is refused: what it says, or as much as any may."""
    length = request.headers.get("content-length", "0")
    if "transfer-encoding" in request.headers or not length.isdecimal():
        return LARGEST_BODY_BYTES
    return min(int(length), LARGEST_BODY_BYTES)
