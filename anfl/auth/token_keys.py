"""The public keys of tokens: every region publishes its own, and tells its Vault those of all.

In the auth table, ``kid = <region>.<version of the transit key>``. So a key that is rotated, or ended by
``min_decryption_version``, is known or gone in every region after two turns, whoever rotated it and wherever.
"""

import time

import hvac
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from jwt.algorithms import ECAlgorithm

from anfl.auth.keys import usable
from anfl.auth.names import JWT_KEY
from anfl.auth.table import AuthTable, PublishedKey
from anfl.auth.vault import VaultClient


class TokenKeys:
    """Those of one region's Vault. Every step can be repeated, and taken by several at once.

    Methods raise Problem 503 where Vault is away, and hvac's and botocore's exceptions where it or the table refuses.
    """

    def __init__(self, vault: VaultClient, *, region: str, table: AuthTable, issuer: str) -> None:
        """:param issuer: of tokens."""
        self._vault = vault
        self._region = region
        self._table = table
        self._issuer = issuer

    def distribute(self) -> None:
        """Tell everybody of this region's keys, and this region's Vault of everybody's."""
        self.publish()
        self.adopt()

    def publish(self) -> None:
        """Make the auth table's keys of this region those of the transit key."""
        standing = {key.kid: key for key in self._table.published_keys() if key.region == self._region}
        found = self._vault.public_keys(JWT_KEY)
        wanted = {f"{self._region}.{version}": pem for version, pem in found.items()}
        for kid, pem in wanted.items():
            jwk = _jwk(pem, kid=kid)
            if kid not in standing or standing[kid].jwk != jwk:
                self._table.publish(PublishedKey(kid=kid, jwk=jwk, published_at=int(time.time())))
        for kid in standing.keys() - wanted.keys():
            self._table.withdraw(kid)

    def adopt(self) -> None:
        """Give Vault's jwt mount the public keys of every region."""
        pems = [pem for key in self._table.published_keys() if (pem := _pem(key)) is not None]
        wanted = {"jwt_validation_pubkeys": pems, "bound_issuer": self._issuer, "jwt_supported_algs": ["ES256"]}

        def push(client: hvac.Client) -> None:
            client.auth.jwt.configure(**wanted, path="jwt")

        self._vault.attempt(push)


def _jwk(pem: str, *, kid: str) -> dict[str, str]:
    key = load_pem_public_key(pem.encode())
    if not isinstance(key, EllipticCurvePublicKey):
        raise TypeError(f"transit key {JWT_KEY} is not an elliptic curve key: create it as ecdsa-p256")
    jwk: dict[str, str] = ECAlgorithm.to_jwk(key, as_dict=True)
    public = {member: jwk[member] for member in ("kty", "crv", "x", "y")}
    return public | {"kid": kid, "alg": "ES256", "use": "sig"}


def _pem(key: PublishedKey) -> str | None:
    """None for what signs no tokens: whoever published it keeps no Vault from the other regions' keys."""
    found = usable(key)
    if found is None or not isinstance(found.key, EllipticCurvePublicKey):
        return None
    return found.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
