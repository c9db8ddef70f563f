"""Messages of SQS: how often one is delivered, when it is again, and how Lambda hands them over."""

import logging
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from anfl.vectors.clock import Clock
from anfl.vectors.imports.attempts import Attempt
from anfl.vectors.imports.jobs import decode
from anfl.vectors.imports.worker import Worker

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

FIRST_DELAY, LONGEST_DELAY = 5.0, 300.0
"""Seconds until a job that failed is delivered again."""
MARGIN_SECONDS = 20.0
"""Of an invocation's time that no chunk waits away: what it does last has to end, too."""
_log = logging.getLogger(__name__)


class Deliveries:
    """Jobs that Lambda takes from their queue in a function's name."""

    def __init__(self, worker: Worker, *, client: "SQSClient", url: str, clock: Clock | None = None) -> None:
        self._worker = worker
        self._client = client
        self._url = url
        self._clock = clock or Clock()
        self._most: int | None = None

    def carry_out(self, record: Mapping[str, Any], *, seconds: float) -> None:
        """Carry out the job of one record, which goes back to the queue, for a while, where that fails.

        :param seconds: that are left of the invocation.
        :raises Exception: it failed, for whatever reason.
        """
        number = int(record["attributes"]["ApproximateReceiveCount"])
        try:
            if self._most is None:
                self._most = max_receives(self._client, self._url)
            deadline = self._clock.monotonic() + max(0.0, seconds - MARGIN_SECONDS)
            attempt = Attempt(number=number, most=self._most, deadline=deadline, clock=self._clock)
            self._worker.carry_out(decode(record["body"]), attempt)
        except Exception:
            release(self._client, self._url, record["receiptHandle"], delay_after(number))
            raise


def delay_after(attempt: int) -> float:
    """Seconds until the next attempt, after number ``attempt`` failed."""
    longest = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** (attempt - 1))
    return random.uniform(longest / 2, longest)  # noqa: S311 - no secret


def max_receives(client: "SQSClient", url: str) -> int:
    """How often a queue delivers a message before it goes to its dead letters.

    :raises botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError: the queue does not answer.
    """
    answer = client.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])
    policy = msgspec.json.decode(answer["Attributes"]["RedrivePolicy"], type=dict[str, Any])
    return int(policy["maxReceiveCount"])


def release(client: "SQSClient", url: str, receipt: str, seconds: float) -> None:
    """Have a message delivered again after ``seconds``; where that cannot be told, it is when it is."""
    try:
        client.change_message_visibility(QueueUrl=url, ReceiptHandle=receipt, VisibilityTimeout=round(seconds))
    except (BotoCoreError, ClientError) as error:
        _log.info("a message could not be released", extra={"reason": str(error)})
