"""The HTTP server of the embedded AWS: moto's dispatcher, and what ANFL asks about the deployed resources."""

import json
import threading
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from local.aws.custom_resources import ANSWERS, PATH
from local.aws.resources import deployed, placeholders
from local.aws.vectors.content import Delays
from local.aws.vectors.patches import DELAYS

CONTROL = "/_anfl/"
Environ = dict[str, Any]
StartResponse = Callable[..., Any]


class Application:
    """WSGI. DynamoDB requests run one at a time: moto loses concurrent updates otherwise. So do conditional puts to S3:
    moto looks first and writes later, so that two of them could both win."""

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._dynamodb = threading.Lock()
        self._conditional_puts = threading.Lock()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        path = environ.get("PATH_INFO", "")
        if path.startswith(CONTROL):
            return _control(path.removeprefix(CONTROL), environ, start_response)
        if environ.get("HTTP_IF_NONE_MATCH") and environ["REQUEST_METHOD"] == "PUT":
            with self._conditional_puts:
                return list(self._moto(environ, start_response))
        if environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB"):
            with self._dynamodb:
                return list(self._moto(environ, start_response))
        answer: Iterable[bytes] = self._moto(environ, start_response)
        return answer


def _control(name: str, environ: Environ, start_response: StartResponse) -> list[bytes]:
    body: object
    if name == "health":
        body = {"status": "ok"}
    elif name == "resources":
        body = list(deployed())
    elif name == "placeholders":
        body = placeholders()
    elif name == "vector-delays" and environ["REQUEST_METHOD"] == "PUT":
        delays = msgspec.json.decode(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])), type=Delays)
        DELAYS.indexing, DELAYS.serving = delays.indexing, delays.serving
        body = {}
    elif name.startswith(PATH) and environ["REQUEST_METHOD"] == "PUT":
        ANSWERS.put(name.removeprefix(PATH), environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        body = {}
    else:
        start_response("404 Not Found", [("Content-Type", "application/json")])
        return [b'{"error": "use /_anfl/health, /_anfl/resources or /_anfl/placeholders"}']
    content = json.dumps(body, default=str).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
    return [content]


class _RequestHandler(MotoRequestHandler):
    def log_request(self, *_: object) -> None:
        """Thousands of lines that say nothing; failures are logged by moto."""


def listen(port: int, application: Any = None) -> BaseWSGIServer:  # noqa: ANN401 - WSGI
    """A threaded server on loopback, of moto or what stands before it; call ``serve_forever``."""
    application = application or Application()
    return make_server("127.0.0.1", port, application, threaded=True, request_handler=_RequestHandler)
