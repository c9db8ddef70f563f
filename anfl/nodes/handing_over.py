"""Hands a request over to the process of this node that writes; where it does not answer, it is carried out here.

Who answers queries shares its interpreter with nobody who reads a batch, and the scheduler can prefer it.
"""

from anfl.auth.principal import Principal
from anfl.http.admission import Admission
from anfl.http.answers import Response
from anfl.http.requests import Request
from anfl.http.service import Handler
from anfl.nodes.sending import WRITE_SECONDS, Attempt, Repeatable, Sender


class HandingOver:
    """Of one event loop."""

    def __init__(self, address: str, *, admission: Admission, attempt: Attempt) -> None:
        """:param address: of the process, on loopback."""
        self._address = address
        self._admission = admission
        self._sender = Sender(attempt)

    def close(self) -> None:
        """Close the connections."""
        self._sender.close()

    def around(self, handler: Handler, *, repeatable: Repeatable) -> Handler:
        """``handler`` for requests that write. It may run in either process, at the same time too."""

        async def handle(request: Request, principal: Principal) -> Response:
            with self._admission.admitted(principal.tenant, request.declared_size) as inside:
                await request.raw(claim=inside.claim)
                addresses = self._sender.unsuspected([self._address])
                answer, _ = await self._sender.send(request, addresses, repeatable, seconds=WRITE_SECONDS)
            return await handler(request, principal) if answer is None else answer

        return handle
