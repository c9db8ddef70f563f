"""Brings letters to the queues from which functions take them.

Each webhook gets a message of its own, so that one receiver's trouble is no other's.
"""

import threading
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from anfl.registry.letters import Event, Letter, ValidationRequest, as_text
from anfl.registry.webhooks import Webhook, Webhooks

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

REMEMBERED_SECONDS = 10.0
"""How long a process may not know of a new webhook."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One event for one webhook: the message on the queue. ``id`` stays the same however often it is sent or tried."""

    tenant: str
    webhook_id: str
    event: str
    """``ENTITY.ACTION``."""
    data: dict[str, Any]
    at: float
    """Seconds since the epoch."""
    id: str


class Queues:
    """A `Courier`: events to the webhooks that want them, requests to the validation."""

    def __init__(
        self,
        webhooks: Webhooks,
        *,
        webhooks_url: str,
        validation_url: str,
        client: "SQSClient",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """The ``…_url`` are those of queues."""
        self._webhooks = webhooks
        self._webhooks_url = webhooks_url
        self._validation_url = validation_url
        self._client = client
        self._monotonic = monotonic
        self._known: dict[str, tuple[float, list[Webhook]]] = {}
        self._lock = threading.Lock()

    def wants(self, letter: Letter) -> bool:
        """See `Courier`; asks the table once in `REMEMBERED_SECONDS` for a tenant's webhooks."""
        return not isinstance(letter, Event) or any(letter.name in webhook.events for webhook in self._active(letter))

    def send(self, letter: Letter) -> None:
        """See `Courier`."""
        if isinstance(letter, ValidationRequest):
            self._client.send_message(QueueUrl=self._validation_url, MessageBody=as_text(letter))
            return
        data = dict(letter.data)
        for webhook in self._active(letter):
            if letter.name in webhook.events:
                delivery = Delivery(
                    tenant=letter.tenant,
                    webhook_id=webhook.id,
                    event=letter.name,
                    data=data,
                    at=letter.at / 1000,
                    id=str(uuid.uuid5(uuid.UUID(letter.id), webhook.id)),
                )
                self._client.send_message(QueueUrl=self._webhooks_url, MessageBody=as_text(delivery))

    def _active(self, event: Event) -> list[Webhook]:
        moment = self._monotonic()
        with self._lock:
            until, known = self._known.get(event.tenant, (moment, []))
        if until > moment:
            return known
        known = [webhook for webhook in self._webhooks.all(event.tenant) if webhook.status == "ACTIVE"]
        with self._lock:
            self._known = {name: entry for name, entry in self._known.items() if entry[0] > moment}
            self._known[event.tenant] = (moment + REMEMBERED_SECONDS, known)
        return known
