"""HTTP around the core: methods to operations, JSON envelopes, statuses."""

import json
import logging
import socket
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from local.vault.api import Operation, Reply, VaultError, invalid
from local.vault.core import Core
from local.vault.tokens import new_id

MAX_BODY = 32 * 1024 * 1024
_OPERATIONS = {
    "GET": Operation.READ,
    "HEAD": Operation.READ,
    "POST": Operation.UPDATE,
    "PUT": Operation.UPDATE,
    "DELETE": Operation.DELETE,
    "LIST": Operation.LIST,
    "PATCH": Operation.PATCH,
}
_log = logging.getLogger(__name__)


class Handler(BaseHTTPRequestHandler):
    """One connection. The core comes in through `serve`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave together
    timeout = 75
    core: Core

    def _answer(self) -> None:
        try:
            body = self._body()
            status, document = self._handle(body)
        except VaultError as error:
            status, document = error.status, error.body
        except Exception:
            _log.exception("unexpected error", extra={"path": self.path})
            status, document = 500, {"errors": ["internal error"]}
        payload = b"" if document is None or self.command == "HEAD" else json.dumps(document).encode()
        self.send_response_only(status)
        self.send_header("Cache-Control", "no-store")
        if payload:
            self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)
        self.wfile.flush()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_LIST = do_PATCH = _answer  # noqa: N815 - names of the base class

    def _body(self) -> bytes:
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if not 0 <= length <= MAX_BODY or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            raise VaultError(413 if length > MAX_BODY else 400, "http: request body too large or of unknown length")
        return self.rfile.read(length)

    def _handle(self, body: bytes) -> tuple[int, dict[str, Any] | None]:
        url = urlsplit(self.path)
        path = unquote(url.path)
        if not path.startswith("/v1/"):
            raise VaultError(404, "unsupported path")
        query: dict[str, Any] = dict(parse_qsl(url.query, keep_blank_values=True))
        operation = _OPERATIONS[self.command]
        if operation is Operation.READ and query.pop("list", "").lower() in {"true", "1"}:
            operation = Operation.LIST
        if operation is Operation.PATCH and "application/merge-patch+json" not in self.headers.get("Content-Type", ""):
            raise VaultError(415, "PATCH requires Content-Type application/merge-patch+json")
        if self.headers.get("X-Vault-Wrap-TTL"):
            # Answered as if it had not been asked for, the secret would be in the clear.
            raise invalid("this development server wraps no responses")
        data = _json(body) if operation in {Operation.UPDATE, Operation.PATCH} or body else query
        reply = self.core.handle(
            operation, path.removeprefix("/v1/"), data, self._token(), sender=self.client_address[0]
        )
        return (204, None) if reply is None else (reply.status, _document(reply))

    def _token(self) -> str | None:
        token = self.headers.get("X-Vault-Token")
        if token:
            return str(token)
        kind, _, value = (self.headers.get("Authorization") or "").partition(" ")
        return value if kind.lower() == "bearer" and value else None

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing: paths may hold names, and nobody reads a development server's access log."""


def _json(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise invalid("failed to parse JSON input") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise invalid("failed to parse JSON input: expected an object")
    return data


def _document(reply: Reply) -> dict[str, Any]:
    if reply.raw:
        return dict(reply.data or {})
    envelope: dict[str, Any] = dict(reply.data or {}) if reply.flat else {}
    return envelope | {
        "request_id": new_id(),
        "lease_id": "",
        "renewable": False,
        "lease_duration": 0,
        "data": None if reply.data is None else dict(reply.data),
        "wrap_info": None,
        "warnings": list(reply.warnings) or None,
        "auth": None if reply.auth is None else dict(reply.auth),
    }


class Server(ThreadingHTTPServer):
    """Listens on loopback, a thread a connection."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[Handler]) -> None:
        self._connections: set[socket.socket] = set()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as the base class has it
        """Remember the connection while it lives."""
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as the base class has it
        """The connection is over."""
        self._connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Close the listener and what is still connected, as the end of a process would."""
        super().server_close()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def serve(core: Core, *, host: str = "127.0.0.1", port: int = 0) -> Server:
    """A bound server for ``core``; the caller runs ``serve_forever``. Port 0 takes a free one."""
    return Server((host, port), type("BoundHandler", (Handler,), {"core": core}))
