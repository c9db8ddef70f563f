"""Snapshots of one incarnation in the object store: its state at a position, in parts.

``snapshots/{epoch}/{sequence}-{uuid}`` is a manifest; ``parts/{sha256}-{nonce}`` hold what it names. A part that the
newest snapshot has is not uploaded again. No name is ever used twice, so that whoever found a part to be nobody's
may remove it however much later. Parts are written first. A snapshot counts from its manifest on, and only while
every one of its parts is what the manifest says. ``verified/…`` notes that somebody has read all of them back.
"""

import hashlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from anfl.problems import unavailable
from anfl.vectors.engine.images import Image
from anfl.vectors.envelope import Checksummed, DamagedError, Envelope
from anfl.vectors.model import Collection, Position
from anfl.vectors.node import CollectionFolder
from anfl.vectors.objects import ObjectStore, answering
from anfl.vectors.repair import Repairs

PART_BYTES = 16 * 2**20
"""Most bytes of one part."""
TRANSFERS = 6
"""Parts on their way at a time, so that this many times `PART_BYTES` are in memory."""
LOG_SECONDS = 7 * 24 * 3600.0
"""How long the log stays after a verified snapshot covered it."""
CAUTION_SECONDS = 24 * 3600.0
"""By how much clocks, and a listing and what is done about it, are less apart."""
PUBLISH_SECONDS = 1800.0
"""Longest time from a look at the newest snapshot, whose parts stay for an hour at least, to the next manifest."""
_log = logging.getLogger(__name__)
T = TypeVar("T")
R = TypeVar("R")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Some bytes, and the name of the object that holds them."""

    name: str
    sha256: str
    size: int


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file as its parts in order."""

    name: str
    parts: tuple[Part, ...]


class SegmentFiles(msgspec.Struct, frozen=True, kw_only=True):
    """A segment's folder. Names of segments are unique, and what they name never changes."""

    name: str
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


