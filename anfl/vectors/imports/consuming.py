"""Takes jobs from a queue of SQS, one at a time in each thread, until it is told to stop."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from anfl.vectors.clock import Clock
from anfl.vectors.imports.attempts import Attempt
from anfl.vectors.imports.deliveries import delay_after, max_receives, release
from anfl.vectors.imports.jobs import Message, decode
from anfl.vectors.imports.worker import Worker

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

HELD_SECONDS = 45
"""How long a message is hidden from others; renewed while it is worked on, so that a crash costs no more than this."""
BEAT_SECONDS = 15.0
PATIENCE_SECONDS = 900.0
"""How long an attempt waits for what is busy."""
WAIT_SECONDS = 5
"""For a message; how long it takes to notice that it is to stop."""
_COUNT = "ApproximateReceiveCount"
_log = logging.getLogger(__name__)


class StoppingError(BaseException):
    """The process is to stop; what it was at is delivered again."""


@dataclass(frozen=True, kw_only=True)
class _Held:
    """A message that is being worked on."""

    receipt: str
    job: Message
    attempt: Attempt


@dataclass(kw_only=True)
class Consumer:
    """A queue's consumer."""

    client: "SQSClient"
    url: str
    worker: Worker
    clock: Clock = field(default_factory=Clock)
    beat: Callable[[], object] = bool
    """Called every `BEAT_SECONDS`."""
    _stopping: threading.Event = field(default_factory=threading.Event, init=False)
    _held: dict[str, _Held] = field(default_factory=dict, init=False)
    _most: int | None = field(default=None, init=False)

    def stop(self) -> None:
        """Take nothing more; what is being worked on ends, or goes back, soon."""
        self._stopping.set()

    def run(self, *, threads: int) -> None:
        """Work until `stop`."""
        workers = [threading.Thread(target=self._work, name=f"job-{n}", daemon=True) for n in range(threads)]
        for thread in workers:
            thread.start()
        while any(thread.is_alive() for thread in workers):
            if not self._stopping.wait(BEAT_SECONDS):
                self._beat()
                self.beat()
                continue
            for thread in workers:  # what goes back is not to be kept any more
                thread.join()

    def once(self, *, wait: int = 0) -> bool:
        """Take one message, if there is one within ``wait`` seconds, and work on it. Raises no error of the job's."""
        if self._most is None:
            self._most = max_receives(self.client, self.url)
        answer = self.client.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=1,
            WaitTimeSeconds=wait,
            VisibilityTimeout=HELD_SECONDS,
            AttributeNames=[_COUNT],  # type: ignore[list-item]  # the stubs know its newer name alone
        )
        for message in answer.get("Messages", []):
            self._handle(message)
            return True
        return False

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                self.once(wait=WAIT_SECONDS)
            except (BotoCoreError, ClientError):
                _log.exception("the queue does not answer")
                self._stopping.wait(WAIT_SECONDS)
            except StoppingError:
                return

    def _handle(self, message: Any) -> None:  # noqa: ANN401 - boto3's
        number = int(message["Attributes"][_COUNT])
        receipt = message["ReceiptHandle"]
        clock = replace(self.clock, sleep=self._sleep)
        deadline = clock.monotonic() + PATIENCE_SECONDS
        attempt = Attempt(number=number, most=self._most or number + 1, deadline=deadline, clock=clock)
        try:
            job = decode(message["Body"])
            self._held[receipt] = _Held(receipt=receipt, job=job, attempt=attempt)
            self.worker.carry_out(job, attempt)
        except StoppingError:
            self._release(receipt, 0)
            raise
        except Exception as error:
            extra = {"message_id": message["MessageId"], "attempt": number, "reason": str(error)}
            _log.warning("message failed", extra=extra, exc_info=not isinstance(error, msgspec.MsgspecError))
            self._release(receipt, delay_after(number))
        else:
            self.client.delete_message(QueueUrl=self.url, ReceiptHandle=receipt)
        finally:
            self._held.pop(receipt, None)

    def _beat(self) -> None:
        """Keep what is being worked on."""
        for held in list(self._held.values()):
            self._release(held.receipt, HELD_SECONDS)
            try:
                self.worker.still_at(held.job, held.attempt)
            except Exception:
                _log.exception("an attempt could not be noted")

    def _release(self, receipt: str, seconds: float) -> None:
        release(self.client, self.url, receipt, seconds)

    def _sleep(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise StoppingError
