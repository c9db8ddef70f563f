"""Keys, tokens and verifiers for tests, without Vault or a table."""

import base64
import json
import time
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from anfl.auth.keys import DenyList, KeySet
from anfl.auth.table import PublishedKey
from anfl.auth.verifier import TokenVerifier
from tests.unit.auth.conftest import AUDIENCE, ISSUER, REGION

KID = f"{REGION}.1"


def new_key() -> ec.EllipticCurvePrivateKey:
    """A P-256 key pair."""
    return ec.generate_private_key(ec.SECP256R1())


def published(key: ec.EllipticCurvePrivateKey, kid: str = KID, **changes: str) -> PublishedKey:
    """Its public half as the table holds it."""
    jwk: dict[str, str] = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    members = {"kty": jwk["kty"], "crv": jwk["crv"], "x": jwk["x"], "y": jwk["y"]}
    return PublishedKey(kid=kid, jwk=members | {"kid": kid, "alg": "ES256", "use": "sig"} | changes, published_at=0)


def claims(**changes: object) -> dict[str, Any]:
    """The payload of a good token; a change to None leaves the claim out."""
    now = int(time.time())
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "demo.reader",
        "tenant": "demo",
        "roles": ["reader"],
        "jti": "token-1",
        "iat": now,
        "nbf": now,
        "exp": now + 60,
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def signed(
    key: ec.EllipticCurvePrivateKey, payload: Mapping[str, Any] | None = None, headers: Mapping[str, Any] | None = None
) -> str:
    """A token signed with ES256."""
    return jwt.encode(dict(payload or claims()), key, "ES256", headers={"kid": KID, **(headers or {})})


def part(document: object) -> str:
    """One JSON part of a JWT."""
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def verifier(key: ec.EllipticCurvePrivateKey, *, revoked: frozenset[str] = frozenset()) -> TokenVerifier:
    """A verifier that knows this one key."""
    return TokenVerifier(
        KeySet(lambda: (published(key),)),
        issuer=ISSUER,
        audience=AUDIENCE,
        deny_list=DenyList(lambda: revoked),
    )
