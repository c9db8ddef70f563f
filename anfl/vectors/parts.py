"""The bytes of snapshots: ``parts/{sha256}-{nonce}``, each of which is compared with its digest whenever it is read.

No name is ever used twice, so that whoever found a part to be nobody's may remove it however much later.
"""

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from anfl.vectors.envelope import DamagedError, Envelope
from anfl.vectors.manifests import Part
from anfl.vectors.model import Collection
from anfl.vectors.objects import ObjectStore, answering
from anfl.vectors.repair import Repairs
from anfl.vectors.transfers import Transfers

PART_BYTES = 16 * 2**20
"""Most bytes of one part."""


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

    def upload(self, pieces: Iterable[bytes], known: Mapping[str, Part]) -> tuple[Part, ...]:
        """Write what ``known``, by digest, has not; returns a part for each of ``pieces``.

        :raises StoreUnavailableError: the store does not answer.
        """
        return tuple(self._transfers.each(lambda piece: self._upload(piece, known), pieces))

    def write(self, part: Part, body: bytes) -> None:
        """Write a part under its name.

        :raises StoreUnavailableError: it is not known whether it was written.
        """
        key = self.key(part.name)
        self._objects.put(key, self._envelope.seal_part(key, body))

    def read(self, part: Part) -> memoryview:
        """The bytes of a part; a damaged one is put right from an earlier version or another region.

        :raises DamagedError: it is not what it was, and no whole copy of it is to be found.
        :raises Problem: 503, the store does not answer.
        """
        key = self.key(part.name)
        with answering():
            data = self._objects.get(key)
            body = None if data is None else self._opened(key, data, part)
            if body is None:
                body = self._repairs.repair(key, lambda copy: self._opened(key, copy, part))
        if body is None:
            raise DamagedError(f"part {part.name}")
        return body

    def _upload(self, piece: bytes, known: Mapping[str, Part]) -> Part:
        digest = hashlib.sha256(piece).hexdigest()
        if digest in known:
            return known[digest]
        part = Part(name=f"{digest}-{uuid.uuid4().hex[:16]}", sha256=digest, size=len(piece))
        self.write(part, piece)
        return part

    def _opened(self, key: str, data: bytes, part: Part) -> memoryview | None:
        try:
            body = self._envelope.open_part(key, data)
        except DamagedError:
            return None
        return body if hashlib.sha256(body).hexdigest() == part.sha256 else None


def cut(data: bytes) -> Iterator[bytes]:
    """``data`` in pieces of which each may become a part."""
    for start in range(0, len(data), PART_BYTES):
        yield data[start : start + PART_BYTES]


def cut_file(path: Path) -> Iterator[bytes]:
    """Like `cut`, a piece at a time in memory."""
    with path.open("rb") as file:
        while piece := file.read(PART_BYTES):
            yield piece
