"""What reaches no handler: requests that are none, or beyond what a head may hold; and how a stop goes."""

import json
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from anfl.http import serve
from anfl.http.protocol import MAX_HEADER_BYTES, MAX_HEADERS, MAX_TARGET_BYTES
from anfl.http.serve import configuration
from anfl.http.service import Service, build
from tests.unit.vectors.serving import PlainTokens, served

WHOLE = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture(name="service")
def _service() -> Service:
    return build({}, verifier=PlainTokens(), max_body=1_000, ready=lambda: None)


@pytest.fixture(name="address")
def _address(service: Service) -> Iterator[tuple[str, int]]:
    with served(service) as url:
        yield "127.0.0.1", int(url.rpartition(":")[2])


def exchange(address: tuple[str, int], request: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    with socket.create_connection(address, timeout=5) as connection:
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    return int(status.split()[1]), dict(line.split(b": ", 1) for line in lines), body


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"nonsense\r\n\r\n", 400, "malformed_http"),
        (b"GET /health/live HTTP/9.9\r\n\r\n", 400, "malformed_http"),
        (b"GET /h\xe9alth HTTP/1.1\r\nhost: x\r\n\r\n", 400, "malformed_http"),
        (b"POST / HTTP/1.1\r\ncontent-length: no\r\n\r\n", 400, "malformed_http"),
        (b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400, "malformed_http"),
        (b"GET /health/live HTTP/1.1\r\nhost: x\r\nHOST: y\r\n\r\n", 400, "malformed_http"),
        (b"GET /" + b"a" * MAX_TARGET_BYTES + b" HTTP/1.1\r\n\r\n", 414, "target_too_long"),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * MAX_HEADER_BYTES + b"\r\n\r\n", 431, "headers_too_large"),
        (b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * (MAX_HEADERS + 1) + b"\r\n", 431, "headers_too_large"),
    ],
)
def test_what_is_no_request_gets_a_problem_document(
    address: tuple[str, int], request_: bytes, status: int, code: str
) -> None:
    answered, headers, body = exchange(address, request_)
    assert (answered, json.loads(body)["code"]) == (status, code)
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"connection"] == b"close"
    assert (headers[b"cache-control"], headers[b"x-content-type-options"]) == (b"no-store", b"nosniff")
    assert headers[b"strict-transport-security"].startswith(b"max-age=")


def test_what_comes_behind_a_body_is_no_header(address: tuple[str, int]) -> None:
    """RFC 9110, section 6.5.1: who stands before the service judges the head, and knows nothing of trailers."""
    head = b"GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    status, headers, _ = exchange(address, head + b"0\r\nx-request-id: from-a-trailer\r\n\r\n")
    assert (status, headers[b"x-request-id"] == b"from-a-trailer") == (200, False)
    status, _, _ = exchange(address, head + b"0\r\nx: " + b"a" * MAX_HEADER_BYTES + b"\r\n\r\n")
    assert status == 431


def test_while_it_drains_it_is_alive_not_ready_and_closes_connections(
    service: Service, address: tuple[str, int]
) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{address[1]}") as client:
        assert client.get("/health/ready").status_code == 200
        service.draining = True
        refused = client.get("/health/ready")
        assert (refused.status_code, refused.json()["code"]) == (503, "draining")
        assert "retry-after" in refused.headers
        assert client.get("/health/live").status_code == 200
        assert refused.headers["connection"] == "close"


def test_a_request_that_has_come_but_was_not_read_when_it_stops_is_answered(service: Service) -> None:
    """A busy event loop reads late, and a connection that is closed with something unread is reset."""
    answered, sent = threading.Event(), threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await service(scope, receive, send)
        if scope["type"] == "http" and not answered.is_set():
            answered.set()
            assert sent.wait(10)  # the event loop is busy
            service.draining = True
            for connection in list(server.server_state.connections):
                connection.shutdown()

    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(configuration(app))  # type: ignore[arg-type]  # around a service
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    with socket.create_connection(listening.getsockname(), timeout=10) as connection:
        connection.sendall(WHOLE)
        assert answered.wait(10)
        connection.sendall(WHOLE)
        sent.set()
        answers = b""
        while part := connection.recv(65536):
            answers += part
    server.should_exit = True
    thread.join(10)
    assert answers.count(b"HTTP/1.1 200 ") == 2
    assert answers.count(b"connection: close") == 1


@pytest.mark.parametrize("given", ["abc-1", "x" * 128])
def test_a_request_id_is_echoed(address: tuple[str, int], given: str) -> None:
    answer = httpx.get(f"http://127.0.0.1:{address[1]}/health/live", headers={"x-request-id": given})
    assert answer.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "<script>"])
def test_what_is_no_request_id_is_replaced(address: tuple[str, int], given: str) -> None:
    url = f"http://127.0.0.1:{address[1]}/health/live"
    answers = [httpx.get(url, headers={"x-request-id": given}).headers["x-request-id"] for _ in range(2)]
    assert given not in answers
    assert answers[0] != answers[1]


@pytest.mark.parametrize(("method", "status"), [("OPTIONS", 204), ("DELETE", 405), ("TRACE", 405)])
def test_other_methods_are_told_what_there_is(address: tuple[str, int], method: str, status: int) -> None:
    answer = httpx.request(method, f"http://127.0.0.1:{address[1]}/health/live")
    assert (answer.status_code, answer.headers["allow"]) == (status, "GET, HEAD, OPTIONS")


def test_head_is_get_without_its_body(address: tuple[str, int]) -> None:
    url = f"http://127.0.0.1:{address[1]}/health/live"
    answer = httpx.head(url)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == httpx.get(url).headers["content-length"]


@pytest.fixture(name="impatient")
def _impatient(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """The address of a service that waits for a head a fifth of a second."""
    monkeypatch.setattr(serve, "KEEP_ALIVE_SECONDS", 0.2)
    with served(service) as url:
        yield "127.0.0.1", int(url.rpartition(":")[2])


@pytest.mark.parametrize("begun", [b"G", b"GET /health/live HTTP/1.1\r\nx: y", WHOLE + b"GET /he"])
def test_a_head_that_does_not_come_to_its_end_is_408(impatient: tuple[str, int], begun: bytes) -> None:
    with socket.create_connection(impatient, timeout=10) as connection:
        connection.sendall(begun)
        answers = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answers.count(b"HTTP/1.1 200 ") == begun.count(WHOLE)
    head, _, body = answers[answers.rindex(b"HTTP/1.1 ") :].partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["code"] == "request_timeout"


@pytest.mark.parametrize("said", [b"", b"\r\n", WHOLE + b"\r\n", WHOLE])
def test_a_connection_on_which_nothing_comes_is_closed(impatient: tuple[str, int], said: bytes) -> None:
    with socket.create_connection(impatient, timeout=10) as connection:
        connection.sendall(said)
        answers = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answers.count(b"HTTP/1.1 ") == said.count(WHOLE)


def test_a_head_that_comes_in_drops_is_not_waited_for_anew_with_each(impatient: tuple[str, int]) -> None:
    with socket.create_connection(impatient, timeout=10) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\n")
        connection.settimeout(0.05)
        answer = b""
        for _ in range(200):
            try:
                answer = connection.recv(65536)
                break
            except TimeoutError:
                connection.sendall(b"x: y\r\n")
    assert answer.startswith(b"HTTP/1.1 408 ")
