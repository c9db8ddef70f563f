"""Who signs deliveries, as MLflow does: HMAC-SHA256 over ``<delivery id>.<timestamp>.<body>``.

Receivers refuse a signature that is some minutes old, and a delivery may wait and be tried again for longer than that:
so each attempt is signed when it is made, and by the secret that the webhook has then. The function that makes it
stands outside the network in which Vault is. It asks one that stands inside, and never sees a secret.
"""

import base64
import hashlib
import hmac
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from anfl.registry.errors import does_not_exist
from anfl.registry.secrets import InClear, Secrets
from anfl.registry.webhooks import Webhook, Webhooks

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

SIGN = "sign"
"""What the function that signs is asked."""


class ToSign(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at a delivery."""

    tenant: str
    webhook_id: str
    delivery: str
    """Its id."""
    timestamp: str
    """Seconds since the epoch, as the header has them."""
    body: str


class SigningError(Exception):
    """No signature came; the message says why, and holds nothing of the delivery."""


class Signer(Protocol):
    """Signs attempts at deliveries."""

    def sign(self, asked: ToSign, webhook: Webhook) -> str:
        """The value of ``X-MLflow-Signature``, by the secret of ``webhook``, which has one.

        :raises Problem: 503, its secret cannot be had.
        :raises SigningError: nobody answers who could sign.
        """


class WithSecrets:
    """Signs here."""

    def __init__(self, secrets: Secrets | None = None) -> None:
        """:param secrets: None: those in clear alone."""
        self._secrets = secrets or InClear()

    def sign(self, asked: ToSign, webhook: Webhook) -> str:
        """See `Signer.sign`."""
        return signature(self._secrets.open(asked.tenant, webhook.id, webhook.secret or ""), asked)


class ByFunction:
    """Has a function sign that is let near secrets."""

    def __init__(self, client: "LambdaClient", function: str) -> None:
        """:param function: its name."""
        self._client = client
        self._function = function

    def sign(self, asked: ToSign, webhook: Webhook) -> str:  # noqa: ARG002 - that one reads it itself
        """See `Signer.sign`."""
        event = msgspec.json.encode({"operation": SIGN, **msgspec.to_builtins(asked)})
        response = self._client.invoke(FunctionName=self._function, Payload=event)
        answer: dict[str, Any] = msgspec.json.decode(response["Payload"].read())
        if response.get("FunctionError"):
            raise SigningError(f"{self._function} failed: {answer.get('errorType')}")
        if answer["status"] != HTTPStatus.OK:
            raise SigningError(f"{self._function}: {answer['problem']['code']}")
        return str(answer["result"]["signature"])


def sign_for(webhooks: Webhooks, signer: Signer, asked: ToSign) -> str:
    """The signature of what somebody else delivers.

    :raises Problem: 404, there is no such webhook, or it has no secret; 503 as `Signer.sign`.
    """
    webhook = webhooks.get(asked.tenant, asked.webhook_id)
    if not webhook.secret:
        raise does_not_exist(f"Webhook with ID {webhook.id} has no secret.")
    return signer.sign(asked, webhook)


def signature(secret: str, asked: ToSign) -> str:
    """The value of ``X-MLflow-Signature``."""
    signed = f"{asked.delivery}.{asked.timestamp}.{asked.body}".encode()
    return "v1," + base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()
