"""Tokens of OpenID Connect issuers on the internet, exchanged at the gateway: `test_internet` begins it."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from anfl.auth.oidc import UNKNOWN_KEY_REFRESH_SECONDS, ExternalIssuer
from local.environment import free_ports
from tests.local.end_to_end.running import Run
from tests.local.internet.issuer import Keys, issuing
from tests.local.internet.public import ADDRESS, eventually, told
from tests.unit.auth.issuing import CORPORATE, EC, RSA, key_set, token

THIEF = rsa.generate_private_key(65537, 2048)
NEXT = rsa.generate_private_key(65537, 2048)
LONGEST_SECONDS = 2.0
"""In which an issuer that does not answer is an outage."""


def _issuer(name: str, keys: str) -> ExternalIssuer:
    return msgspec.structs.replace(CORPORATE, name=name, issuer=f"https://{name}.example.test/", keys=keys)


@pytest.fixture(name="keys", scope="module")
def _keys(run: Run, certificate: Path) -> Iterator[Keys]:
    """An issuer that is configured as an environment does it, and three whose keys cannot be had."""
    with issuing(certificate, key_set()) as keys:
        [nobody] = free_ports(1)
        issuers = (
            msgspec.structs.replace(CORPORATE, keys=f"https://{ADDRESS}:{keys.port}/keys"),
            _issuer("gone", f"https://{ADDRESS}:{nobody}/keys"),
            _issuer("slow", f"https://{ADDRESS}:{keys.port}/slowly"),
            _issuer("inside", f"https://127.0.0.1:{keys.port}/inside"),
        )
        told(run, "auth", certificate=certificate, TOKEN_ISSUERS=msgspec.json.encode(issuers).decode())
        yield keys


def exchanged(run: Run, presented: str) -> httpx.Response:
    with run.client() as stranger:
        return stranger.post("/v1/auth/token", json={"grant": "oidc", "token": presented})


def entered(run: Run, presented: str) -> Mapping[str, str]:
    answer = exchanged(run, presented)
    assert answer.status_code == 200, answer.text
    return {"authorization": f"Bearer {answer.json()['access_token']}"}


def test_a_person_gets_in_by_the_roles_that_the_environment_says(run: Run, keys: Keys) -> None:
    reader, admin = (
        entered(run, token()),
        entered(run, token(EC, "ES256", {"kid": "e1"}, groups="ml-admins", sub="eve")),
    )
    with run.client() as http:
        known = http.get("/v1/auth/whoami", headers=reader).json()
        assert (known["subject"], known["tenant"], known["roles"]) == ("corp:ada@corp", "demo", ["reader"])
        assert http.get("/v1/auth/whoami", headers=admin).json()["roles"] == ["admin"]
        wanted = {"name": "of-a-person", "dimension": 2}
        assert http.get("/v1/collections", headers=reader).status_code == 200
        assert http.post("/v1/collections", json=wanted, headers=reader).status_code == 403
        assert http.post("/v1/collections", json=wanted, headers=admin).status_code == 201
        assert http.delete("/v1/collections/of-a-person", headers=admin).is_success
    assert set(keys.asked) == {"/keys"}


def spliced(claims: str, signed: str) -> str:
    """The claims of one token under the header and signature of another."""
    header, _, signature = signed.split(".")
    return f"{header}.{claims.split('.')[1]}.{signature}"


JWK = json.loads(RSAAlgorithm.to_jwk(THIEF.public_key()))
WRONG: dict[str, tuple[Callable[[], str], str]] = {
    "another's key": (lambda: token(THIEF), "token_signature"),
    "its own key in the header": (lambda: token(THIEF, headers={"jwk": JWK}), "token_signature"),
    "no algorithm": (lambda: token("", "none"), "token_algorithm"),
    "a shared secret": (lambda: token(b"x" * 64, "HS256"), "token_algorithm"),
    "a key of another algorithm": (lambda: token(EC, "ES256"), "token_unknown_key"),
    "unknown key": (lambda: token(headers={"kid": "r2"}), "token_unknown_key"),
    "critical extension": (lambda: token(headers={"crit": ["exp"]}), "token_algorithm"),
    "expired": (lambda: token(exp=int(time.time()) - 1), "token_expired"),
    "not yet valid": (lambda: token(nbf=int(time.time()) + 3600, exp=int(time.time()) + 7200), "token_not_yet_valid"),
    "for somebody else": (lambda: token(aud="somebody-else"), "token_audience"),
    "unknown issuer": (lambda: token(iss="https://evil.example.test/"), "token_audience"),
    "no issuer": (lambda: token(iss=None), "token_audience"),
    "no role": (lambda: token(groups=["everybody"]), "token_claims"),
    "no subject": (lambda: token(sub=None), "token_claims"),
    "a subject that writes elsewhere": (lambda: token(sub="ada\x1b[2J"), "token_claims"),
    "altered claims": (lambda: spliced(token(groups=["ml-admins"]), token()), "token_signature"),
    "cut off": (lambda: token().rpartition(".")[0], "token_malformed"),
    "no token": (lambda: "nothing", "token_malformed"),
    "oversize": (lambda: token(more="x" * 9000), "token_too_large"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_token_is_refused_at_once(run: Run, keys: Keys, what: str) -> None:
    made, code = WRONG[what]
    presented = made()
    asked = len(keys.asked)
    answer = exchanged(run, presented)
    assert (answer.status_code, answer.json()["code"]) == (401, code), answer.text
    assert answer.elapsed.total_seconds() < 1
    assert presented not in answer.text
    assert len(keys.asked) - asked <= 1


@pytest.mark.parametrize("name", ["gone", "slow", "inside"])
def test_an_issuer_whose_keys_cannot_be_had_is_an_outage(run: Run, keys: Keys, name: str) -> None:
    answer = exchanged(run, token(iss=f"https://{name}.example.test/"))
    assert (answer.status_code, answer.json()["code"]) == (503, "auth_unavailable"), answer.text
    assert "retry-after" in answer.headers
    assert answer.elapsed.total_seconds() < LONGEST_SECONDS
    assert "/inside" not in keys.asked
    assert exchanged(run, token()).status_code == 200, "the others go on"


def _published(**named: rsa.RSAPrivateKey) -> bytes:
    members: list[dict[str, Any]] = [
        {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "alg": "RS256"}
        for kid, key in named.items()
    ]
    return json.dumps({"keys": members}).encode()


def signed_by_next() -> str:
    return token(NEXT, headers={"kid": "next"})


def test_its_new_key_is_known_within_half_a_minute_and_its_old_one_no_longer(run: Run, keys: Keys) -> None:
    assert exchanged(run, token()).status_code == 200
    keys.document = _published(next=NEXT)
    eventually(lambda: exchanged(run, signed_by_next()).status_code == 200, seconds=UNKNOWN_KEY_REFRESH_SECONDS + 5)
    refused = exchanged(run, token(RSA))
    assert (refused.status_code, refused.json()["code"]) == (401, "token_unknown_key")


def test_an_issuer_that_goes_away_is_bridged_by_the_keys_that_are_known(run: Run, keys: Keys) -> None:
    keys.document = _published(next=NEXT)
    eventually(lambda: exchanged(run, signed_by_next()).status_code == 200, seconds=UNKNOWN_KEY_REFRESH_SECONDS + 5)
    keys.away = True
    try:
        time.sleep(UNKNOWN_KEY_REFRESH_SECONDS)
        asked = len(keys.asked)
        unknown = exchanged(run, token(headers={"kid": "what-is-that"}))
        assert (unknown.status_code, len(keys.asked) - asked) == (401, 1), unknown.text
        assert exchanged(run, signed_by_next()).status_code == 200
    finally:
        keys.away = False


def test_no_token_of_an_issuer_is_in_a_log(run: Run, keys: Keys) -> None:
    keys.document = key_set()
    presented = [token(EC, "ES256", {"kid": "e1"}, sub="grace"), *(made() for made, _ in WRONG.values())]
    statuses = {exchanged(run, one).status_code for one in presented}
    assert 401 in statuses
    signatures = {part for one in presented if len(part := one.rpartition(".")[2]) > 20}
    for path in (path for path in (run.state / "logs").rglob("*") if path.is_file()):
        content = path.read_text(errors="replace")
        assert not [one for one in signatures if one in content], path
