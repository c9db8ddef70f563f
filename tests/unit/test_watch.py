"""What the watch says about a region, and what it takes for an answer."""

import http.client
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from anfl import environment
from anfl.watch import PATHS, Fetch, Settings, Watch, fetch
from tests.unit.certificates import self_signed

SETTINGS = environment.load(
    Settings,
    {
        "ANFL_ENVIRONMENT": "prod",
        "WATCHED_REGION": "eu-west-1",
        "WATCHED_HOST": "eu-west-1.api.example.org",
        "DRAINED_PARAMETER": "/drained",
    },
)
DIMENSIONS = [{"Name": "Environment", "Value": "prod"}, {"Name": "Region", "Value": "eu-west-1"}]


class Aws:
    """SSM and CloudWatch."""

    def __init__(self, drained: str | None = "false") -> None:
        self.drained = drained
        self.published: dict[str, float] = {}

    def get_parameter(self, *, Name: str) -> Any:  # noqa: N803
        """The flag, or no answer."""
        assert Name == "/drained"
        if self.drained is None:
            raise EndpointConnectionError(endpoint_url="ssm")
        return {"Parameter": {"Value": self.drained}}

    def put_metric_data(self, *, Namespace: str, MetricData: list[Any]) -> Any:  # noqa: N803
        """Keep the figures."""
        assert Namespace == "ANFL"
        assert all(datum["Dimensions"] == DIMENSIONS for datum in MetricData)
        self.published = {datum["MetricName"]: datum["Value"] for datum in MetricData}


def healthy(host: str, path: str) -> bytes:
    assert host == "eu-west-1.api.example.org"
    assert path in PATHS
    return b'{"keys": []}'


def seen(look: Fetch, aws: Aws, *, deadline: float = 5) -> dict[str, float]:
    Watch(SETTINGS, fetch=look, parameters=aws, metrics=aws, deadline=deadline).publish()
    return aws.published


def test_a_region_that_answers() -> None:
    assert seen(healthy, Aws()) == {"RegionAnswers": 1, "RegionDrained": 0}


def test_a_region_that_is_drained_and_still_answers() -> None:
    assert seen(healthy, Aws("true")) == {"RegionAnswers": 1, "RegionDrained": 1}


@pytest.mark.parametrize("broken", PATHS)
@pytest.mark.parametrize("error", [ConnectionRefusedError(), TimeoutError(), http.client.HTTPException("status 503")])
def test_one_path_without_an_answer_is_enough(broken: str, error: Exception) -> None:
    def look(host: str, path: str) -> bytes:
        if path == broken:
            raise error
        return healthy(host, path)

    assert seen(look, Aws())["RegionAnswers"] == 0


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"\xff"])
def test_something_else_than_a_json_object_is_no_answer(body: bytes) -> None:
    assert seen(lambda _host, _path: body, Aws())["RegionAnswers"] == 0


def test_a_region_that_hangs_is_said_to_in_time() -> None:
    release = threading.Event()

    def look(_host: str, _path: str) -> bytes:
        release.wait(30)
        return b"{}"

    try:
        assert seen(look, Aws(), deadline=0.05) == {"RegionAnswers": 0, "RegionDrained": 0}
    finally:
        release.set()


def test_what_cannot_be_found_out_is_left_out() -> None:
    assert seen(healthy, Aws(drained=None)) == {"RegionAnswers": 1}


class Handler(BaseHTTPRequestHandler):
    """Answers by path."""

    def do_GET(self) -> None:
        """``/ok`` has a body; anything else is a redirect to it."""
        self.send_response(200 if self.path == "/ok" else 302)
        self.send_header("Location", "/ok")
        self.send_header("Content-Length", "2" if self.path == "/ok" else "0")
        self.end_headers()
        if self.path == "/ok":
            self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


Get = Callable[[str], bytes]


@pytest.fixture
def get(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Get]:
    """Fetch a path of a server on loopback; its highest version of TLS is the parameter, 1.3 without one."""
    pem = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    context.maximum_version = getattr(request, "param", ssl.TLSVersion.TLSv1_3)
    server = ThreadingHTTPServer(("localhost", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        trusting = ssl.create_default_context(cafile=str(pem))
        yield lambda path: fetch("localhost", path, context=trusting, port=server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_answer_over_tls_1_3(get: Get) -> None:
    assert get("/ok") == b"{}"


@pytest.mark.parametrize("get", [ssl.TLSVersion.TLSv1_2], indirect=True)
def test_an_older_protocol_is_no_answer(get: Get) -> None:
    with pytest.raises(ssl.SSLError):
        get("/ok")


def test_a_redirect_is_no_answer(get: Get) -> None:
    with pytest.raises(http.client.HTTPException, match="status 302"):
        get("/moved")
