"""What a host on the internet may do to whoever asks it: answer in time, or be left."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from urllib3.exceptions import HTTPError

from anfl import public_hosts
from tests.unit.certificates import self_signed

HOST = "slow.example.test"
SECONDS = 0.4
Serve = Callable[[list[bytes] | None], int]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Serves one answer over TLS in these parts, a tenth of a second apart, by a certificate that is trusted here.

    None: greets late, and takes nothing.
    """
    certificate = self_signed(tmp_path, HOST)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def answer(parts: list[bytes] | None) -> None:
        accepted = listener.accept()[0]
        time.sleep(0 if parts is not None else 3 * SECONDS / 4)
        with contextlib.suppress(OSError), context.wrap_socket(accepted, server_side=True) as connection:
            if parts is None:
                time.sleep(2 * SECONDS)
                return
            connection.recv(4096)
            for part in parts:
                connection.sendall(part)
                time.sleep(SECONDS / 4)

    def start(parts: list[bytes] | None) -> int:
        threads.append(threading.Thread(target=answer, args=(parts,), daemon=True))
        threads[-1].start()
        port: int = listener.getsockname()[1]
        return port

    yield start
    for thread in threads:
        thread.join()
    listener.close()


def ask(port: int, *, body: bytes | None = None) -> tuple[int, bytes]:
    return public_hosts.request(
        "POST",
        "/",
        address="127.0.0.1",
        host=HOST,
        port=port,
        headers={"host": HOST},
        seconds=SECONDS,
        most_bytes=100,
        body=body,
    )


def test_of_a_hosts_addresses_the_one_that_this_machine_reaches_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's resolver puts it there (RFC 6724, 6): without a way to the IPv6 internet, the IPv4 ones."""
    reached, other = ("93.184.216.34", 0), ("2606:4700::1", 0, 0, 0)
    found = [
        (family, socket.SOCK_STREAM, 6, "", address) for family, address in [(2, reached), (10, other), (2, reached)]
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert public_hosts.resolve("example.test") == ["93.184.216.34", "2606:4700::1"]


def test_an_answer_may_come_in_parts(serve: Serve) -> None:
    assert ask(serve([b"HTTP/1.1 200 OK\r\n", b"content-length: 2\r\n\r\n", b"ok"])) == (200, b"ok")


@pytest.mark.parametrize(
    "parts",
    [
        [b"HTTP/1.1 200 OK\r\n", *[b"x: y\r\n"] * 20],
        [b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n", *[b" "] * 20],
        [b"HTTP/1.1 200 OK\r\n\r\n", *[b" "] * 20],
        [b"HTTP/1.1 100 Continue\r\n\r\n"] * 20,
    ],
    ids=["headers", "body", "body without an end", "interim answers"],
)
def test_an_answer_that_trickles_has_no_more_time_than_one_that_does_not_come(serve: Serve, parts: list[bytes]) -> None:
    """Each part comes soon after the last one, so that no single wait is long."""
    port, began = serve(parts), time.monotonic()
    with pytest.raises(HTTPError):
        ask(port)
    assert time.monotonic() - began < 3 * SECONDS


def test_a_request_that_is_not_taken_has_no_more_time_than_is_left(serve: Serve) -> None:
    """Here, after a greeting that has taken nearly all of it."""
    port, began = serve(None), time.monotonic()
    with pytest.raises(HTTPError):
        ask(port, body=b"x" * 20_000_000)
    assert time.monotonic() - began < 1.5 * SECONDS
