"""Tokens of other issuers: who is let in by them, by which keys, and from where those may be fetched."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import msgspec
import pytest
import urllib3
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from anfl.auth import oidc
from anfl.auth.oidc import KEYS_MAX_AGE_SECONDS, ExternalVerifier, UnreachableError, fetch_public
from anfl.auth.principal import Role
from anfl.problems import Problem
from tests.unit.auth.functions import Handler, answered, authorise, event, load
from tests.unit.auth.issuing import CORPORATE, EC, OTHER, key_set, token
from tests.unit.auth.tokens import part


class Issuer:
    """Counts who fetches its keys, and fails on request."""

    def __init__(self) -> None:
        self.fetched = 0
        self.document = key_set()
        self.away = False

    def __call__(self, _url: str) -> bytes:
        self.fetched += 1
        if self.away:
            raise UnreachableError("away")
        return self.document


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def verifier(issuer: Issuer) -> ExternalVerifier:
    return ExternalVerifier([CORPORATE, OTHER], fetch=issuer)


def refusal(by: ExternalVerifier, presented: str) -> tuple[int, str]:
    with pytest.raises(Problem) as caught:
        by.verify(presented)
    return caught.value.status, caught.value.code


def test_a_person_has_the_roles_and_the_tenant_that_the_environment_says(verifier: ExternalVerifier) -> None:
    person = verifier.verify(token(tenant="other", roles=["admin"]))
    assert (person.subject, person.tenant, set(person.roles)) == ("corp:ada@corp", "demo", {Role.READER})
    assert verifier.verify(token(groups="ml-readers ml-admins")).roles == {Role.READER, Role.ADMIN}
    assert verifier.verify(token(EC, "ES256", {"kid": "e1"}, aud=["x", "anfl"], azp="anfl")).tenant == "demo"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"exp": int(time.time()) - 1}, "token_expired"),
        ({"exp": None}, "token_claims"),
        ({"iat": None}, "token_claims"),
        ({"sub": None}, "token_claims"),
        ({"sub": 7}, "token_claims"),
        ({"sub": ""}, "token_claims"),
        ({"sub": "ada\nroot"}, "token_claims"),
        ({"sub": "ada\x1b[2J"}, "token_claims"),
        ({"sub": "\u202eada"}, "token_claims"),
        ({"sub": "x" * 201}, "token_claims"),
        ({"nbf": int(time.time()) + 600}, "token_not_yet_valid"),
        ({"aud": "somebody-else"}, "token_audience"),
        ({"aud": ["somebody-else"]}, "token_audience"),
        ({"aud": ["anfl", "somebody-else"]}, "token_audience"),
        ({"aud": ["anfl", "somebody-else"], "azp": "somebody-else"}, "token_audience"),
        ({"aud": ["anfl", "anfl"], "azp": ""}, "token_audience"),
        ({"aud": ["anfl", "somebody-else"], "azp": ["anfl"]}, "token_claims"),
        ({"iss": "https://evil.example.test"}, "token_audience"),
        ({"iss": OTHER.issuer + "/"}, "token_audience"),
        ({"iss": None}, "token_audience"),
        ({"groups": []}, "token_claims"),
        ({"groups": None}, "token_claims"),
        ({"groups": {"ml-admins": 1}}, "token_claims"),
        ({"groups": [["ml-admins"]]}, "token_claims"),
    ],
)
def test_wrong_claims(verifier: ExternalVerifier, changes: dict[str, Any], code: str) -> None:
    assert refusal(verifier, token(**changes)) == (401, code)


def test_keys_are_those_of_the_issuer_and_a_token_brings_none(verifier: ExternalVerifier, issuer: Issuer) -> None:
    thief = rsa.generate_private_key(65537, 2048)
    jwk = json.loads(RSAAlgorithm.to_jwk(thief.public_key()))
    for header in ({}, {"jwk": jwk}, {"jku": "https://evil.example.test"}, {"x5u": "https://evil.example.test"}):
        assert refusal(verifier, token(thief, headers=header)) == (401, "token_signature")
    assert refusal(verifier, token(headers={"crit": ["exp"]})) == (401, "token_algorithm")
    assert refusal(verifier, token(b"x" * 64, "HS256")) == (401, "token_algorithm")
    assert refusal(verifier, token(EC, "ES256")) == (401, "token_unknown_key"), "kid and algorithm belong together"
    assert refusal(verifier, token("", "none")) == (401, "token_algorithm")
    for strange in (["RS256"], {"RS256": 1}, 1, None):
        presented = f"{part({'alg': strange, 'kid': 'key-1'})}.{token().partition('.')[2]}"
        assert refusal(verifier, presented) == (401, "token_algorithm")
    assert issuer.fetched == 1


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_keys_that_sign_nothing_are_too_short_or_too_many_let_nobody_in_and_keep_nobody_out(
    verifier: ExternalVerifier, issuer: Issuer
) -> None:
    short = rsa.generate_private_key(65537, 1024)  # noqa: S505 - what it is about
    of_short = {**RSAAlgorithm.to_jwk(short.public_key(), as_dict=True), "kid": "short", "alg": "RS256"}
    of_none = {**ECAlgorithm.to_jwk(EC.public_key(), as_dict=True), "kid": "none", "alg": "none"}
    of_ec = {**ECAlgorithm.to_jwk(EC.public_key(), as_dict=True), "alg": "ES256"}
    to_encrypt, last = {**of_ec, "kid": "encrypts", "use": "enc"}, {**of_ec, "kid": "33"}
    issuer.document = key_set(of_short, of_none, to_encrypt, *[{"kty": "unknown"}] * 25, last)
    assert verifier.verify(token()).tenant == "demo"
    assert refusal(verifier, token(short, headers={"kid": "short"})) == (401, "token_unknown_key")
    for kid in ("none", "encrypts", "33"):
        assert refusal(verifier, token(EC, "ES256", {"kid": kid})) == (401, "token_unknown_key")


def test_unknown_keys_cannot_make_it_fetch_often(verifier: ExternalVerifier, issuer: Issuer) -> None:
    for number in range(50):
        assert refusal(verifier, token(headers={"kid": f"unknown-{number}"})) == (401, "token_unknown_key")
    assert issuer.fetched == 1


def test_an_issuer_that_is_away_from_the_start_is_an_outage(verifier: ExternalVerifier, issuer: Issuer) -> None:
    issuer.away = True
    assert refusal(verifier, token()) == (503, "auth_unavailable")


def test_an_issuer_that_is_away_is_bridged_by_its_last_keys_for_so_long_and_no_longer(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = 0.0
    monkeypatch.setattr("anfl.elapsed.seconds", lambda: passed)
    verifier = ExternalVerifier([CORPORATE], fetch=issuer)
    verifier.verify(token())
    issuer.away = True
    passed = KEYS_MAX_AGE_SECONDS - 1
    assert verifier.verify(token()).tenant == CORPORATE.tenant
    passed = KEYS_MAX_AGE_SECONDS + 1
    assert refusal(verifier, token()) == (503, "auth_unavailable")


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b'{"keys": 7}', b'{"keys": []}', b"\xff", b"[" * 5000])
def test_what_is_no_key_set_lets_nobody_in(verifier: ExternalVerifier, issuer: Issuer, document: bytes) -> None:
    issuer.document = document
    assert refusal(verifier, token())[0] in {401, 503}


@pytest.mark.parametrize(
    "addresses",
    [
        [],
        ["127.0.0.1"],
        ["10.0.1.5"],
        ["169.254.169.254"],
        ["::1"],
        ["fd00::1"],
        ["::ffff:10.0.0.1"],
        ["100.64.0.1"],
        ["93.184.216.34", "10.0.0.1"],
        ["224.0.0.1"],
    ],
)
def test_no_key_is_fetched_from_inside_the_network(addresses: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oidc, "_get", lambda *_: pytest.fail("it was asked"))
    with pytest.raises(UnreachableError):
        fetch_public("https://keys.example.test/k", resolver=lambda _: addresses)


def test_the_address_that_was_looked_at_is_the_one_that_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that means another address a moment later (DNS rebinding) leads nowhere else."""
    answers = iter([["93.184.216.34"], ["127.0.0.1"]])
    asked: list[tuple[object, ...]] = []

    def get(*given: object) -> bytes:
        asked.append(given)
        return b"{}"

    monkeypatch.setattr(oidc, "_get", get)
    assert fetch_public("https://keys.example.test/k?v=1", resolver=lambda _: next(answers)) == b"{}"
    assert asked == [("93.184.216.34", "keys.example.test", 443, "/k?v=1")]


