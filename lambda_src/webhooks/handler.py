"""Tells webhooks of events of the model registry: each message of its queue is one event for one webhook.

A receiver that does not take it (an answer other than 2xx, or none) is asked again after 15, 60, 240 and 900 seconds at
most, each time at a random moment in the second half; then the message is among the queue's dead letters. It stands
outside the private subnets: whom it talks to are strangers on the internet, and it reaches nothing inside. It knows no
secret: the function `webhook-signer` signs each attempt, and is all that it may call.
"""

import random
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from anfl import aws, environment, resources, start
from anfl.messages import Message, one_by_one
from anfl.problems import Problem
from anfl.registry.deliveries import Deliveries
from anfl.registry.delivery_signatures import ByFunction
from anfl.registry.queues import Delivery
from anfl.registry.table import Table
from anfl.registry.webhooks import Webhooks
from anfl.telemetry import embedded

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

FIRST_PAUSE_SECONDS = 15
LONGEST_PAUSE_SECONDS = 900
SIGNING_SECONDS = 12
"""How long a signature is waited for: as long as the function that makes it may take, and its start."""

start.begin()


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The function's environment."""

    table: str = msgspec.field(name="REGISTRY_TABLE")
    queue_url: str = msgspec.field(name="WEBHOOKS_QUEUE_URL")
    signer: str = msgspec.field(name="WEBHOOK_SIGNER")


class NotTakenError(Exception):
    """The receiver did not take the event."""


class Function:
    """The function over webhooks and what sends to them."""

    def __init__(
        self,
        webhooks: Webhooks,
        deliveries: Deliveries,
        *,
        queue_url: str,
        sqs: "SQSClient",
        chance: Callable[[], float] = random.random,
    ) -> None:
        """:param chance: from 0 to 1: where within its half a pause ends."""
        self._webhooks = webhooks
        self._deliveries = deliveries
        self._queue_url = queue_url
        self._sqs = sqs
        self._chance = chance

    def answer(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Deliver a batch; what failed returns to the queue, and in the end to its dead letters."""
        return one_by_one(event["Records"], self._carry_out)

    def _carry_out(self, message: Message) -> None:
        try:
            with embedded.call(resources.Function.WEBHOOKS) as call:
                call.operation = "deliver"
                self._deliver(msgspec.json.decode(message["body"], type=Delivery))
        except Exception:
            self._wait(message)
            raise

    def _deliver(self, delivery: Delivery) -> None:
        try:
            webhook = self._webhooks.get(delivery.tenant, delivery.webhook_id)
        except Problem:  # it was deleted
            return
        if webhook.status != "ACTIVE" or delivery.event not in webhook.events:
            return
        sent = self._deliveries.send(
            delivery.tenant, webhook, delivery.event, delivery.data, delivery=delivery.id, at=delivery.at
        )
        if not sent.success:
            raise NotTakenError(sent.error or f"answered {sent.status}")

    def _wait(self, message: Message) -> None:
        """Keep a message from being tried again too soon."""
        attempt = int(message["attributes"]["ApproximateReceiveCount"])
        longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 4 ** (attempt - 1))
        self._sqs.change_message_visibility(
            QueueUrl=self._queue_url,
            ReceiptHandle=message["receiptHandle"],
            VisibilityTimeout=round(longest * (1 + self._chance()) / 2),
        )


@cache
def _function() -> Function:
    settings = environment.load(Settings)
    session = aws.session()
    table = Table(name=settings.table, client=session.client("dynamodb", config=aws.config(read_timeout=5)))
    sqs = session.client("sqs", config=aws.config(read_timeout=5))
    # One attempt: a message that was not signed comes again.
    signing = aws.config(read_timeout=SIGNING_SECONDS, retries={"total_max_attempts": 1})
    signer = ByFunction(session.client("lambda", config=signing), settings.signer)
    return Function(Webhooks(table), Deliveries(signer=signer), queue_url=settings.queue_url, sqs=sqs)


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """The Lambda entry point."""
    return _function().answer(event)
