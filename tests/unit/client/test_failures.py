"""What the client says where no answer came: what happened, in words, and what to do about it."""

import datetime
import errno
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from anfl.client import Client, UnreachableError
from anfl.client.failures import failure_of

Treatment = Callable[[socket.socket], None]
"""What a server does with a connection."""


@pytest.fixture(autouse=True)
def _asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anfl.client.retries.ATTEMPTS", 1)


@contextmanager
def server(treat: Treatment) -> Iterator[int]:
    """The port of a server that takes one connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                treat(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(5)


def said(endpoint: str, *, method: str = "GET", seconds: float = 5, ca: Path | None = None) -> tuple[str, str]:
    """What the error says, and its advice."""
    with Client(endpoint, timeout=seconds, ca=ca) as client, pytest.raises(UnreachableError) as caught:
        client.json(method, "/x")
    (advice,) = caught.value.__notes__
    start = f"{method} /x at {endpoint}: "
    assert str(caught.value).startswith(start)
    return str(caught.value).removeprefix(start), advice


def test_nothing_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        happened, advice = said(f"http://127.0.0.1:{unused.getsockname()[1]}")
    assert happened == "the connection was refused: nothing listens there."
    assert advice == "Check the address, and whether the service runs."


def test_a_name_that_nobody_knows() -> None:
    happened, advice = said("http://nobody.invalid")
    assert happened == "no address is known for that name."
    assert advice.startswith("Check the name in the address")


@pytest.mark.parametrize(("method", "advice"), [("GET", "Try again"), ("POST", "Whether it was done is not known")])
def test_no_answer_in_time(method: str, advice: str) -> None:
    done = threading.Event()

    def treat(_connection: socket.socket) -> None:
        done.wait(5)

    with server(treat) as port:
        happened, given = said(f"http://127.0.0.1:{port}", method=method, seconds=0.2)
        done.set()
    assert happened == "no answer came in time."
    assert given.startswith(advice)


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhal"])
@pytest.mark.parametrize(("method", "advice"), [("GET", "Try again"), ("POST", "Whether it was done is not known")])
def test_a_connection_that_is_dropped(sent: bytes, method: str, advice: str) -> None:
    def treat(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(sent)

    with server(treat) as port:
        happened, given = said(f"http://127.0.0.1:{port}", method=method)
    assert happened == "the connection was dropped before all of the answer had come."
    assert given.startswith(advice)


def test_a_connection_that_is_reset() -> None:
    def treat(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")

    with server(treat) as port:
        happened, _ = said(f"http://127.0.0.1:{port}")
    assert happened == "the connection was dropped before all of the answer had come."


def test_what_is_not_http() -> None:
    def treat(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"220 mail.example.org ESMTP\r\n\r\n")

    with server(treat) as port:
        happened, advice = said(f"http://127.0.0.1:{port}")
    assert (happened, advice) == ("what came back is not HTTP.", "Check the address, and whether the service runs.")


def test_what_does_not_speak_tls() -> None:
    def treat(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with server(treat) as port:
        happened, advice = said(f"https://127.0.0.1:{port}")
    assert (happened, advice) == ("it does not speak TLS.", "Does its address begin with http, not https?")


@pytest.mark.parametrize(
    ("address", "days", "trusted", "happened", "advice"),
    [
        ("127.0.0.1", 1, False, "its certificate is signed by nobody whom this machine trusts.", "--ca or ANFL_CA"),
        ("127.0.0.2", 1, True, "its certificate is for another name.", "Check the name"),
        ("127.0.0.1", -1, True, "its certificate is not valid at this time.", "this machine's clock"),
    ],
)
def test_a_certificate_that_is_not_accepted(
    tmp_path: Path, address: str, days: int, trusted: bool, happened: str, advice: str
) -> None:
    file = certificate(tmp_path, address, days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)

    def treat(connection: socket.socket) -> None:
        try:
            context.wrap_socket(connection, server_side=True).close()
        except OSError:
            return  # the client went away

    with server(treat) as port:
        told, given = said(f"https://127.0.0.1:{port}", ca=file if trusted else None)
    assert told == happened
    assert advice in given


def certificate(folder: Path, address: str, days: int) -> Path:
    """A file with a key and a certificate that it signed itself; ``days`` until it expires."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=9))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + made.public_bytes(Encoding.PEM)
    )
    return file


@pytest.mark.parametrize(
    ("error", "happened"),
    [
        (httpx.ConnectTimeout("x"), "no connection came about in time"),
        (httpx.WriteTimeout("x"), "it stopped taking what was sent"),
        (httpx.ConnectError("x"), "no connection came about"),
        (httpx.ProxyError("x"), "the proxy did not lead there"),
        (httpx.UnsupportedProtocol("x"), "it failed (UnsupportedProtocol)"),
    ],
)
def test_other_failures(error: httpx.HTTPError, happened: str) -> None:
    assert failure_of(error).happened == happened


def test_no_network_leads_there() -> None:
    error = httpx.ConnectError("x")
    error.__cause__ = OSError(errno.ENETUNREACH, "x")
    assert failure_of(error).happened == "no network leads there"
