"""Handlers written against Starlette, where comfort counts for more than microseconds."""

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import ClientDisconnect
from starlette.requests import Request as StarletteRequest

from anfl.auth.principal import Principal
from anfl.http.answers import Response
from anfl.http.requests import ClientGoneError, Request
from anfl.http.service import Handler

StarletteHandler = Callable[[StarletteRequest, Principal], Awaitable[Response]]


def from_starlette(handlers: Mapping[tuple[str, str], StarletteHandler]) -> dict[tuple[str, str], Handler]:
    """The same routes, as `anfl.http.service.build` takes them."""
    return {key: _adapted(handler) for key, handler in handlers.items()}


def _adapted(handler: StarletteHandler) -> Handler:
    async def handle(request: Request, principal: Principal) -> Response:
        try:
            return await handler(request.starlette(), principal)
        except ClientDisconnect as error:
            raise ClientGoneError from error

    return handle
