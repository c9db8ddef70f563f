"""How many artefacts pass through one process at a time: each upload holds a part of its file, or two."""

from contextlib import AsyncExitStack

from starlette.types import Message, Receive, Scope, Send

from anfl.http.answers import RawHeaders, Response, taken
from services.model_registry.shares import Shares

MOST = 32
"""Of all tenants; with uploads alone they hold 512 MB."""
MOST_OF_TENANT = 24
"""So that who sends and takes slowly, with as many as it gets, leaves some to others."""


def transfers(*, most: int = MOST, most_of_tenant: int = MOST_OF_TENANT) -> Shares:
    """How many there may be, in uploads and downloads together."""
    return Shares("artefacts", most=most, most_of_tenant=most_of_tenant)


class Passing:
    """A response at whose end something is given back, whether it was sent or not."""

    def __init__(self, response: Response, ending: AsyncExitStack) -> None:
        """:param ending: what is given back."""
        self.status_code = response.status_code
        self.raw_headers: RawHeaders = response.raw_headers
        self._response = response
        self._ending = ending

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See `Response`.

        :raises ClientGoneError: nobody takes the parts, although the connection is open.
        """

        async def sent(message: Message) -> None:
            async with taken():
                await send(message)

        async with self._ending:
            await self._response(scope, receive, sent)
