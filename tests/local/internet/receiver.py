"""A receiver of webhooks: HTTPS at every address of this machine, answering by path."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.local.internet.https import Quiet, serving


@dataclass(frozen=True)
class Got:
    """A request that came."""

    path: str
    body: str
    headers: dict[str, str]
    """By lower-case name."""
    client: str
    at: float = field(default_factory=time.time)

    @property
    def delivery(self) -> str:
        """Its id."""
        return self.headers["x-mlflow-delivery-id"]

    @property
    def event(self) -> str:
        """``entity.action``."""
        document: dict[str, Any] = json.loads(self.body)
        return f"{document['entity']}.{document['action']}"

    @property
    def data(self) -> dict[str, Any]:
        """What happened."""
        return dict(json.loads(self.body)["data"])


@dataclass
class Receiver:
    """``answers``: path → status, given what came there before (the request itself last)."""

    port: int
    got: list[Got]
    answers: dict[str, Callable[[list[Got]], int]]

    def at(self, path: str) -> list[Got]:
        """What came to ``path``."""
        return [one for one in self.got if one.path == path]


@contextmanager
def receiving(certificate: Path) -> Iterator[Receiver]:
    """A receiver; a path that it knows no answer for takes everything."""
    receiver = Receiver(port=0, got=[], answers={})

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.got.append(Got(self.path, body, headers, self.client_address[0]))
            answer = receiver.answers.get(self.path)
            self.send_response(200 if answer is None else answer(receiver.at(self.path)))
            self.send_header("content-length", "0")
            self.end_headers()

    with serving(Handler, certificate) as receiver.port:
        yield receiver
