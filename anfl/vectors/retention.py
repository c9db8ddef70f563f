"""What may go: old snapshots, the log that they have made superfluous, parts that nothing names any more.

Kept always: two verified snapshots and whatever is newer, each snapshot for an hour after it was superseded, named
ones, the log behind the older of the two verified ones, every log object until seven days after a verified snapshot
covered it, and the newest log object of each epoch. What was made in another region, which only named snapshots are,
may come here before the rest of it and its name, so it is kept for thirty days. Several nodes may do this at once;
nothing here needs a turn.
"""

import logging
from collections.abc import Iterable
from itertools import groupby

from anfl.vectors.envelope import DamagedError
from anfl.vectors.manifests import LOG_SECONDS, Listed
from anfl.vectors.model import Position
from anfl.vectors.named import COPY_SECONDS, NamedSnapshots
from anfl.vectors.objects import Entry, ObjectStore, answering
from anfl.vectors.snapshots import Snapshots

KEPT_VERIFIED = 2
GRACE_SECONDS = 3600.0
"""How long a snapshot stays after it was superseded: somebody may be reading it."""
PART_SECONDS = 24 * 3600.0
"""How old a part that no snapshot names must be to go: it may belong to one that is being written."""
_log = logging.getLogger(__name__)


class Retention:
    """Keeps the objects of one incarnation few."""

    def __init__(self, objects: ObjectStore, snapshots: Snapshots, named: NamedSnapshots) -> None:
        self._objects = objects
        self._snapshots = snapshots
        self._named = named
        self._prefix = snapshots.collection.prefix

    def verify_newest(self) -> None:
        """Read the newest snapshots back, until two of them are known to be whole.

        :raises Problem: 503, the store does not answer.
        """
        verified = self._snapshots.manifests.verified()
        good = 0
        for listed in self._snapshots.manifests.newest_first():
            if good == KEPT_VERIFIED:
                return
            if listed.path not in verified:
                try:
                    self._snapshots.verify(self._snapshots.manifests.read(listed.path))
                except DamagedError as damage:
                    key = self._snapshots.manifests.key(listed.path)
                    _log.error("damaged snapshot", extra={"key": key, "reason": str(damage)})
                    continue
            good += 1

    def clean(self, *, now: float) -> int:
        """Remove what may go; returns how many objects that was. ``now`` in seconds since the epoch.

        :raises Problem: 503, the store does not answer; some may remain.
        """
        with answering():
            verified = self._snapshots.manifests.verified()
            listed = self._snapshots.manifests.newest_first()
            good = [each for each in listed if each.path in verified][:KEPT_VERIFIED]
            if len(good) < KEPT_VERIFIED:
                return 0
            gone = self._snapshots_to_go(listed, good, now)
            keys = [self._snapshots.manifests.key(each.path) for each in gone]
            keys += self._marks_to_go(verified.values(), listed, gone, now)
            keys += self._slots_to_go(verified.values(), good[-1], now)
            self._objects.delete(keys)
            parts = self._parts_to_go({each.path for each in listed} - {each.path for each in gone}, now)
            self._objects.delete(parts)
            return len(keys) + len(parts)

    def _snapshots_to_go(self, listed: list[Listed], good: list[Listed], now: float) -> list[Listed]:
        """Those behind two verified ones, the newer of which has been there for an hour. None as long as a name cannot
        be read, which may stand for any of them."""
        if good[0].modified > now - GRACE_SECONDS:
            return []
        pinned = self._named.paths()
        if pinned is None:
            return []
        oldest = good[-1].position.sequence
        return [
            each
            for each in listed
            if each.position.sequence < oldest
            and each.path not in pinned
            and not self._is_of_elsewhere(self._snapshots.manifests.key(each.path), each.modified, now)
        ]

    def _marks_to_go(self, marks: Iterable[Listed], listed: list[Listed], gone: list[Listed], now: float) -> list[str]:
        """Marks of snapshots that are gone, but the newest that is old enough to say how much of the log may go."""
        present = {each.path for each in listed} - {each.path for each in gone}
        old = [mark for mark in marks if mark.modified <= now - LOG_SECONDS]
        newest = max((mark.position.sequence for mark in old), default=-1)
        return [
            f"{self._prefix}verified/{mark.path}"
            for mark in old
            if mark.path not in present and mark.position.sequence < newest
        ]

    def _slots_to_go(self, marks: Iterable[Listed], older: Listed, now: float) -> list[str]:
        covered = [mark.position.sequence for mark in marks if mark.modified <= now - LOG_SECONDS]
        last = min(max(covered, default=0), older.position.sequence)
        prefix = f"{self._prefix}log/"
        keys: list[str] = []
        for _, entries in groupby(self._objects.list(prefix), key=_epoch):
            slots = [(entry.key, self._position(entry.key)) for entry in entries]
            keys += [key for key, position in slots[:-1] if position and position.sequence <= last]
        return keys

    def _position(self, key: str) -> Position | None:
        """The place of a slot; None for what a fork has given up, which is kept."""
        epoch, _, number = key.removeprefix(f"{self._prefix}log/").partition("/")
        if not (epoch.isdecimal() and number.isdecimal()):
            return None
        position = Position(int(epoch), int(number))
        return position if self._snapshots.collection.holds(position) else None

    def _parts_to_go(self, present: set[str], now: float) -> list[str]:
        """Parts of no snapshot. Where one cannot be read, nobody knows which are its, and all stay."""
        used: set[str] = set()
        for path in sorted(present):
            try:
                used |= self._snapshots.manifests.read(path).parts().keys()
            except DamagedError:
                return []
        prefix = f"{self._prefix}parts/"
        return [
            entry.key
            for entry in self._objects.list(prefix)
            if entry.key.removeprefix(prefix) not in used
            and entry.modified <= now - PART_SECONDS
            and not self._is_of_elsewhere(entry.key, entry.modified, now)
        ]

    def _is_of_elsewhere(self, key: str, modified: float, now: float) -> bool:
        """Whether it was copied from another region, and what needs it may have yet to be."""
        return modified > now - COPY_SECONDS and self._objects.is_copy(key)


def _epoch(entry: Entry) -> str:
    return entry.key.rpartition("/")[0]
