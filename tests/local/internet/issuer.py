"""Servers of key sets: one that answers, one that takes for ever."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tests.local.internet.https import Quiet, serving


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

    class Handler(Quiet, BaseHTTPRequestHandler):
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

    with serving(Handler, certificate) as keys.port:
        yield keys
