"""Servers of key sets: one that answers, one that takes for ever."""

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Keys:
    """What a server at ``port`` answers: ``/keys`` with ``document``, ``/slowly`` a byte at a time."""

    document: bytes
    port: int = 0
    asked: list[str] = field(default_factory=list)
    """Paths, in the order in which they were asked for."""
    away: bool = False
    """Whether it answers 500 instead."""


@contextmanager
def issuing(certificate: Path, document: bytes) -> Iterator[Keys]:
    """A server of ``document``, at every address of this machine."""
    keys = Keys(document)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.asked.append(self.path)
            self.send_response(500 if keys.away else 200)
            self.send_header("content-length", str(len(keys.document)))
            self.end_headers()
            if self.path == "/slowly":
                for byte in keys.document:
                    time.sleep(0.1)
                    self.wfile.write(bytes([byte]))
            else:
                self.wfile.write(keys.document)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Who asked has gone."""

    server = Server(("", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    keys.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield keys
    server.shutdown()
    server.server_close()
