"""Last known slots, noted where others find them without looking at a log. Nothing depends on a hint.

The janitor learns from them which logs have grown without anybody making snapshots of them.

In DynamoDB: one item an incarnation, ``pk = H#<incarnation>``, ``sk = H``. It goes by itself, `KEPT_SECONDS` after its
log was seen to grow: whoever deletes a collection cannot know who will note something of it yet.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from boto3.dynamodb.conditions import Attr
from botocore.exceptions import BotoCoreError, ClientError

from anfl.resources import CATALOGUE, PARTITION_KEY, SORT_KEY
from anfl.vectors.model import Collection

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

NOTE_SECONDS = 5.0
"""A collection's hint is written at most this often, and only where its log has grown."""
KEPT_SECONDS = 30 * 24 * 3600
"""Long after the janitor has learnt from it."""
_MOST_NOTED = 16_384
"""Collections of which it is remembered; beyond it, each costs a write anew."""
_SEQUENCE = "sequence"
_log = logging.getLogger(__name__)


class Hints(Protocol):
    """Where hints are kept. No call raises: a hint that cannot be had is none."""

    def note(self, collection: Collection, sequence: int) -> None:
        """Slot ``sequence`` is taken."""

    def last(self, collection: Collection) -> int:
        """The last slot known to be taken; 0 for none."""


class NoHints:
    """Knows nothing."""

    def note(self, _collection: Collection, _sequence: int) -> None:
        """See `Hints.note`."""

    def last(self, _collection: Collection) -> int:
        """See `Hints.last`."""
        return 0


class DynamoHints:
    """`Hints` in the catalogue table."""

    def __init__(self, table: "Table", *, now: Callable[[], float]) -> None:
        self._table = table
        self._now = now
        self._noted: dict[str, tuple[float, int]] = {}
        """By incarnation, when it was noted last, and how far its log is known to be noted."""
        self._lock = threading.Lock()

    def note(self, collection: Collection, sequence: int) -> None:
        """See `Hints.note`."""
        now = self._now()
        with self._lock:
            at, known = self._noted.get(collection.incarnation, (float("-inf"), 0))
            if sequence <= known or at > now - NOTE_SECONDS:
                return
            if len(self._noted) >= _MOST_NOTED:
                self._noted.clear()
            self._noted[collection.incarnation] = (now, known)
        if self._is_noted(collection, sequence):
            with self._lock:
                self._noted[collection.incarnation] = (now, sequence)

    def last(self, collection: Collection) -> int:
        """See `Hints.last`."""
        try:
            item = self._table.get_item(Key=_key(collection)).get("Item", {})
            return int(str(item.get(_SEQUENCE, 0)))
        except (BotoCoreError, ClientError, ValueError):
            return 0

    def _is_noted(self, collection: Collection, sequence: int) -> bool:
        """Whether the table has this slot, or a later one, now."""
        try:
            self._table.put_item(
                Item={
                    **_key(collection),
                    _SEQUENCE: sequence,
                    str(CATALOGUE.ttl_attribute): int(time.time()) + KEPT_SECONDS,
                },
                ConditionExpression=Attr(_SEQUENCE).not_exists() | Attr(_SEQUENCE).lt(sequence),
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return True
            _log.warning("a hint could not be written", extra={"reason": str(error)})
        except BotoCoreError as error:
            _log.warning("a hint could not be written", extra={"reason": str(error)})
        else:
            return True
        return False


def _key(collection: Collection) -> dict[str, str]:
    return {PARTITION_KEY: f"H#{collection.incarnation}", SORT_KEY: "H"}
