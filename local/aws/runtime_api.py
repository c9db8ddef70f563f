"""The Lambda Runtime API for one worker: hands it one invocation at a time and takes its answer."""

import contextlib
import socketserver
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from queue import SimpleQueue

from local import browsers

PREFIX = "/2018-06-01/runtime/"


@dataclass(kw_only=True)
class Invocation:
    """One event on its way through a worker."""

    request_id: str
    event: bytes
    arn: str
    timeout: float
    """Seconds that the function has, from the moment the worker takes the event."""
    taken_at: float | None = None
    result: bytes | None = None
    failed: bool = False
    settled: threading.Event = field(default_factory=threading.Event)
    """Set on the answer; also when the worker takes the event, so that waiting loops look again."""

    def settle(self, result: bytes, *, failed: bool) -> None:
        """The worker has answered."""
        self.result, self.failed = result, failed
        self.settled.set()


class RuntimeApi:
    """Listens on a loopback port of its own until `close`."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        """Set when the worker has loaded its handler and asks for events."""
        self.init_error: bytes | None = None
        self._events: SimpleQueue[Invocation | None] = SimpleQueue()
        self._current: Invocation | None = None
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.5,), daemon=True, name="runtime-api").start()

    def offer(self, invocation: Invocation) -> None:
        """Give the worker its next event."""
        self._events.put(invocation)

    def close(self) -> None:
        """Stop listening; a worker that waits for an event loses its connection."""
        self._events.put(None)
        self._server.shutdown()
        self._server.server_close()

    def take(self) -> Invocation | None:
        """Block until there is an event; None after `close`."""
        self.ready.set()
        invocation = self._events.get()
        if invocation is not None:
            invocation.taken_at = time.monotonic()
            self._current = invocation
        return invocation

    def answer(self, request_id: str, body: bytes, *, failed: bool) -> bool:
        """Settle the current invocation. False where ``request_id`` is not the current one."""
        current = self._current
        if current is None or current.request_id != request_id:
            return False
        self._current = None
        current.settle(body, failed=failed)
        return True


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False


def _handler(api: RuntimeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # header and body in one packet; with Nagle's algorithm they would cost 40 ms each
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            if browsers.sends(self.headers.get):
                return self._reply(403, b"")
            if self.path != f"{PREFIX}invocation/next":
                return self._reply(404, b"{}")
            invocation = api.take()
            if invocation is None:
                self.close_connection = True
                return None
            deadline = int((time.time() + invocation.timeout) * 1000)
            headers = {
                "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
                "Lambda-Runtime-Deadline-Ms": str(deadline),
                "Lambda-Runtime-Invoked-Function-Arn": invocation.arn,
                "Lambda-Runtime-Trace-Id": f"Root=1-00000000-{invocation.request_id.replace('-', '')[:24]};Sampled=0",
            }
            return self._reply(200, invocation.event, headers)

        def do_POST(self) -> None:
            body = self._body()
            if browsers.sends(self.headers.get):
                return self._reply(403, b"")
            kind, _, rest = self.path.removeprefix(PREFIX).partition("/")
            if (kind, rest) == ("init", "error"):
                api.init_error = body
                return self._reply(202, b'{"status":"OK"}')
            request_id, _, what = rest.partition("/")
            if kind != "invocation" or what not in ("response", "error"):
                return self._reply(404, b"{}")
            known = api.answer(request_id, body, failed=what == "error")
            return self._reply(202 if known else 400, b'{"status":"OK"}' if known else b"{}")

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            chunks: list[bytes] = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass  # trailers
            return b"".join(chunks)

        def _reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

        def handle(self) -> None:
            with contextlib.suppress(OSError):  # the worker has ended
                super().handle()

        def log_message(self, *_: object) -> None:
            """Silent."""

    return Handler
