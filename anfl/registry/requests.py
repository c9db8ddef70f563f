"""Asks for the inspection of a version: a message on the validation queue."""

from typing import TYPE_CHECKING

import msgspec

from anfl.registry.entities import VersionOf

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class ValidationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The message. The model's name is for people: it may be another one when the message is read."""

    tenant: str
    model_id: str
    name: str
    version: int


class ValidationQueue:
    """The validation queue's producer."""

    def __init__(self, *, url: str, client: "SQSClient") -> None:
        self._url = url
        self._client = client

    def send(self, tenant: str, of: VersionOf) -> None:
        """Ask for the inspection of a version."""
        request = ValidationRequest(tenant=tenant, model_id=of.model.id, name=of.model.name, version=of.version.number)
        self._client.send_message(QueueUrl=self._url, MessageBody=msgspec.json.encode(request).decode())
