"""Tokens that nobody may take, by the name of the attack."""

import base64
import hmac
import string
import time
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from anfl.auth.verifier import MAX_TOKEN_BYTES
from tests.unit.auth.tokens import KID, claims, new_key, part, published, signed

ALPHABET = f"{string.ascii_uppercase}{string.ascii_lowercase}{string.digits}-_"
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256."""


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
    yield from _strange_signatures(good)
    for member in ("alg", "typ"):
        for value in (["ES256"], {"JWT": 1}, 1, None):
            header = part({"alg": "ES256", "kid": kid, "typ": "JWT"} | {member: value})
            yield f"{member} {value!r}", f"{header}.{body}.{signature}"
    twice = base64.urlsafe_b64encode(b'{"alg":"none","alg":"ES256","kid":"%s"}' % kid.encode()).rstrip(b"=").decode()
    yield "alg twice", f"{twice}.{body}.{signature}"


def _strange_signatures(good: str) -> Iterator[tuple[str, str]]:
    signed_text, _, signature = good.rpartition(".")
    raw = base64.urlsafe_b64decode(f"{signature}==")
    r, s = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
    for name, (one, other) in {
        "r of zero": (0, s),
        "s of zero": (r, 0),
        "r of the order": (ORDER, s),
        "s of the order": (r, ORDER),
        "s beyond the order": (r, 2**256 - 1),
    }.items():
        yield name, f"{signed_text}.{_unpadded(one.to_bytes(32) + other.to_bytes(32))}"
    for name, made in {"DER": encode_dss_signature(r, s), "one byte more": raw + b"\x00", "twice": raw * 2}.items():
        yield f"signature {name}", f"{signed_text}.{_unpadded(made)}"
    spare = ALPHABET.index(signature[-1]) | 1  # 64 bytes leave four bits of the last letter
    yield "another spelling of the signature", f"{signed_text}.{signature[:-1]}{ALPHABET[spare]}"


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
        "tenant that is decomposed": {"tenant": "de\u0301mo"},
        "half a character among the roles": {"roles": ["reader", "\ud800"]},
        "half a character as subject": {"sub": "\ud800"},
        "half a character as id": {"jti": "\udfff"},
        "half a character elsewhere": {"x": {"y": ["\udfff"]}},
        "number as subject": {"sub": 7},
        "end as a boolean": {"exp": True},
        "end as a float": {"exp": 1e300},
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
        "mark of an order of bytes": f"\ufeff{{{_inner(good)}}}",
        "infinite": f'{{{_inner(good)}, "auth_time": 1e400}}',
        "tenant twice, spelled otherwise": f'{{"t\\u0065nant": "other", {_inner(good)}}}',
    }.items():
        yield name, _signed_text(key, kid, text)
    yield "oversize, well signed", signed(key, claims(pad="A" * MAX_TOKEN_BYTES), {"kid": kid})
    for encoding in ("UTF-16", "UTF-32"):
        yield encoding, _signed_bytes(key, kid, f"{{{_inner(good)}}}".encode(encoding))


def _no_tokens(good: str) -> Iterator[tuple[str, str]]:
    head, body, signature = good.split(".")
    yield "oversize", "x" * (MAX_TOKEN_BYTES + 1)
    yield "oversize with good parts", f"{head}.{body}{'A' * MAX_TOKEN_BYTES}.{signature}"
    yield "dots", "." * 1000
    yield "five parts", f"{good}.{body}.{signature}"
    yield "a long header", f"{'A' * 600}.{body}.{signature}"
    yield "a deep header", f"{base64.urlsafe_b64encode(b'[' * 380).decode().rstrip('=')}.{body}.{signature}"
    yield "another spelling of its signature", f"{good[:-1]}{ALPHABET[ALPHABET.index(good[-1]) + 1]}"
    yield "padding", f"{head}.{body}.{signature}=="
    yield "what decoders pass over", f"{head}.{body}.{signature}!"
    yield "a blank inside", f"{head}.{body} .{signature}"


def _mac(secret: bytes, signing_input: str) -> str:
    return _unpadded(hmac.digest(secret, signing_input.encode(), sha256))


def _unpadded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _inner(payload: dict[str, Any]) -> str:
    return base64.urlsafe_b64decode(part(payload) + "==").decode()[1:-1]


def _signed_text(key: ec.EllipticCurvePrivateKey, kid: str, text: str) -> str:
    return _signed_bytes(key, kid, text.encode("utf-8", "surrogateescape"))


def _signed_bytes(key: ec.EllipticCurvePrivateKey, kid: str, payload: bytes) -> str:
    return jwt.PyJWS().encode(payload, key, "ES256", headers={"kid": kid, "typ": "JWT"})
