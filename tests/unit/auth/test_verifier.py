"""A good token is taken; every attack on it is a 401 with its own code, never anything else."""

import base64
import hmac
import time
from hashlib import sha256
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from anfl.auth.keys import DenyList, KeySet
from anfl.auth.principal import Role
from anfl.auth.verifier import MAX_TOKEN_BYTES, TokenVerifier
from anfl.problems import Problem
from tests.unit.auth.conftest import AUDIENCE, ISSUER
from tests.unit.auth.tokens import KID, claims, new_key, part, published, signed, verifier

KEY = new_key()
VERIFIER = verifier(KEY)


def refusal(token: str, by: TokenVerifier = VERIFIER) -> str:
    with pytest.raises(Problem) as caught:
        by.verify(token)
    assert caught.value.status == 401
    return caught.value.code


def test_good_token_names_its_bearer() -> None:
    payload = claims(roles=["writer", "reader"])

    principal = VERIFIER.verify(signed(KEY, payload))

    assert principal.subject == "demo.reader"
    assert principal.tenant == "demo"
    assert principal.roles == {Role.READER, Role.WRITER}
    assert principal.token_id == "token-1"
    assert principal.expires_at == payload["exp"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"exp": int(time.time()) - 1}, "token_expired"),
        ({"exp": 0}, "token_expired"),
        ({"nbf": int(time.time()) + 600}, "token_not_yet_valid"),
        ({"iat": int(time.time()) + 600}, "token_not_yet_valid"),
        ({"iss": "https://evil.example.test"}, "token_audience"),
        ({"aud": "somebody-else"}, "token_audience"),
        ({"aud": ["somebody-else"]}, "token_claims"),
        ({"aud": [AUDIENCE, "somebody-else"]}, "token_claims"),
        ({"iss": None}, "token_claims"),
        ({"aud": None}, "token_claims"),
        ({"exp": None}, "token_claims"),
        ({"nbf": None}, "token_claims"),
        ({"iat": None}, "token_claims"),
        ({"jti": None}, "token_claims"),
        ({"jti": ""}, "token_claims"),
        ({"sub": None}, "token_claims"),
        ({"tenant": None}, "token_claims"),
        ({"tenant": "../other"}, "token_claims"),
        ({"tenant": "demo\n"}, "token_claims"),
        ({"tenant": "Demo"}, "token_claims"),
        ({"tenant": "dеmo"}, "token_claims"),  # a Cyrillic е
        ({"tenant": ["demo"]}, "token_claims"),
        ({"roles": []}, "token_claims"),
        ({"roles": "admin"}, "token_claims"),
        ({"roles": ["root"]}, "token_claims"),
        ({"roles": ["reader"] * 7}, "token_claims"),
        ({"exp": "9999999999"}, "token_claims"),
        ({"exp": 1e400}, "token_malformed"),
        ({"exp": True}, "token_claims"),
        ({"exp": 10**30}, "token_claims"),
        ({"sub": "x" * 257}, "token_claims"),
    ],
)
def test_signed_but_wrong_claims_are_refused(changes: dict[str, Any], code: str) -> None:
    assert refusal(signed(KEY, claims(**changes))) == code


def test_algorithm_none_is_refused() -> None:
    for algorithm in ("none", "None", "nOnE", "NONE", ""):
        unsigned = f"{part({'alg': algorithm, 'kid': KID, 'typ': 'JWT'})}.{part(claims())}."
        assert refusal(unsigned) in {"token_algorithm", "token_malformed"}


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_public_key_as_hmac_secret_is_refused(encoding: Encoding) -> None:
    secret = KEY.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
    signing_input = f"{part({'alg': 'HS256', 'kid': KID, 'typ': 'JWT'})}.{part(claims(roles=['admin']))}"
    signature = base64.urlsafe_b64encode(hmac.digest(secret, signing_input.encode(), sha256)).rstrip(b"=").decode()

    assert refusal(f"{signing_input}.{signature}") == "token_algorithm"


@pytest.mark.parametrize("kid", [None, 7, [], {}, "", "unknown", "../../etc/passwd", "' OR 1=1 --", f"{KID}\x00"])
def test_kid_that_is_not_published_is_refused(kid: object) -> None:
    header = {"alg": "ES256", "typ": "JWT"} | ({} if kid is None else {"kid": kid})

    assert refusal(f"{part(header)}.{part(claims())}.{'A' * 86}") in {"token_unknown_key", "token_malformed"}


@pytest.mark.parametrize("member", ["jwk", "jku", "x5u", "x5c", "crit", "b64", "zip"])
def test_headers_that_bring_a_key_or_change_the_rules_are_refused(member: str) -> None:
    attacker = new_key()
    value = {"jwk": published(attacker).jwk, "crit": ["b64"], "b64": False}.get(member, "https://evil.example.test/k")

    assert refusal(signed(attacker, headers={member: value})) == "token_malformed"


def test_key_of_another_signer_is_refused() -> None:
    assert refusal(signed(new_key())) == "token_signature"


