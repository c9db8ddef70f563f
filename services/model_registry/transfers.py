"""How many artefacts pass through one process at a time: each upload holds a part of its file, or two."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus

from starlette.types import Message, Receive, Scope, Send

from anfl.http.answers import RawHeaders, Response, taken
from anfl.problems import Problem

MOST = 32
"""Of all tenants; with uploads alone they hold 512 MB."""
MOST_OF_TENANT = 24
"""So that who sends and takes slowly, with as many as it gets, leaves some to others."""
RETRY_SECONDS = 2


class Transfers:
    """Of one event loop."""

    def __init__(self, *, most: int = MOST, most_of_tenant: int = MOST_OF_TENANT) -> None:
        """:param most: of all tenants. :param most_of_tenant: of each."""
        self._most = most
        self._most_of_tenant = most_of_tenant
        self._running = Counter[str]()

    @contextmanager
    def place(self, tenant: str) -> Iterator[None]:
        """A place for one, as long as it lasts. Nobody waits for one.

        :raises Problem: 429, the tenant has all that it gets; 503, there is none.
        """
        if self._running[tenant] >= self._most_of_tenant:
            detail = f"{self._most_of_tenant} of your artefacts are passing already; ask again, or use links."
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, "too_many_transfers", detail, retry_after=RETRY_SECONDS)
        if self._running.total() >= self._most:
            detail = f"{self._most} artefacts are passing already; ask again, or use links."
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "temporarily_unavailable", detail, retry_after=RETRY_SECONDS)
        self._running[tenant] += 1
        try:
            yield
        finally:
            self._running[tenant] -= 1
            if not self._running[tenant]:
                del self._running[tenant]


class Passing:
    """A response at whose end something is given back, whether it was sent or not."""

    def __init__(self, response: Response, ending: ExitStack) -> None:
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

        with self._ending:
            await self._response(scope, receive, sent)
