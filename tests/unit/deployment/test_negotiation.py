"""Which TLS is negotiated, against servers on loopback; and what that says about a name."""

import datetime as dt
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from deployment.preflight import protocols
from deployment.preflight.negotiation import DistrustedError, Handshake, UnreachableError, attempt
from deployment.preflight.results import Outcome
from deployment.rollout import Rollout
from tests.unit.deployment.conftest import Recorded, resource
from tests.unit.deployment.test_readiness import outcome

HOST = "api.example.test"
OLD, NEW = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for ``HOST`` and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + built.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def serve(certificate: Path) -> Iterator[Callable[..., int]]:
    """A TLS server of some versions; its port."""
    listening = []

    def start(least: ssl.TLSVersion, most: ssl.TLSVersion) -> int:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version, context.maximum_version = least, most
        context.load_cert_chain(certificate)
        listener = socket.create_server(("127.0.0.1", 0))
        listening.append(listener)
        threading.Thread(target=_serve, args=(listener, context), daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    for listener in listening:
        listener.close()


def _serve(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        try:
            with context.wrap_socket(connection, server_side=True) as secured:
                secured.recv(1)
        except OSError:
            connection.close()


@pytest.mark.parametrize(
    ("least", "most", "version", "expected"),
    [
        (NEW, NEW, NEW, Handshake.DONE),
        (NEW, NEW, OLD, Handshake.REFUSED),
        (OLD, OLD, NEW, Handshake.REFUSED),
        (OLD, NEW, OLD, Handshake.DONE),
    ],
)
def test_what_a_server_negotiates(
    serve: Callable[..., int],
    certificate: Path,
    least: ssl.TLSVersion,
    most: ssl.TLSVersion,
    version: ssl.TLSVersion,
    expected: Handshake,
) -> None:
    found = attempt(HOST, version, port=serve(least, most), address="127.0.0.1", trust=str(certificate))
    assert found is expected


def test_a_certificate_that_nobody_vouches_for_is_not_taken_for_a_refusal(serve: Callable[..., int]) -> None:
    with pytest.raises(DistrustedError):
        attempt(HOST, NEW, port=serve(NEW, NEW), address="127.0.0.1")


def test_a_certificate_of_another_name(serve: Callable[..., int], certificate: Path) -> None:
    with pytest.raises(DistrustedError):
        attempt("other.example.test", NEW, port=serve(NEW, NEW), address="127.0.0.1", trust=str(certificate))


def test_nobody_listens(certificate: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(UnreachableError):
        attempt(HOST, NEW, port=port, address="127.0.0.1", trust=str(certificate))


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        (Handshake.DONE, Handshake.REFUSED, Outcome.OK),
        (Handshake.DONE, Handshake.DONE, Outcome.FAILED),
        (Handshake.REFUSED, Handshake.DONE, Outcome.FAILED),
        (UnreachableError("no address"), None, Outcome.NOT_CHECKED),
        (DistrustedError("self-signed"), None, Outcome.FAILED),
    ],
)
def test_a_name_must_accept_1_3_and_refuse_1_2(
    new: Handshake | Exception, old: Handshake | None, expected: Outcome
) -> None:
    def attempt(_host: str, version: ssl.TLSVersion) -> Handshake:
        found = new if version is NEW else old
        if isinstance(found, Exception):
            raise found
        assert found is not None
        return found

    assert outcome(protocols.only_1_3(HOST, attempt=attempt)) is expected


@pytest.mark.parametrize(
    ("case", "answer", "expected"),
    [
        ("strict", 200, Outcome.OK),
        ("strict", 502, Outcome.FAILED),
        ("lenient", 200, Outcome.WARNING),
        ("strict", httpx.ConnectError("no address"), Outcome.NOT_CHECKED),
        ("absent", 200, Outcome.NOT_CHECKED),
    ],
)
def test_the_listener_behind_the_link(
    recorded: Recorded,
    one_stack: Callable[..., Rollout],
    case: str,
    answer: int | Exception,
    expected: Outcome,
) -> None:
    def get(url: str) -> int:
        assert url == "https://us-west-1.api.example.test/v1/openapi.json"
        if isinstance(answer, Exception):
            raise answer
        return answer

    rollout = one_stack(
        Listener=resource("AWS::ElasticLoadBalancingV2::Listener", Protocol="HTTPS"),
        Vault=resource("AWS::ElasticLoadBalancingV2::Listener", Protocol="TLS"),
        Name=resource("AWS::ApiGateway::DomainName", DomainName="us-west-1.api.example.test"),
    )
    checks = {check.id: check for check in protocols.checks(recorded(f"link/{case}"), rollout, get=get)}
    assert checks.keys() == {"tls.us-west-1.api.example.test", "tls.link.us-west-1"}
    assert outcome(checks["tls.link.us-west-1"].look()) is expected
