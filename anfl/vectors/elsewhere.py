"""Other regions, which have copies of the same objects: who finds one damaged asks to have them brought here."""

import logging
from typing import TYPE_CHECKING, Protocol

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from anfl.object_copies import Request

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_log = logging.getLogger(__name__)


class Elsewhere(Protocol):
    """Where other copies of a store's objects are."""

    seconds: float
    """Within which copies are here that were asked for; 0: there are none."""

    def ask(self, key: str) -> None:
        """Have the copies of an object brought to `anfl.object_copies.copies_of`, soon. Raises nothing."""


class Nowhere:
    """There is one region."""

    seconds = 0.0

    def ask(self, key: str) -> None:
        """See `Elsewhere.ask`."""


class OtherRegions:
    """They are asked by a queue. Safe for threads."""

    seconds = 600.0
    """The function that takes the messages tries again after minutes where a region does not answer."""

    def __init__(self, client: "SQSClient", queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def ask(self, key: str) -> None:
        """See `Elsewhere.ask`. What did not reach the queue is asked for again by who needs it still."""
        try:
            body = msgspec.json.encode(Request(key=key)).decode()
            self._client.send_message(QueueUrl=self._queue_url, MessageBody=body)
        except (BotoCoreError, ClientError) as error:
            _log.warning("copies cannot be asked for", extra={"key": key, "reason": str(error)})
            return
        _log.warning("other regions' copies of a damaged object are asked for", extra={"key": key})
