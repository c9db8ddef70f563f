"""Certificates of local servers, and the authority behind them: a key of this machine's own, good for loopback alone.

The authority is made on first use and kept, so that whoever trusts it need not do so again after each start. A
server's certificate lasts a day, and is made anew long before its end.
"""

import asyncio
import datetime
import ipaddress
import logging
import os
import ssl
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFE = datetime.timedelta(days=3650)
AUTHORITY_RENEWAL = datetime.timedelta(days=30)
"""Before its end another one is made: what trusted it has to trust the next one."""
LEAF_LIFE = datetime.timedelta(days=1)
CHECK_SECONDS = 600.0
"""How often it is looked whether a server's certificate is to be made anew."""
SKEW = datetime.timedelta(minutes=5)
"""Between clocks: so much earlier is a certificate valid."""
CERTIFICATE = "ca.pem"
_KEY = "ca.key"
_TRUSTED = "trusted.pem"
_NAMES = ("localhost",)
_ADDRESSES = (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1"))
_NETWORKS = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))

Now = Callable[[], datetime.datetime]
_log = logging.getLogger(__name__)


class CertificateError(RuntimeError):
    """The folder of the certificates cannot be used; the message says what to do."""


def _utc() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@dataclass(frozen=True, kw_only=True)
class Authority:
    """Signs for this machine's own names and addresses, and can sign for no others (RFC 5280, name constraints)."""

    folder: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def path(self) -> Path:
        """The certificate's file, for clients that are to trust it."""
        return self.folder / CERTIFICATE

    def sign(
        self, key: ec.EllipticCurvePublicKey, now: datetime.datetime, names: Sequence[x509.GeneralName]
    ) -> x509.Certificate:
        """A certificate for a server of these ``names``, from ``now`` on."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A server of ANFL's")])
        own = self.key.public_key()
        return (
            _builder(key, now, LEAF_LIFE, subject=subject, issuer=self.certificate.subject)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(own), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    def server(self, file: str, now: Now = _utc) -> "ServerCertificate":
        """A certificate for a server on loopback, fresh. :param file: for it and its key; no other server's."""
        made = ServerCertificate(authority=self, file=file, context=_context(), now=now)
        made.renew()
        return made


class ServerCertificate:
    """A server's certificate, and the context in which it serves: TLS 1.3 and nothing before."""

    def __init__(self, *, authority: Authority, file: str, context: ssl.SSLContext, now: Now) -> None:
        self.context = context
        self._place = authority.folder / file
        self._authority = authority
        self._now = now
        self._renew_at = now()

    def renew(self) -> bool:
        """Make another one where half of its life is over; whether that was so. Open connections stay as they are."""
        now = self._now()
        if now < self._renew_at:
            return False
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._authority.sign(
            key.public_key(), now, [*map(x509.DNSName, _NAMES), *map(x509.IPAddress, _ADDRESSES)]
        )
        _write_private(self._place, _pem(key) + certificate.public_bytes(serialization.Encoding.PEM))
        self.context.load_cert_chain(self._place)
        self._renew_at = now + LEAF_LIFE / 2
        return True

    async def keep(self) -> None:
        """Renew it until cancelled; in the loop that shakes hands, so that none meets half of one."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                if self.renew():
                    _log.info("certificate renewed")
            except OSError as error:
                _log.warning("certificate cannot be renewed", extra={"error": str(error)})


def trusted_with(authority: Authority) -> Path:
    """A file of all certificates that are trusted beside the authority's: this machine's own, or those of `certifi`."""
    known = Path(ssl.get_default_verify_paths().cafile or certifi.where())
    place = authority.folder / _TRUSTED
    place.write_bytes(known.read_bytes() + b"\n" + authority.path.read_bytes())
    return place


def authority(folder: Path, *, now: Now = _utc) -> Authority:
    """The authority kept in ``folder``; made where there is none yet, or its end is near.

    :raises CertificateError: the folder cannot be used, or what is in it is no authority of ours.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = _kept(folder)
        if found is None or found.certificate.not_valid_after_utc - now() < AUTHORITY_RENEWAL:
            found = _made(folder, now())
    except (OSError, ValueError, TypeError) as error:
        raise CertificateError(f"{folder} holds no usable authority ({error}); remove it, and start again.") from error
    return found


def _kept(folder: Path) -> Authority | None:
    try:
        content = (folder / _KEY).read_bytes()
    except FileNotFoundError:
        return None
    key = serialization.load_pem_private_key(content, password=None)
    certificate = x509.load_pem_x509_certificate(content)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise ValueError("its key is another one's")
    kept = Authority(folder=folder, certificate=certificate, key=key)
    _publish(kept)
    return kept


def _made(folder: Path, now: datetime.datetime) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ANFL on this machine")])
    permitted = [*map(x509.DNSName, _NAMES), *map(x509.IPAddress, _NETWORKS)]
    certificate = (
        _builder(key.public_key(), now, AUTHORITY_LIFE, subject=name, issuer=name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    # Both in one file, which appears whole or not at all; the certificate is then published from it.
    _write_private(folder / _KEY, _pem(key) + certificate.public_bytes(serialization.Encoding.PEM))
    made = Authority(folder=folder, certificate=certificate, key=key)
    _publish(made)
    return made


def _builder(
    key: ec.EllipticCurvePublicKey,
    now: datetime.datetime,
    life: datetime.timedelta,
    *,
    subject: x509.Name,
    issuer: x509.Name,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + life)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _publish(authority: Authority) -> None:
    _write_private(authority.path, authority.certificate.public_bytes(serialization.Encoding.PEM))


def _write_private(place: Path, content: bytes) -> None:
    """Replace ``place`` at once, whoever else does so meanwhile; nobody else may read it."""
    descriptor, draft = tempfile.mkstemp(prefix=f"{place.name}.", dir=place.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    Path(draft).replace(place)
