"""Verifies signatures of OpenSSF `model-signing` (its v1.0 with a key pair) over checksums instead of over files.

The library itself verifies files that lie on disk, and brings Sigstore's whole client along; a service that knows the
files' checksums needs neither. What is signed is a DSSE envelope in a Sigstore bundle:
https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md, whose payload is an in-toto statement of the type
``https://model_signing/signature/v1.0``. The tests hold this module against the library.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

MAX_BUNDLE_BYTES = 1_500_000
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://model_signing/signature/v1.0"
_TOLD = 5
"""How many files that differ are named."""
_WHOLE = "."
"""How the library names the file where the model is a single one."""


class SignatureError(Exception):
    """Why a signature is none, or not one over these files by this key."""


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """What is signed, the signature over it, and the hash of the key that it names."""

    payload: bytes
    signature: bytes
    key: str


class _Signed(msgspec.Struct, frozen=True):
    sig: str


class _Envelope(msgspec.Struct, frozen=True, rename="camel"):
    payload: str
    payload_type: str
    signatures: list[_Signed]


class _Key(msgspec.Struct, frozen=True):
    hint: str


class _Material(msgspec.Struct, frozen=True, rename="camel"):
    public_key: _Key


class _Bundle(msgspec.Struct, frozen=True, rename="camel"):
    media_type: str
    verification_material: _Material
    dsse_envelope: _Envelope


class _Resource(msgspec.Struct, frozen=True):
    name: str
    algorithm: str
    digest: str


class _Serialization(msgspec.Struct, frozen=True):
    method: str


class _Predicate(msgspec.Struct, frozen=True):
    serialization: _Serialization
    resources: list[_Resource]


class _Subject(msgspec.Struct, frozen=True):
    name: str
    digest: dict[str, str]


class _Statement(msgspec.Struct, frozen=True, rename={"type_": "_type", "predicate_type": "predicateType"}):
    type_: str
    subject: list[_Subject]
    predicate_type: str
    predicate: _Predicate


def parse(bundle: str | bytes) -> Signature:
    """The signature in a bundle, as `model-signing` writes it.

    :raises SignatureError: it is none of this kind.
    """
    try:
        read = msgspec.json.decode(bundle, type=_Bundle)
        envelope = read.dsse_envelope
        payload = base64.b64decode(envelope.payload, validate=True)
        signatures = [base64.b64decode(one.sig, validate=True) for one in envelope.signatures]
    except (msgspec.DecodeError, binascii.Error, ValueError, RecursionError) as error:
        raise SignatureError(f"no Sigstore bundle signed with a key: {error}") from None
    if read.media_type != BUNDLE or envelope.payload_type != PAYLOAD or len(signatures) != 1:
        raise SignatureError(f"a bundle must be {BUNDLE} with one signature over {PAYLOAD}")
    return Signature(payload=payload, signature=signatures[0], key=read.verification_material.public_key.hint)


def bundle_of(signature: Signature) -> dict[str, Any]:
    """The bundle that `parse` read."""
    return {
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": signature.key}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(signature.payload).decode(),
            "payloadType": PAYLOAD,
            "signatures": [{"sig": base64.b64encode(signature.signature).decode(), "keyid": ""}],
        },
    }


def public_key(pem: str) -> tuple[str, str]:
    """A public key in the one form that its hash is taken over, and that hash (`Signature.key`).

    :raises SignatureError: it is no key of the curves P-256, P-384 and P-521.
    """
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    normal = _key(pem).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return normal.decode(), hashlib.sha256(normal).hexdigest()


def verify(signature: Signature, *, pem: str, files: Mapping[str, str | None]) -> None:
    """That the key signed exactly ``files``.

    :param files: sha256 in hexadecimal by path; None where it is not known.
    :raises SignatureError: it did not.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

    key = _key(pem)
    algorithms = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
    try:
        key.verify(signature.signature, _pae(signature.payload), ECDSA(algorithms[key.curve.key_size]))
    except InvalidSignature:
        raise SignatureError("the signature is not this key's over this content") from None
    signed = _files(signature.payload)
    if set(signed) == {_WHOLE} and len(files) == 1:
        signed = {next(iter(files)): signed[_WHOLE]}
    wrong = list(_differences(signed, files))
    if wrong:
        more = [f"and {len(wrong) - _TOLD} more"] if len(wrong) > _TOLD else []
        raise SignatureError("; ".join(wrong[:_TOLD] + more))


def _differences(signed: Mapping[str, str], files: Mapping[str, str | None]) -> Iterator[str]:
    for path in sorted(signed.keys() | files.keys()):
        if path not in files:
            yield f"'{path}' was signed and is not there"
        elif path not in signed:
            yield f"'{path}' is there and was not signed"
        elif files[path] is None:
            yield f"the checksum of '{path}' was not recorded when it was registered"
        elif signed[path] != files[path]:
            yield f"'{path}' is not the file that was signed"


def _files(payload: bytes) -> dict[str, str]:
    """What a verified payload says: sha256 by path."""
    try:
        statement = msgspec.json.decode(payload, type=_Statement)
    except (msgspec.DecodeError, RecursionError) as error:
        raise SignatureError(f"what was signed is no statement about a model: {error}") from None
    resources = statement.predicate.resources
    if statement.type_ != STATEMENT or statement.predicate_type != PREDICATE or len(statement.subject) != 1:
        raise SignatureError(f"what was signed must be one {PREDICATE}")
    if statement.predicate.serialization.method != "files" or any(one.algorithm != "sha256" for one in resources):
        raise SignatureError("sign whole files by sha256")
    digests = {one.name: one.digest for one in resources}
    if len(digests) != len(resources):
        raise SignatureError("a file was signed twice")
    try:
        root = hashlib.sha256(b"".join(bytes.fromhex(one.digest) for one in resources)).hexdigest()
    except ValueError:
        raise SignatureError("a checksum is none") from None
    if statement.subject[0].digest.get("sha256") != root:
        raise SignatureError("the statement contradicts itself: its files do not have its digest")
    return digests


def _pae(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding."""
    return f"DSSEv1 {len(PAYLOAD)} {PAYLOAD} {len(payload)} ".encode() + payload


def _key(pem: str) -> "EllipticCurvePublicKey":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm, UnicodeEncodeError):
        raise SignatureError("no public key in PEM") from None
    if not isinstance(key, EllipticCurvePublicKey) or key.curve.name not in ("secp256r1", "secp384r1", "secp521r1"):
        raise SignatureError("the key must be of the curve P-256, P-384 or P-521")
    return key
