"""Sends jobs to a queue."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from anfl.problems import Problem, unavailable
from anfl.vectors.dynamodb.jobs import EngineJob
from anfl.vectors.imports.model import Job
from anfl.vectors.refusals import Refusal

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_AT_ONCE = 10
"""SQS's limit of one call."""
_ATTEMPTS = 3
Message = Job | EngineJob


class Queue(Protocol):
    """Where jobs wait. Each is delivered at least once, in any order."""

    def send(self, jobs: Iterable[Message], *, delay: int = 0) -> None:
        """Put jobs there, to be delivered after ``delay`` seconds at the earliest.

        :raises Problem: 503; some of them may have been.
        """


class SqsQueue:
    """A `Queue` of SQS."""

    def __init__(self, client: "SQSClient", url: str) -> None:
        self._client = client
        self._url = url

    def send(self, jobs: Iterable[Message], *, delay: int = 0) -> None:
        """See `Queue.send`."""
        waiting = (msgspec.json.encode(job).decode() for job in jobs)
        while bodies := list(islice(waiting, _AT_ONCE)):
            for _ in range(_ATTEMPTS):
                bodies = self._refused(bodies, delay)
                if not bodies:
                    break
            else:
                raise _unavailable()

    def _refused(self, bodies: Sequence[str], delay: int) -> list[str]:
        """Send a batch; returns what SQS did not take."""
        delayed = {"DelaySeconds": delay} if delay else {}
        entries: Any = [{"Id": str(number), "MessageBody": body, **delayed} for number, body in enumerate(bodies)]
        try:
            answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
        except (BotoCoreError, ClientError) as error:
            raise _unavailable() from error
        return [bodies[int(failed["Id"])] for failed in answer.get("Failed", [])]


def decode(body: str | bytes) -> Message:
    """Read a message.

    :raises msgspec.MsgspecError: it is none of a job's.
    """
    job: Message = msgspec.json.decode(body, type=Message)
    return job


def _unavailable() -> Problem:
    return unavailable("The queue does not answer; try again.", code=Refusal.QUEUE_UNAVAILABLE)