class Snapshots:
    """The snapshots of one incarnation."""

    def __init__(
        self,
        objects: ObjectStore,
        collection: Collection,
        *,
        envelope: Envelope | None = None,
        repairs: Repairs | None = None,
        transfers: int = TRANSFERS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """:param transfers: parts on their way at a time; 1 starts no thread."""
        self.objects = objects
        self.collection = collection
        self._envelope: Envelope = envelope or Checksummed()
        self._repairs = repairs or Repairs(objects)
        self._transfers = transfers
        self._monotonic = monotonic
        self._described: dict[str, SegmentFiles] = {}

    def key(self, path: str) -> str:
        """The object key of a manifest."""
        return f"{self.collection.prefix}snapshots/{path}"

    def newest_first(self) -> list[Listed]:
        """Manifests of this history, the newest first.

        :raises Problem: 503, the store does not answer.
        """
        found = [listed for listed in self._listed("snapshots/") if self.collection.holds(listed.position)]
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
        """A manifest.

        :raises DamagedError: it is gone, or not what was written.
        :raises Problem: 503, the store does not answer.
        """
        key = self.key(path)
        with answering():
            data = self.objects.get(key)
        if data is None:
            raise DamagedError("absent")
        try:
            manifest = msgspec.msgpack.decode(self._envelope.open(key, data), type=Manifest)
        except msgspec.MsgspecError as error:
            raise DamagedError(str(error)) from error
        if manifest.path != path or manifest.collection.incarnation != self.collection.incarnation:
            raise DamagedError("belongs elsewhere")
        return manifest

    def publish(self, image: Image, position: Position, *, rows: int, now: float) -> Manifest:
        """Write a snapshot: parts that are not there yet, then the manifest.

        :raises Problem: 503, the store does not answer in time.
        """
        started = self._monotonic()
        with answering():
            known = self._reusable()
            for segment in image.segments:
                if not self._is_there(segment.name, known):
                    self._described[segment.name] = self._upload_segment(segment, known)
            self._described = {segment.name: self._described[segment.name] for segment in image.segments}
            manifest = Manifest(
                uuid=uuid.uuid4().hex,
                collection=self.collection,
                epoch=position.epoch,
                sequence=position.sequence,
                rows=rows,
                created_at=now,
                segments=tuple(self._described[segment.name] for segment in image.segments),
                rest=tuple(self._upload(_cut(image.rest), known)),
            )
            if self._monotonic() - started > PUBLISH_SECONDS:
                detail = "Writing the snapshot took so long that a part of it may have been removed; try again."
                raise unavailable(detail, code="storage_unavailable")
            self.write(manifest)
        return manifest

    def write(self, manifest: Manifest) -> None:
        """Write a manifest whose parts are all there.

        :raises StoreUnavailableError: it is not known whether it was written.
        """
        key = self.key(manifest.path)
        self.objects.put_if_absent(key, self._envelope.seal(key, msgspec.msgpack.encode(manifest)))

    def fetch(self, manifest: Manifest, folder: CollectionFolder) -> Image:
        """Bring a snapshot into ``folder``, but for segments that are there. Every part is compared with its digest.

        :raises DamagedError: a part is not what it was, and no whole copy of it is to be found.
        :raises Problem: 503, the store does not answer.
        """
        segments: list[Path] = []
        pieces: list[tuple[Part, Path, int]] = []
        for described in manifest.segments:
            segment = folder.segment(described.name)
            segments.append(segment or folder.new_segment(described.name))
            for file in () if segment else described.files:
                path = segments[-1] / file.name
                path.touch()
                offset = 0
                for part in file.parts:
                    pieces.append((part, path, offset))
                    offset += part.size
        for _ in self._at_once(self._fetch_into, pieces):
            pass
        rest = b"".join(self._at_once(lambda part: bytes(self._part(part)), manifest.rest))
        self._described = {described.name: described for described in manifest.segments}
        return Image(tuple(segments), rest)

    def copy_to(self, other: Collection, manifest: Manifest) -> None:
        """Write a snapshot again as one of ``other``. Every part is compared with its digest.

        :raises DamagedError: a part is not what it was.
        :raises Problem: 503, the store does not answer.
        """
        target = Snapshots(self.objects, other, envelope=self._envelope)

        def copy(part: Part) -> None:
            key = target.part_key(part.name)
            body = bytes(self._part(part))
            with answering():
                self.objects.put(key, self._envelope.seal_part(key, body))

        for _ in self._at_once(copy, list(manifest.parts().values())):
            pass
        with answering():
            target.write(msgspec.structs.replace(manifest, collection=other, epoch=other.epoch))

    def verify(self, manifest: Manifest) -> None:
        """Read every part back, and note that all of them are right.

        :raises DamagedError: one is not.
        :raises Problem: 503, the store does not answer.
        """
        for _ in self._at_once(lambda part: len(self._part(part)), list(manifest.parts().values())):
            pass
        with answering():
            self.objects.put(f"{self.collection.prefix}verified/{manifest.path}", b"")

    def part_key(self, name: str) -> str:
        """The object key of a part."""
        return f"{self.collection.prefix}parts/{name}"

    def _reusable(self) -> dict[str, Part]:
        """Parts of the newest snapshot that are there, by digest. That one stays for an hour after it is superseded."""
        newest = next(iter(self.newest_first()), None)
        if newest is None:
            return {}
        try:
            parts = self.read(newest.path).parts()
        except DamagedError:
            _log.error("damaged manifest", extra={"key": self.key(newest.path)})
            return {}
        prefix = f"{self.collection.prefix}parts/"
        present = {entry.key.removeprefix(prefix) for entry in self.objects.list(prefix)}
        return {part.sha256: part for name, part in parts.items() if name in present}

    def _is_there(self, segment: str, known: dict[str, Part]) -> bool:
        """Whether an earlier snapshot of this process has described the segment, and all of its parts are reusable."""
        described = self._described.get(segment)
        return described is not None and all(
            known.get(part.sha256) == part for file in described.files for part in file.parts
        )

    def _upload_segment(self, folder: Path, known: dict[str, Part]) -> SegmentFiles:
        files = [
            File(name=path.name, parts=tuple(self._upload(_read(path), known))) for path in sorted(folder.iterdir())
        ]
        return SegmentFiles(name=folder.name, files=tuple(files))

    def _upload(self, pieces: Iterable[bytes], known: dict[str, Part]) -> list[Part]:
        return list(self._at_once(lambda piece: self._upload_piece(piece, known), pieces))

    def _upload_piece(self, piece: bytes, known: dict[str, Part]) -> Part:
        digest = hashlib.sha256(piece).hexdigest()
        if digest in known:
            return known[digest]
        part = Part(name=f"{digest}-{uuid.uuid4().hex[:16]}", sha256=digest, size=len(piece))
        key = self.part_key(part.name)
        self.objects.put(key, self._envelope.seal_part(key, piece))
        return part

    def _fetch_into(self, piece: tuple[Part, Path, int]) -> None:
        part, path, offset = piece
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(self._part(part))

    def _part(self, part: Part) -> memoryview:
        """The bytes of a part; a damaged one is put right from an earlier version or another region."""
        key = self.part_key(part.name)
        with answering():
            data = self.objects.get(key)
            body = None if data is None else self._opened(key, data, part)
            if body is None:
                body = self._repairs.repair(key, lambda copy: self._opened(key, copy, part))
        if body is None:
            raise DamagedError(f"part {part.name}")
        return body

    def _opened(self, key: str, data: bytes, part: Part) -> memoryview | None:
        try:
            body = self._envelope.open_part(key, data)
        except DamagedError:
            return None
        return body if hashlib.sha256(body).hexdigest() == part.sha256 else None

    def _listed(self, folder: str) -> Iterator[Listed]:
        prefix = f"{self.collection.prefix}{folder}"
        with answering():
            for entry in self.objects.list(prefix):
                path = entry.key.removeprefix(prefix)
                epoch, _, rest = path.partition("/")
                sequence = rest.partition("-")[0]
                if epoch.isdecimal() and sequence.isdecimal():
                    yield Listed(path, Position(int(epoch), int(sequence)), entry.modified)

    def _at_once(self, work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """``work`` over ``items`` in order, as many at a time as may be in memory."""
        if self._transfers == 1:
            yield from map(work, items)
            return
        room = threading.Semaphore(self._transfers)

        def release(item: T) -> R:
            try:
                return work(item)
            finally:
                room.release()

        with ThreadPoolExecutor(self._transfers, thread_name_prefix="transfer") as threads:
            waiting = []
            for item in items:
                room.acquire()
                waiting.append(threads.submit(release, item))
            for done in waiting:
                yield done.result()


def _cut(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), PART_BYTES):
        yield data[start : start + PART_BYTES]


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PART_BYTES):
            yield piece
