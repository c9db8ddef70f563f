"""HTTP/1.1 as uvicorn speaks it, with limits of its own, and problem documents for what is not even a request."""

import asyncio
import fcntl
import termios
from array import array
from http import HTTPStatus

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from anfl.http.joined import Joined
from anfl.problems import Problem, invalid
from anfl.protection import CACHING, PRIVATE, PROTECTION

MAX_TARGET_BYTES = 16 * 2**10
"""Of a request's path and query string; a filter in it may be long."""
MAX_HEADER_BYTES = 32 * 2**10
MAX_HEADERS = 100
UNREAD_SECONDS = 0.05
"""Until a connection that is to be closed, and has something to read, is looked at again: the event loop is quicker."""


class Protocol(HttpToolsProtocol):
    """One connection."""

    _refusal: Problem | None = None
    _header_bytes = 0
    _in_head = False
    _too_late: asyncio.TimerHandle | None = None
    """When the connection is given up unless a whole head has come; None: none is waited for."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """See asyncio."""
        super().connection_made(transport)
        self._descriptor: int = transport.get_extra_info("socket").fileno()
        self.transport = Joined(transport)  # type: ignore[assignment]  # what uvicorn uses of one
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._head_has_come()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See asyncio. Less than a head ends uvicorn's own wait for the next request, so it needs another one."""
        super().data_received(data)
        if self._too_late is None and (self._in_head or self._is_idle()) and not self.transport.is_closing():
            self._wait_for_head()

    def on_message_begin(self) -> None:
        """See httptools."""
        self._header_bytes = 0
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """See httptools."""
        self._in_head = False
        if self._too_late is not None:
            self._head_has_come()
        if sum(name == b"host" for name, _ in self.headers) > 1:  # RFC 9112, section 3.2
            self._refuse(HTTPStatus.BAD_REQUEST, "malformed_http", "A request has one Host header")
        super().on_headers_complete()

    def on_url(self, url: bytes) -> None:
        """See httptools."""
        super().on_url(url)
        if len(self.url) > MAX_TARGET_BYTES:
            self._refuse(HTTPStatus.REQUEST_URI_TOO_LONG, "target_too_long", f"A target has {MAX_TARGET_BYTES} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """See httptools."""
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MAX_HEADER_BYTES or len(self.headers) >= MAX_HEADERS:
            limit = f"A request has {MAX_HEADERS} headers of {MAX_HEADER_BYTES} bytes in all"
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", limit)
        if self._in_head:  # else it is a trailer, which whoever stands before this service has not looked at
            super().on_header(name, value)

    def shutdown(self) -> None:
        """See uvicorn. A request that has come but was not read yet is answered first: a service that drains has the
        connection closed by the answer. To close it now would reset it."""
        if not self._is_answering() and self._has_unread():
            self.loop.call_later(UNREAD_SECONDS, self.shutdown)
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be read any further, and close the connection."""
        problem = self._refusal or invalid(msg, code="malformed_http")
        body = msgspec.json.encode(problem.document())
        own = {"content-length": str(len(body)), "connection": "close", CACHING: PRIVATE}
        headers = problem.headers() | own | PROTECTION
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.transport.write(STATUS_LINE[problem.status] + lines.encode("latin-1") + b"\r\n" + body)
        self.transport.close()

    def _has_unread(self) -> bool:
        if self.transport.is_closing():
            return False
        count = array("i", [0])
        fcntl.ioctl(self._descriptor, termios.FIONREAD, count)
        return count[0] > 0

    def _is_idle(self) -> bool:
        """Whether nothing is answered, and nobody waits for what comes next."""
        return not self._is_answering() and self.timeout_keep_alive_task is None

    def _is_answering(self) -> bool:
        return not getattr(self.cycle, "response_complete", True)  # no cycle before the first request

    def _wait_for_head(self) -> None:
        self._too_late = self.loop.call_later(self.timeout_keep_alive, self._give_up)

    def _head_has_come(self) -> None:
        if self._too_late is not None:
            self._too_late.cancel()
            self._too_late = None

    def _give_up(self) -> None:
        self._too_late = None
        if self._is_answering():
            self._wait_for_head()  # an answer is under way, and may not be broken into
        elif self._in_head:
            limit = f"A request's head comes within {self.timeout_keep_alive} s"
            self._refusal = Problem(HTTPStatus.REQUEST_TIMEOUT, "request_timeout", f"{limit}.")
            self.send_400_response("")
        else:
            self.transport.close()

    def _refuse(self, status: HTTPStatus, code: str, limit: str) -> None:
        self._refusal = Problem(status, code, f"{limit} at most.")
        raise self._refusal  # the parser stops, and has `send_400_response` called