@pytest.mark.parametrize("url", ["http://keys.example.test/k", "ftp://keys.example.test/k", "https:///k", "file:///k"])
def test_only_https_addresses(url: str) -> None:
    with pytest.raises(UnreachableError):
        fetch_public(url, resolver=lambda _: ["93.184.216.34"])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What `_get` talks to, in clear; the paths that it was asked for."""
    paths: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            status = {"/redirect": 302, "/gone": 404}.get(self.path, 200)
            body = b"x" * (65 * 1024) if self.path == "/large" else b"{}"
            self.send_response(status)
            self.send_header("location", "/elsewhere")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_given: object) -> None: ...

    http = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()

    def pool(address: str, _port: int, **options: Any) -> Any:
        assert (options["cert_reqs"], options["server_hostname"]) == ("CERT_REQUIRED", "keys.example.test")
        return urllib3.HTTPConnectionPool(address, http.server_address[1], retries=False)

    monkeypatch.setattr("anfl.public_hosts.urllib3.HTTPSConnectionPool", pool)
    yield paths
    http.shutdown()
    http.server_close()
    thread.join()


def test_no_redirect_is_followed_and_no_endless_document_read(server: list[str]) -> None:
    for path in ("/redirect", "/gone", "/large"):
        with pytest.raises(UnreachableError):
            oidc._get("127.0.0.1", "keys.example.test", 443, path)
    assert oidc._get("127.0.0.1", "keys.example.test", 443, "/k") == b"{}"
    assert server == ["/redirect", "/gone", "/large", "/k"]


@pytest.mark.usefixtures("ready")
def test_an_issuers_token_becomes_one_that_everybody_takes(
    auth: Handler, authorizer: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exchanged(by: Handler, presented: str) -> dict[str, Any]:
        return by(event("POST", "/v1/auth/token", body={"grant": "oidc", "token": presented}), None)

    assert answered(exchanged(auth, token()), 401)["code"] == "token_audience", "unless the environment names it"
    monkeypatch.setenv("TOKEN_ISSUERS", msgspec.json.encode([CORPORATE]).decode())
    monkeypatch.setattr(oidc, "fetch_public", lambda _url: key_set())
    here: Handler = load("auth").handler

    ours = answered(exchanged(here, token()), 200)["access_token"]

    answer = authorise(authorizer, ours)
    assert answer["context"] == {"tenant": "demo", "subject": "corp:ada@corp", "roles": "reader"}
    assert answered(exchanged(here, token(aud="x")), 401)["code"] == "token_audience"
