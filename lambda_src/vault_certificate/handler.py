"""Called by a schedule and at deployments: brings the certificate of a region's Vault to where its nodes take it from.

ACM renews the certificate and has no endpoint in a network, out of which Vault's nodes have no way; this function
stands outside of it, and may read nothing of Vault's but what it wrote itself.
"""

import logging
import secrets
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from anfl import aws, custom_resource, environment, start

if TYPE_CHECKING:
    from mypy_boto3_acm import ACMClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

start.begin()
_log = logging.getLogger(__name__)

_PASSPHRASE_BYTES = 24
_READ_SECONDS = 10


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The function's environment."""

    certificate: str = msgspec.field(name="VAULT_CERTIFICATE_ARN")
    secret: str = msgspec.field(name="VAULT_CERTIFICATE_SECRET")


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What the secret holds: PEM, the private key under the passphrase."""

    certificate: str
    chain: str
    private_key: str
    passphrase: str


def bring(settings: Settings, *, acm: "ACMClient", secretsmanager: "SecretsManagerClient") -> bool:
    """Put the certificate into the secret, unless it is there already; whether it was not.

    :raises ClientError: ACM has not issued it yet, or AWS refuses.
    """
    passphrase = secrets.token_hex(_PASSPHRASE_BYTES)
    answer = acm.export_certificate(CertificateArn=settings.certificate, Passphrase=passphrase.encode())
    found = Exported(
        certificate=answer["Certificate"],
        chain=answer["CertificateChain"],
        private_key=answer["PrivateKey"],
        passphrase=passphrase,
    )
    kept = _kept(settings.secret, secretsmanager)
    if kept is not None and (kept.certificate, kept.chain) == (found.certificate, found.chain):
        return False
    secretsmanager.put_secret_value(SecretId=settings.secret, SecretString=msgspec.json.encode(found).decode())
    return True


def _kept(secret: str, secretsmanager: "SecretsManagerClient") -> Exported | None:
    try:
        value = secretsmanager.get_secret_value(SecretId=secret)["SecretString"]
    except secretsmanager.exceptions.ResourceNotFoundException:  # nothing was put into it yet
        return None
    return msgspec.json.decode(value, type=Exported)


@cache
def _settings() -> Settings:
    return environment.load(Settings)


def _run() -> bool:
    session, config = aws.session(), aws.config(read_timeout=_READ_SECONDS)
    new = bring(
        _settings(),
        acm=session.client("acm", config=config),
        secretsmanager=session.client("secretsmanager", config=config),
    )
    _log.info("brought", extra={"new": new})
    return new


def handler(event: dict[str, Any], _context: object) -> dict[str, bool] | None:
    """``{"new": …}`` out; or a request of CloudFormation, which is answered."""
    if "RequestType" not in event:
        return {"new": _run()}

    def act(request: custom_resource.Event) -> None:
        if request["RequestType"] != "Delete":
            _run()

    custom_resource.answer(event, act, physical_id="vault-certificate")
    return None
