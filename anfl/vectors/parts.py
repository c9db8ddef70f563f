"""The bytes of snapshots: ``parts/{name}``, each of which is compared with its digest whenever it is read.

No name is ever used twice, so that whoever found a part to be nobody's may remove it however much later. Nor does a
name say anything about what it names.
"""

import hashlib
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from anfl.vectors.envelope import DamagedError, Envelope
from anfl.vectors.manifests import Part
from anfl.vectors.model import Collection
from anfl.vectors.objects import ObjectStore, answering
from anfl.vectors.repair import Repairs
from anfl.vectors.transfers import Transfers

PART_BYTES = 16 * 2**20
"""Most bytes of one part."""
T = TypeVar("T")


class Parts:
    """Those of one incarnation. Safe for threads."""

    def __init__(
        self,
        objects: ObjectStore,
        collection: Collection,
        *,
        envelope: Envelope,
        repairs: Repairs,
        transfers: Transfers,
    ) -> None:
        self._objects = objects
        self._prefix = f"{collection.prefix}parts/"
        self._envelope = envelope
        self._repairs = repairs
        self._transfers = transfers

    def key(self, name: str) -> str:
        """The object key of a part."""
        return f"{self._prefix}{name}"

    def names(self) -> set[str]:
        """Of all that are there.

        :raises StoreUnavailableError: the store does not answer.
        """
        return {entry.key.removeprefix(self._prefix) for entry in self._objects.list(self._prefix)}

    def upload(self, pieces: Iterable[bytes], known: Mapping[str, Part], *, at: float) -> tuple[Part, ...]:
        """Write what ``known``, by digest, has not; returns a part for each of ``pieces``.

        :param at: now, in seconds since the epoch.
        :raises StoreUnavailableError: the store does not answer.
        :raises Problem: 503, they cannot be sealed.
        """
        return tuple(self._transfers.each(lambda piece: self._upload(piece, known, at), pieces))

    def write(self, part: Part, body: bytes | bytearray, *, at: float) -> None:
        """Write a part under its name.

        :raises StoreUnavailableError: it is not known whether it was written.
        :raises Problem: 503, it cannot be sealed.
        """
        key = self.key(part.name)
        self._objects.put(key, self._envelope.seal_part(key, body, identity=part.name, at=at))

    def read(self, part: Part, take: Callable[[Iterator[memoryview]], T]) -> T:
        """What ``take`` makes of the bytes of a part, which it gets in pieces; each is gone when it asks for the next.
        A damaged part is put right from an earlier version or another region, of which ``take`` then begins anew.

        :raises DamagedError: it is not what it was, and no whole copy of it is to be found.
        :raises Problem: 503, the store does not answer, or the key cannot be had.
        """
        key = self.key(part.name)

        def taken(data: bytes) -> tuple[T] | None:
            try:
                return (take(self._pieces(key, data, part)),)
            except DamagedError:
                return None

        with answering():
            data = self._objects.get(key)
            found = None if data is None else taken(data)
            if found is None:
                found = self._repairs.repair(key, taken, absent=data is None)
        if found is None:
            raise DamagedError(f"part {part.name}")
        return found[0]

    def _upload(self, piece: bytes, known: Mapping[str, Part], at: float) -> Part:
        digest = hashlib.sha256(piece).hexdigest()
        if digest in known:
            return known[digest]
        part = Part(name=uuid.uuid4().hex, sha256=digest, size=len(piece))
        self.write(part, piece, at=at)
        return part

    def _pieces(self, key: str, data: bytes, part: Part) -> Iterator[memoryview]:
        digest, left = hashlib.sha256(), part.size
        for piece in self._envelope.open_part(key, data):
            left -= len(piece)
            if left < 0:  # it would be written over what follows, which has been compared already
                raise DamagedError("length")
            digest.update(piece)
            yield piece
        if digest.hexdigest() != part.sha256:
            raise DamagedError("digest")


def whole(pieces: Iterator[memoryview]) -> bytearray:
    """All of them in one."""
    body = bytearray()
    for piece in pieces:
        body += piece
    return body


def cut(data: bytes) -> Iterator[bytes]:
    """``data`` in pieces of which each may become a part."""
    for start in range(0, len(data), PART_BYTES):
        yield data[start : start + PART_BYTES]


def cut_file(path: Path) -> Iterator[bytes]:
    """Like `cut`, a piece at a time in memory."""
    with path.open("rb") as file:
        while piece := file.read(PART_BYTES):
            yield piece
