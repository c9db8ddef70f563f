"""Tokens that nobody may take, by the name of the attack."""

import base64
import hmac
import time
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from anfl.auth.verifier import MAX_TOKEN_BYTES
from tests.unit.auth.tokens import KID, claims, new_key, part, published, signed


def attacks(key: ec.EllipticCurvePrivateKey, *, kid: str = KID) -> Iterator[tuple[str, str]]:
    """Each attack and a token of it. Whoever makes them can have good tokens, and some have even the signing key.

    :param key: a private key whose public half is published under ``kid``.
    """
    yield from _without_the_key(key, kid)
    yield from _with_the_key(key, kid)
    yield from _no_tokens(signed(key, headers={"kid": kid}))


def _without_the_key(key: ec.EllipticCurvePrivateKey, kid: str) -> Iterator[tuple[str, str]]:
    admin, thief = claims(roles=["admin"]), new_key()
    good = signed(key, headers={"kid": kid})
    head, body, signature = good.split(".")
    for name in ("none", "None", "nOnE", ""):
        header = part({"alg": name, "kid": kid, "typ": "JWT"})
        yield f"alg {name!r}", f"{header}.{part(admin)}."
        yield f"alg {name!r} with a signature", f"{header}.{part(admin)}.{signature}"
    for name, encoding in (("PEM", Encoding.PEM), ("DER", Encoding.DER)):
        secret = key.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
        signing_input = f"{part({'alg': 'HS256', 'kid': kid, 'typ': 'JWT'})}.{part(admin)}"
        yield f"HS256 by the public key as {name}", f"{signing_input}.{_mac(secret, signing_input)}"
    yield "RS256", jwt.encode(admin, rsa.generate_private_key(65537, 2048), "RS256", headers={"kid": kid})
    for wrong in (
        "../../dev/null",
        "' OR 1=1 --",
        "|id",
        "file:///etc",
        f"{kid}\x00",
        f"{kid} ",
        kid.upper(),
        "é",
    ):
        yield f"kid {wrong!r}", signed(thief, admin, {"kid": wrong})
    for member, value in {
        "jku": "https://evil.example.test/keys",
        "x5u": "https://evil.example.test/cert",
        "x5c": ["MIIB"],
        "jwk": published(thief).jwk,
        "crit": ["exp"],
        "b64": False,
        "zip": "DEF",
        "cty": "JWT",
    }.items():
        yield f"header {member}", signed(thief, admin, {"kid": kid, member: value})
        yield f"header {member}, well signed", signed(key, headers={"kid": kid, member: value})
    yield "somebody else's key", signed(thief, admin, {"kid": kid})
    yield "altered claims", f"{head}.{part(admin)}.{signature}"
    yield "no signature", f"{head}.{body}."
    yield "zero signature", f"{head}.{body}.{'A' * 86}"
    yield "half a signature", f"{head}.{body}.{signature[:43]}"
    twice = base64.urlsafe_b64encode(b'{"alg":"none","alg":"ES256","kid":"%s"}' % kid.encode()).rstrip(b"=").decode()
    yield "alg twice", f"{twice}.{body}.{signature}"


def _with_the_key(key: ec.EllipticCurvePrivateKey, kid: str) -> Iterator[tuple[str, str]]:
    now = int(time.time())
    wrong: dict[str, dict[str, object]] = {
        "expired": {"exp": now - 1},
        "not yet valid": {"nbf": now + 600},
        "issued in the future": {"iat": now + 600},
        "other audience": {"aud": "somebody-else"},
        "several audiences": {"aud": ["anfl-test", "somebody-else"]},
        "other issuer": {"iss": "https://evil.example.test"},
        "issuer with a slash": {"iss": "https://lib.example.test/"},
        "no end": {"exp": None},
        "endless": {"exp": 10**30},
        "end as text": {"exp": "9999999999"},
        "unknown role": {"roles": ["root"]},
        "roles as text": {"roles": "admin"},
        "tenant with a path": {"tenant": "../other"},
        "tenant in Cyrillic": {"tenant": "dеmo"},
        "tenant with a line's end": {"tenant": "demo\n"},
        "tenant that is wide": {"tenant": "ｄｅｍｏ"},
        "tenant with a mark": {"tenant": "demo\u202e"},
        "no id": {"jti": None},
    }
    for name, changes in wrong.items():
        yield name, signed(key, claims(**changes), {"kid": kid})
    good = claims()
    for name, text in {
        "tenant twice": f'{{"tenant": "other", {_inner(good)}}}',
        "roles twice": f'{{{_inner(good)}, "roles": ["admin"]}}',
        "nested a thousand times": "[" * 1000 + "]" * 1000,
        "nested claims": f'{{{_inner(good)}, "x": {"[" * 900}{"]" * 900}}}',
        "no object": "[]",
        "nothing": "null",
        "not a number": f'{{{_inner(good)}, "x": NaN}}',
        "no UTF-8": "\udcff",
    }.items():
        yield name, _signed_text(key, kid, text)


def _no_tokens(good: str) -> Iterator[tuple[str, str]]:
    head, body, signature = good.split(".")
    yield "oversize", "x" * (MAX_TOKEN_BYTES + 1)
    yield "oversize with good parts", f"{head}.{body}{'A' * MAX_TOKEN_BYTES}.{signature}"
    yield "dots", "." * 1000
    yield "five parts", f"{good}.{body}.{signature}"
    yield "a long header", f"{'A' * 600}.{body}.{signature}"
    yield "a deep header", f"{base64.urlsafe_b64encode(b'[' * 380).decode().rstrip('=')}.{body}.{signature}"
    yield "padding", f"{head}.{body}.{signature}=="
    yield "what decoders pass over", f"{head}.{body}.{signature}!"
    yield "a blank inside", f"{head}.{body} .{signature}"


def _mac(secret: bytes, signing_input: str) -> str:
    digest = hmac.digest(secret, signing_input.encode(), sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _inner(payload: dict[str, Any]) -> str:
    return base64.urlsafe_b64decode(part(payload) + "==").decode()[1:-1]


def _signed_text(key: ec.EllipticCurvePrivateKey, kid: str, text: str) -> str:
    payload = text.encode("utf-8", "surrogateescape")
    return jwt.PyJWS().encode(payload, key, "ES256", headers={"kid": kid, "typ": "JWT"})