def test_altered_claims_are_refused() -> None:
    header, _, signature = signed(KEY).split(".")

    assert refusal(f"{header}.{part(claims(roles=['admin']))}.{signature}") == "token_signature"


def test_altered_signature_is_refused() -> None:
    token = signed(KEY)
    flipped = "A" if token[-20] != "A" else "B"

    assert refusal(f"{token[:-20]}{flipped}{token[-19:]}") == "token_signature"
    assert refusal(f"{token.rpartition('.')[0]}.") == "token_signature"
    assert refusal(f"{token.rpartition('.')[0]}.{'A' * 86}") == "token_signature"


def test_key_for_another_algorithm_is_refused() -> None:
    by = TokenVerifier(
        KeySet(lambda: (published(KEY, alg="ES384"), published(KEY, kid="broken", kty="oct"))),
        issuer=ISSUER,
        audience=AUDIENCE,
        deny_list=DenyList(frozenset),
    )

    assert refusal(signed(KEY), by) == "token_unknown_key"


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("", "token_malformed"),
        (".", "token_malformed"),
        ("..", "token_malformed"),
        ("a.b", "token_malformed"),
        ("a.b.c.d", "token_malformed"),
        ("a.b.c.d.e", "token_malformed"),
        (" a.b.c", "token_malformed"),
        ("ä.ö.ü", "token_malformed"),
        ("e30.e30.e30", "token_algorithm"),
        ("\x00.\x00.\x00", "token_malformed"),
        ("ｅ30.ｅ30.ｅ30", "token_malformed"),
        ("bnVsbA.e30.e30", "token_malformed"),
        ("W10.e30.e30", "token_malformed"),
        ("x" * (MAX_TOKEN_BYTES + 1), "token_too_large"),
        ("a." * (MAX_TOKEN_BYTES // 2), "token_malformed"),
        (f"{'x' * 600}.e30.e30", "token_malformed"),
        (base64.urlsafe_b64encode(b"[" * 380).decode() + ".e30.e30", "token_malformed"),
    ],
)
def test_anything_that_is_no_token_is_refused(token: str, code: str) -> None:
    assert refusal(token) == code


def test_payload_that_is_no_object_is_refused_after_the_signature_only() -> None:
    for payload in (b"[]", b"null", b"{", b"\xff", b'{"exp": NaN}', b"[" * 2000):
        token = jwt.PyJWS().encode(payload, KEY, "ES256", headers={"kid": KID, "typ": "JWT"})
        assert refusal(token) in {"token_malformed", "token_claims"}


@given(st.text(max_size=200))
def test_no_text_makes_it_fail_otherwise(token: str) -> None:
    refusal(token)


@given(st.binary(max_size=300), st.binary(max_size=300), st.binary(max_size=100))
def test_no_encoded_bytes_make_it_fail_otherwise(header: bytes, payload: bytes, signature: bytes) -> None:
    encoded = (base64.urlsafe_b64encode(piece).rstrip(b"=").decode() for piece in (header, payload, signature))

    refusal(".".join(encoded))


class TestCache:
    """`cached` answers without the network, and never longer than it may."""

    def test_only_verified_tokens_are_cached(self) -> None:
        by, token = verifier(KEY), signed(KEY)
        assert by.cached(token) is None

        assert by.verify(token) == by.cached(token)
        assert by.cached(f"{token}x") is None
        assert by.cached("") is None

    def test_expiry_ends_it(self) -> None:
        now = time.time()
        by = TokenVerifier(
            KeySet(lambda: (published(KEY),)),
            issuer=ISSUER,
            audience=AUDIENCE,
            deny_list=DenyList(frozenset),
            clock=lambda: now,
        )
        token = signed(KEY, claims(exp=int(now) + 2))
        by.verify(token)
        assert by.cached(token) is not None

        now += 3

        assert by.cached(token) is None
        assert refusal(token, by) == "token_expired"

    def test_revocation_is_seen_after_the_stated_lag(self) -> None:
        ticks, revoked = 0.0, frozenset[str]()
        by = TokenVerifier(
            KeySet(lambda: (published(KEY),)),
            issuer=ISSUER,
            audience=AUDIENCE,
            deny_list=DenyList(lambda: revoked, clock=lambda: ticks),
        )
        token = signed(KEY)
        by.verify(token)
        revoked = frozenset({"demo/token-1"})
        assert by.cached(token) is not None

        ticks += 15.1

        assert by.cached(token) is None
        assert refusal(token, by) == "token_revoked"
        assert by.cached(token) is None

    def test_it_is_bounded(self) -> None:
        by = verifier(KEY)
        first = signed(KEY, claims(jti="first"))
        by.verify(first)
        assert by.cached(first) is not None

        by._verified.update({str(number): by._verified[first] for number in range(4095)})
        by.verify(signed(KEY, claims(jti="last")))

        assert by.cached(first) is None
        assert len(by._verified) == 4096
