"""Moves wrapped keys to the active version by itself, a part at each call of a schedule (`anfl.vectors.rewrapping`).

How far it has come stands in an item of the catalogue's table, one for each region: partition ``R#{region}``. A version
is done with when a pass has seen every key, left none under an earlier one, and began an hour after the version was
first seen: until then processes may be at work that had read the earlier one. Then a call is two reads. A pass that
left some (they are damaged, mostly) is followed by another one an hour later.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from anfl.crypto.transit import Versions, active_version
from anfl.items import Attributes, Items
from anfl.vectors.rewrapping import Rewrapping

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SETTLING_SECONDS = 3600
AGAIN_SECONDS = 3600
_ITEM = "rewrapping"


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the keys of a region are on their way to a version."""

    version: int
    seen_at: int
    """When that was first seen to be active; seconds since the epoch, as are all times here."""
    from_: int = msgspec.field(name="from")
    """When the pass began that is under way, or may begin."""
    after: str = ""
    """Where it goes on (`Rewrapping.turn`)."""
    left: int = 0
    """Keys that it has left under an earlier version so far; the pass before, while this one has not begun."""
    done: bool = False
    revision: int = 0

    @property
    def behind(self) -> int:
        """How many keys are known, or must be feared, to be under an earlier version."""
        return 0 if self.done else max(1, self.left)


class ProgressItem:
    """Where it stands."""

    def __init__(self, client: "DynamoDBClient", *, table: str, region: str) -> None:
        self._items = Items(client, table=table, partition=f"R#{region}")

    def read(self) -> Progress | None:
        """The last one that was written; None before the first. Raises botocore's errors, as `write`."""
        item = self._items.get(_ITEM)
        return None if item is None else msgspec.json.decode(item["progress"]["S"], type=Progress)

    def write(self, progress: Progress) -> None:
        """Write it as the one after what was read. Where another call was faster, that one's stays: what both did is
        done, and one of them is gone on from."""
        revision = progress.revision + 1
        text = msgspec.json.encode(msgspec.structs.replace(progress, revision=revision)).decode()
        attributes: Attributes = {"progress": {"S": text}, "revision": {"N": str(revision)}}
        self._items.put(
            _ITEM,
            attributes,
            condition="attribute_not_exists(#revision) OR #revision = :revision",
            names=("revision",),
            values={":revision": {"N": str(progress.revision)}},
        )


class DueRewrapping:
    """Of one region's bucket."""

    def __init__(
        self, rewrapping: Rewrapping, versions: Versions, item: ProgressItem, *, now: Callable[[], float] = time.time
    ) -> None:
        self._rewrapping = rewrapping
        self._versions = versions
        self._item = item
        self._now = now

    def run(self, *, enough: Callable[[], bool]) -> Progress:
        """Go on until there is ``enough``.

        :raises Problem: 503, Vault or the store does not answer; what was done stays done, and is looked at again.
        """
        before, active, now = self._item.read(), active_version(self._versions), int(self._now())
        if before is None or before.version != active:
            revision = 0 if before is None else before.revision
            before = Progress(version=active, seen_at=now, from_=now, revision=revision)
        if before.done or now < before.from_:
            return before
        turn = self._rewrapping.turn(after=before.after, enough=enough)
        left = turn.behind + (before.left if before.after else 0)
        progress = msgspec.structs.replace(before, after=turn.after or "", left=left)
        if turn.after is None:
            progress = _at_the_end(progress, now)
        self._item.write(progress)
        return progress


def _at_the_end(progress: Progress, now: int) -> Progress:
    """Done, or before another pass."""
    settled = progress.seen_at + SETTLING_SECONDS
    if progress.left == 0 and progress.from_ >= settled:
        return msgspec.structs.replace(progress, done=True)
    return msgspec.structs.replace(progress, from_=max(settled, now + AGAIN_SECONDS if progress.left else now))
