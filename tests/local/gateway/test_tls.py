"""``anfl up --tls``: TLS 1.3 alone, by an authority that vouches for this machine and nothing else."""

import contextlib
import datetime
import socket
import ssl
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from anfl.client import Client, UnreachableError, UnsendableError
from local.certificates import (
    AUTHORITY_LIFE,
    LEAF_LIFE,
    Authority,
    CertificateError,
    ServerCertificate,
    _pem,
    authority,
)
from local.serving import configuration


class Time:
    """Stands still unless told."""

    def __init__(self) -> None:
        self.now = datetime.datetime.now(datetime.UTC)

    def __call__(self) -> datetime.datetime:
        return self.now


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers whatever is asked."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "http":
        headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})


@contextlib.contextmanager
def served(certificate: ServerCertificate) -> Iterator[int]:
    """The port of a server as the gateway is one."""
    server = uvicorn.Server(configuration(app, port=0, certificate=certificate))
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.fixture(scope="module", name="known")
def _known(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("run") / "tls")


@pytest.fixture(scope="module", name="port")
def _port(known: Authority) -> Iterator[int]:
    with served(known.server("gateway.pem")) as port:
        yield port


def handshake(port: int, context: ssl.SSLContext, name: str = "localhost") -> ssl.SSLSocket:
    with socket.create_connection(("127.0.0.1", port), 10) as plain:
        return context.wrap_socket(plain, server_hostname=name)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_who_trusts_the_authority_gets_tls_1_3_by_any_of_the_machines_names(
    known: Authority, port: int, name: str
) -> None:
    with handshake(port, ssl.create_default_context(cafile=known.path), name) as secured:
        assert secured.version() == "TLSv1.3"


def test_a_client_of_tls_1_2_is_refused(known: Authority, port: int) -> None:
    context = ssl.create_default_context(cafile=known.path)
    handshake(port, context).close()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):  # an alert, or the end of the connection: as the event loop has it
        handshake(port, context)


def test_nobody_else_trusts_it_and_it_vouches_for_no_other_name(known: Authority, port: int) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(port, ssl.create_default_context())
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(port, ssl.create_default_context(cafile=known.path), "api.example.org")


def test_plain_http_is_no_way_in(port: int) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)


def test_the_client_trusts_what_it_is_told_to(known: Authority, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANFL_CA", raising=False)
    endpoint = f"https://127.0.0.1:{port}"
    with Client(endpoint, ca=known.path) as client:
        assert client.json("GET", "/") == {}
    monkeypatch.setattr("anfl.client.retries.ATTEMPTS", 1)
    with Client(endpoint) as stranger, pytest.raises(UnreachableError, match="signed by nobody whom this"):
        stranger.json("GET", "/")
    monkeypatch.setenv("ANFL_CA", str(known.path))
    with Client(endpoint) as client:
        assert client.json("GET", "/") == {}


def test_a_file_without_certificates_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    for place in (empty, tmp_path / "absent.pem"):
        with pytest.raises(UnsendableError, match=place.name):
            Client("https://127.0.0.1:1", ca=place)
        empty.touch()


def test_keys_are_the_owners_alone_and_the_certificate_is_not_one(known: Authority) -> None:
    known.server("gateway.pem")
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in known.folder.iterdir()}
    assert modes.keys() == {"ca.key", "ca.pem", "gateway.pem"}
    assert modes["ca.key"] == modes["gateway.pem"] == 0o600
    assert stat.S_IMODE(known.folder.stat().st_mode) == 0o700
    assert b"PRIVATE" not in known.path.read_bytes()


def test_the_authority_stays_and_is_made_anew_before_its_end(tmp_path: Path) -> None:
    clock = Time()
    first = authority(tmp_path, now=clock)
    first.path.unlink()  # as a start that was killed leaves it
    again = authority(tmp_path, now=clock)
    assert again.certificate == first.certificate
    assert x509.load_pem_x509_certificate(again.path.read_bytes()) == first.certificate
    clock.now += AUTHORITY_LIFE - datetime.timedelta(days=29)
    assert authority(tmp_path, now=clock).certificate != first.certificate


def test_servers_that_start_at_once_share_the_authority(tmp_path: Path) -> None:
    made = authority(tmp_path)
    with ThreadPoolExecutor(8) as servers:
        found = list(servers.map(authority, [tmp_path] * 200))
    assert {each.certificate for each in found} == {made.certificate}


def test_what_is_no_authority_is_named_and_left_alone(tmp_path: Path) -> None:
    other = authority(tmp_path / "other")
    (tmp_path / "ca.key").write_bytes(b"-----BEGIN PRIVATE KEY-----\nno\n-----END PRIVATE KEY-----\n")
    with pytest.raises(CertificateError, match=str(tmp_path)):
        authority(tmp_path)
    key = (tmp_path / "other" / "ca.key").read_bytes().partition(b"-----BEGIN CERT")[0]
    stranger = authority(tmp_path / "stranger").path.read_bytes()
    (tmp_path / "other" / "ca.key").write_bytes(key + stranger)
    with pytest.raises(CertificateError, match="another one's"):
        authority(other.folder)


def test_the_certificate_lasts_a_day_and_is_made_anew_at_half_of_it(tmp_path: Path) -> None:
    clock = Time()
    clock.now -= LEAF_LIFE / 2  # what is presented at the end is valid now
    known = authority(tmp_path, now=clock)
    certificate = known.server("gateway.pem", now=clock)
    trusting = ssl.create_default_context(cafile=known.path)

    def presented(port: int) -> x509.Certificate:
        with handshake(port, trusting) as secured:
            return x509.load_der_x509_certificate(secured.getpeercert(binary_form=True) or b"")

    with served(certificate) as port:
        first = presented(port)
        assert first.not_valid_after_utc - clock.now <= LEAF_LIFE
        clock.now += LEAF_LIFE / 2 - datetime.timedelta(seconds=1)
        assert not certificate.renew()
        assert presented(port) == first
        clock.now += datetime.timedelta(seconds=1)
        assert certificate.renew()
        assert presented(port).not_valid_after_utc - first.not_valid_after_utc == LEAF_LIFE / 2


def test_a_stolen_authority_vouches_for_no_other_host(known: Authority, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    forged = known.sign(key.public_key(), Time().now, [x509.DNSName("api.example.org")])
    certificate = known.server("gateway.pem")
    place = tmp_path / "forged.pem"
    place.write_bytes(_pem(key) + forged.public_bytes(Encoding.PEM))
    certificate.context.load_cert_chain(place)
    with served(certificate) as port, pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree"):
        handshake(port, ssl.create_default_context(cafile=known.path), "api.example.org")
