"""How the cache is entered: as an IAM identity, over TLS 1.3, without patience."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.exceptions import NoCredentialsError

from anfl import cache
from tests.unit.certificates import self_signed

SESSION = boto3.session.Session(
    aws_access_key_id="AKIDEXAMPLE",
    aws_secret_access_key="secret",
    aws_session_token="session-token",
    region_name="us-west-1",
)


def test_the_password_is_a_signed_request_to_connect() -> None:
    login = cache.IamLogin(name="anfl-prod-cache-1", user="anfl-prod-cache-decisions", session=SESSION)
    user, password = login.get_credentials()
    assert user == "anfl-prod-cache-decisions"
    assert not password.startswith("http")
    url = urlsplit(f"https://{password}")
    assert (url.netloc, url.path) == ("anfl-prod-cache-1", "/")
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert (query["Action"], query["User"]) == ("connect", user)
    assert query["X-Amz-Credential"].endswith("/us-west-1/elasticache/aws4_request")
    assert (query["X-Amz-Expires"], query["X-Amz-SignedHeaders"]) == ("900", "host")
    assert query["X-Amz-Security-Token"] == "session-token"
    assert len(query["X-Amz-Signature"]) == 64


def test_without_credentials_there_is_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    session = boto3.session.Session(region_name="us-west-1")
    monkeypatch.setattr(session, "get_credentials", lambda: None)
    with pytest.raises(NoCredentialsError):
        cache.IamLogin(name="c", user="u", session=session).get_credentials()


def test_where_there_is_no_cache_there_are_no_marks() -> None:
    assert cache.connect(cache.Settings(), SESSION) is None


@contextmanager
def listening(context: ssl.SSLContext) -> Iterator[tuple[int, list[str]]]:
    """A server that notes each handshake, and the port on which it listens."""
    seen: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    plain, _ = server.accept()
                except OSError:
                    return
                try:
                    with context.wrap_socket(plain, server_side=True) as secure:
                        seen.append(f"{secure.version()} {secure.recv(4096)[:10]!r}")
                except OSError as error:
                    seen.append(type(error).__name__)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], seen


@pytest.mark.parametrize(("most", "shaken"), [(ssl.TLSVersion.TLSv1_3, True), (ssl.TLSVersion.TLSv1_2, False)])
def test_it_speaks_tls_1_3_alone_to_whom_the_certificate_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: ssl.TLSVersion, shaken: bool
) -> None:
    certificate = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = most
    context.load_cert_chain(certificate)
    with listening(context) as (port, seen):
        marks = cache.connect(cache.Settings(host="localhost", port=port, name="c", user="u"), SESSION)
        assert marks is not None
        assert marks.seconds_left("decision:x") == 0
    assert {entry.partition(" ")[0] for entry in seen if entry.startswith("TLS")} == ({"TLSv1.3"} if shaken else set())


def test_a_certificate_for_another_host_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = self_signed(tmp_path, "elsewhere.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with listening(context) as (port, seen):
        marks = cache.connect(cache.Settings(host="localhost", port=port, name="c", user="u"), SESSION)
        assert marks is not None
        assert marks.seconds_left("decision:x") == 0
    assert not any("b'*" in entry for entry in seen), "no password was sent"
