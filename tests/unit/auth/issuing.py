"""An issuer of OpenID Connect for tests: its keys, and the tokens that it signs."""

import json
import time
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from anfl.auth.oidc import ExternalIssuer
from anfl.auth.principal import Role

CORPORATE = ExternalIssuer(
    name="corp",
    issuer="https://login.corp.example.test/",
    audience="anfl",
    keys="https://login.corp.example.test/keys",
    tenant="demo",
    claim="groups",
    roles={"ml-readers": Role.READER, "ml-admins": Role.ADMIN},
)
OTHER = msgspec.structs.replace(CORPORATE, name="other", issuer="https://other.example.test", tenant="other")
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())


def key_set(*more: dict[str, Any]) -> bytes:
    of_rsa = {**RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True), "kid": "r1", "alg": "RS256", "use": "sig"}
    of_ec = {**ECAlgorithm.to_jwk(EC.public_key(), as_dict=True), "kid": "e1", "alg": "ES256", "use": "sig"}
    return json.dumps({"keys": [{"kty": "unknown"}, "nonsense", of_rsa, of_ec, *more]}).encode()


def token(key: Any = RSA, algorithm: str = "RS256", headers: dict[str, Any] | None = None, **changes: object) -> str:
    now = int(time.time())
    claims = {
        "iss": CORPORATE.issuer,
        "aud": "anfl",
        "sub": "ada@corp",
        "groups": ["everybody", "ml-readers"],
        "iat": now,
        "exp": now + 60,
    }
    given = {name: value for name, value in (claims | changes).items() if value is not None}
    return jwt.encode(given, key, algorithm, headers={"kid": "r1", **(headers or {})})
