"""Which snapshots of one incarnation there are, what each is made of, and which of them were read back as a whole.

``snapshots/{epoch}/{sequence}-{uuid}`` is a manifest; ``verified/…`` notes that somebody has read all of its parts.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

import msgspec

from anfl.vectors.envelope import DamagedError, Envelope
from anfl.vectors.model import Collection, Position
from anfl.vectors.objects import ObjectStore, answering
from anfl.vectors.repair import Repairs

LOG_SECONDS = 7 * 24 * 3600.0
"""How long the log stays after a verified snapshot covered it."""
CAUTION_SECONDS = 24 * 3600.0
"""By how much clocks, and a listing and what is done about it, are less apart."""
_Digits = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{1,64}\Z")]
_FileName = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")]
"""Never a path: who brings a snapshot onto a node makes one of it."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Some bytes, and the name of the object that holds them."""

    name: _Digits
    sha256: str
    size: int


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file as its parts in order."""

    name: _FileName
    parts: tuple[Part, ...]


class SegmentFiles(msgspec.Struct, frozen=True, kw_only=True):
    """A segment's folder. Names of segments are unique, and what they name never changes."""

    name: _Digits
    files: tuple[File, ...]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot is made of. ``created_at`` in seconds since the epoch."""

    uuid: str
    collection: Collection
    epoch: int
    sequence: int
    rows: int
    created_at: float
    segments: tuple[SegmentFiles, ...]
    rest: tuple[Part, ...]

    @property
    def position(self) -> Position:
        """The last batch that it contains."""
        return Position(self.epoch, self.sequence)

    @property
    def path(self) -> str:
        """Its place below ``snapshots/`` and ``verified/``."""
        return f"{self.epoch:08d}/{self.sequence:020d}-{self.uuid}"

    def parts(self) -> dict[str, Part]:
        """Every part once, by name."""
        files = [file.parts for segment in self.segments for file in segment.files]
        return {part.name: part for parts in [*files, self.rest] for part in parts}

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(part.size for part in self.parts().values())


@dataclass(frozen=True)
class Listed:
    """A manifest in a listing; ``modified`` is the object store's time."""

    path: str
    position: Position
    modified: float


class Manifests:
    """Those of one incarnation."""

    def __init__(self, objects: ObjectStore, collection: Collection, *, envelope: Envelope, repairs: Repairs) -> None:
        self._objects = objects
        self._collection = collection
        self._envelope = envelope
        self._repairs = repairs

    def key(self, path: str) -> str:
        """The object key of a manifest."""
        return f"{self._collection.prefix}snapshots/{path}"

    def newest_first(self) -> list[Listed]:
        """Manifests of this history, the newest first.

        :raises Problem: 503, the store does not answer.
        """
        found = [listed for listed in self._listed("snapshots/") if self._collection.holds(listed.position)]
        return sorted(found, key=lambda listed: (listed.position.sequence, listed.path), reverse=True)

    def verified(self) -> dict[str, Listed]:
        """Snapshots that have been read back, by path; ``modified`` says when."""
        return {listed.path: listed for listed in self._listed("verified/")}

    def cut_off(self, now: float) -> int:
        """The last sequence up to which slots of the log may have been removed by ``now``, and a little earlier.

        :raises Problem: 503, the store does not answer.
        """
        old = (mark for mark in self.verified().values() if mark.modified <= now - LOG_SECONDS + CAUTION_SECONDS)
        return max((mark.position.sequence for mark in old), default=0)

    def read(self, path: str) -> Manifest:
        """A manifest. A damaged one is put right like a batch of the log.

        :raises DamagedError: it is gone, or not what was written, and no whole copy of it is to be found.
        :raises Problem: 503, the store does not answer.
        """
        key = self.key(path)

        def whole(copy: bytes) -> Manifest | None:
            with suppress(DamagedError):
                return self._opened(path, copy)
            return None

        with answering():
            data = self._objects.get(key)
            if data is None:
                raise DamagedError("absent")
            try:
                return self._opened(path, data)
            except DamagedError:
                found = self._repairs.repair(key, whole)
                if found is None:
                    raise
                return found

    def _opened(self, path: str, data: bytes) -> Manifest:
        try:
            manifest = msgspec.msgpack.decode(self._envelope.open(self.key(path), data), type=Manifest)
        except msgspec.MsgspecError as error:
            raise DamagedError(str(error)) from error
        if manifest.path != path or manifest.collection.incarnation != self._collection.incarnation:
            raise DamagedError("belongs elsewhere")
        return manifest

    def write(self, manifest: Manifest, *, at: float) -> None:
        """Write a manifest whose parts are all there; ``at``: now, in seconds since the epoch.

        :raises StoreUnavailableError: it is not known whether it was written.
        """
        key = self.key(manifest.path)
        body = msgspec.msgpack.encode(manifest)
        self._objects.put_if_absent(key, self._envelope.seal(key, body, identity=manifest.uuid, at=at))

    def mark_verified(self, manifest: Manifest) -> None:
        """Note that every part of a snapshot has been read back.

        :raises Problem: 503, the store does not answer.
        """
        with answering():
            self._objects.put(f"{self._collection.prefix}verified/{manifest.path}", b"")

    def _listed(self, folder: str) -> Iterator[Listed]:
        prefix = f"{self._collection.prefix}{folder}"
        with answering():
            for entry in self._objects.list(prefix):
                path = entry.key.removeprefix(prefix)
                epoch, _, rest = path.partition("/")
                sequence = rest.partition("-")[0]
                if epoch.isdecimal() and sequence.isdecimal():
                    yield Listed(path, Position(int(epoch), int(sequence)), entry.modified)
