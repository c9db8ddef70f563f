"""Where things stand in the object store: incarnations, slots of a log, and which of them a listing shows."""

import re
from collections.abc import Iterable, Iterator

from anfl.vectors.model import Collection
from anfl.vectors.objects import ObjectStore, answering
from anfl.vectors.trouble import CorruptLogError

_INCARNATION = re.compile(r"^([a-z0-9][^/]*)/([^/]+)/([0-9a-f]{32})/")
"""No tenant begins with an underscore: files of imports are none of anybody's business here."""
_LAST = "\U0010ffff"
READ_BYTES = 32 * 2**20
"""About the most bytes of slots that are read at a time."""


def incarnations(objects: ObjectStore, *, after: str = "") -> Iterator[tuple[str, str, str]]:
    """Tenant, name and incarnation of every one that has objects, in the order of their keys. One look at a listing
    each: it goes on behind all of them.

    :param after: the prefix of one; only those behind it.
    :raises Problem: 503, the store does not answer.
    """
    after = after and after + _LAST
    while True:
        with answering():
            entry = next(iter(objects.list("", after=after)), None)
        if entry is None:
            return
        found = _INCARNATION.match(entry.key)
        if found is None:
            after = "/".join(entry.key.split("/")[:2]) + _LAST  # somebody else's
            continue
        yield found[1], found[2], found[3]
        after = found[0] + _LAST


def key_of(collection: Collection, sequence: int) -> str:
    """The object key of slot ``sequence``."""
    return f"{_prefix(collection, collection.position(sequence).epoch)}{sequence:020d}"


def taken(objects: ObjectStore, collection: Collection, sequence: int) -> Iterator[tuple[int, int]]:
    """Taken slots behind ``sequence`` with their sizes in bytes, epoch by epoch; what a fork gave up is none.

    :raises CorruptLogError: something stands among them that is none.
    :raises Problem: 503, the store does not answer.
    """
    ends = [(fork.parent_epoch, fork.fork_sequence) for fork in collection.forks]
    for epoch, last in [*ends, (collection.epoch, None)]:
        if last is not None and last <= sequence:
            continue
        prefix = _prefix(collection, epoch)
        with answering():
            for entry in objects.list(prefix, after=f"{prefix}{sequence:020d}"):
                number = entry.key.removeprefix(prefix)
                if not number.isdecimal():
                    raise CorruptLogError(entry.key, "no slot")
                if last is not None and int(number) > last:
                    break
                yield int(number), entry.size


def windows(slots: Iterable[tuple[int, int]], *, most: int) -> Iterator[list[int]]:
    """Numbers of ``slots`` in order, as many together as may be in memory, and ``most`` at most."""
    window: list[int] = []
    size = 0
    for slot, bytes_ in slots:
        if window and (len(window) == most or size + bytes_ > READ_BYTES):
            yield window
            window, size = [], 0
        window.append(slot)
        size += bytes_
    if window:
        yield window


def _prefix(collection: Collection, epoch: int) -> str:
    return f"{collection.prefix}log/{epoch:08d}/"
