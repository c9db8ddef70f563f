"""Snapshots of one incarnation in the object store: its state at a position, in parts.

Parts are written first; one that the newest snapshot has is not uploaded again. A snapshot counts from its manifest on,
and only while every one of its parts is what the manifest says.
"""

import logging
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from anfl.problems import unavailable
from anfl.vectors.collection_folder import CollectionFolder
from anfl.vectors.engine.images import Image
from anfl.vectors.envelope import DamagedError, Envelope
from anfl.vectors.manifests import File, Manifest, Manifests, Part, SegmentFiles
from anfl.vectors.model import Collection, Fields, Position
from anfl.vectors.objects import ObjectStore, answering
from anfl.vectors.parts import Parts, cut, cut_file, whole
from anfl.vectors.repair import Repairs
from anfl.vectors.transfers import Transfers

PUBLISH_SECONDS = 1800.0
"""Longest time from a look at the newest snapshot, whose parts stay for an hour at least, to the next manifest."""
_log = logging.getLogger(__name__)


class Snapshots:
    """Makes snapshots of one incarnation, brings and compares them."""

    def __init__(
        self,
        objects: ObjectStore,
        collection: Collection,
        *,
        envelope: Envelope,
        repairs: Repairs | None = None,
        transfers: Transfers | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        is_home: bool = True,
    ) -> None:
        """:param is_home: elsewhere others remove parts of the newest snapshot, and parts may not have come yet."""
        self.collection = collection
        self._is_home = is_home
        self._transfers = transfers or Transfers()
        self._monotonic = monotonic
        self._described: dict[str, SegmentFiles] = {}
        repairs = repairs or Repairs(objects)
        self.manifests = Manifests(objects, collection, envelope=envelope, repairs=repairs)
        self.parts = Parts(
            objects,
            collection,
            envelope=envelope,
            repairs=repairs,
            transfers=self._transfers,
        )

    def publish(
        self, image: Image, position: Position, *, rows: int, now: float, declared: Fields | None = None
    ) -> Manifest:
        """Write a snapshot: parts that are not there yet, then the manifest.

        :param declared: the fields that are declared for these rows; None: as in the settings.
        :raises Problem: 503, the store does not answer in time.
        """
        started = self._monotonic()
        collection = self.collection
        if declared is not None:
            settings = msgspec.structs.replace(collection.settings, fields=declared)
            collection = msgspec.structs.replace(collection, settings=settings)
        with answering():
            known = self._reusable() if self._is_home else {}
            described = {segment.name: self._describe(segment, known, at=now) for segment in image.segments}
            self._described = described
            manifest = Manifest(
                uuid=uuid.uuid4().hex,
                collection=collection,
                epoch=position.epoch,
                sequence=position.sequence,
                rows=rows,
                created_at=now,
                segments=tuple(described.values()),
                rest=self.parts.upload(cut(image.rest), known, at=now),
            )
            if self._monotonic() - started > PUBLISH_SECONDS:
                detail = "Writing the snapshot took so long that a part of it may have been removed; try again."
                raise unavailable(detail, code="storage_unavailable")
            self.manifests.write(manifest, at=now)
        return manifest

    def fetch(self, manifest: Manifest, folder: CollectionFolder) -> Image:
        """Bring a snapshot into ``folder``, but for segments that are there. Every part is compared with its digest.

        Elsewhere, parts that have not been copied yet are asked for before anything is brought.

        :raises DamagedError: a part is not what it was, and no whole copy of it is to be found.
        :raises Problem: 503, the store does not answer.
        """
        if not self._is_home:
            with answering():
                here = self.parts.names()
            absent = [part for name, part in manifest.parts().items() if name not in here]
            self._transfers.all(lambda part: self.parts.read(part, _seen), absent)
        segments: list[Path] = []
        new: list[Path] = []
        pieces: list[tuple[Part, Path, int]] = []
        try:
            for described in manifest.segments:
                segment = folder.segment(described.name)
                if segment is not None and not _is_whole(segment, described):
                    shutil.rmtree(segment, ignore_errors=True)
                    segment = None
                if segment is None:
                    segment = folder.new_segment(described.name)
                    new.append(segment)
                    pieces += _laid_out(described, segment)
                segments.append(segment)
            self._transfers.all(self._fetch_into, pieces)
            rest = b"".join(self._transfers.each(lambda part: self.parts.read(part, whole), manifest.rest))
        except Exception:
            for segment in new:
                shutil.rmtree(segment, ignore_errors=True)
            raise
        self._described = {described.name: described for described in manifest.segments}
        return Image(tuple(segments), rest)

    def copy_to(self, target: "Snapshots", manifest: Manifest, *, at: float) -> None:
        """Write a snapshot again as one of ``target``'s collection, under the same names of parts. Every part is
        compared with its digest. ``at``: now, in seconds since the epoch.

        :raises DamagedError: a part is not what it was.
        :raises Problem: 503, the store does not answer.
        """
        other = target.collection

        def copy(part: Part) -> None:
            body = self.parts.read(part, whole)
            with answering():
                target.parts.write(part, body, at=at)

        self._transfers.all(copy, manifest.parts().values())
        with answering():
            target.manifests.write(msgspec.structs.replace(manifest, collection=other, epoch=other.epoch), at=at)

    def verify(self, manifest: Manifest) -> None:
        """Read every part back, and note that all of them are right.

        :raises DamagedError: one is not.
        :raises Problem: 503, the store does not answer.
        """
        self._transfers.all(lambda part: self.parts.read(part, _seen), manifest.parts().values())
        self.manifests.mark_verified(manifest)

    def _reusable(self) -> dict[str, Part]:
        """Parts of the newest snapshot that are there, by digest. That one stays for an hour after it is superseded."""
        newest = next(iter(self.manifests.newest_first()), None)
        if newest is None:
            return {}
        try:
            parts = self.manifests.read(newest.path).parts()
        except DamagedError:
            _log.error("damaged manifest", extra={"key": self.manifests.key(newest.path)})
            return {}
        present = self.parts.names()
        return {part.sha256: part for name, part in parts.items() if name in present}

    def _describe(self, segment: Path, known: dict[str, Part], *, at: float) -> SegmentFiles:
        """A segment all of whose parts are there: as an earlier snapshot of this process has described it, where all
        of those are reusable."""
        described = self._described.get(segment.name)
        if described is not None and all(
            known.get(part.sha256) == part for file in described.files for part in file.parts
        ):
            return described
        return self._upload_segment(segment, known, at=at)

    def _upload_segment(self, folder: Path, known: dict[str, Part], *, at: float) -> SegmentFiles:
        files = [
            File(name=path.name, parts=self.parts.upload(cut_file(path), known, at=at))
            for path in sorted(folder.iterdir())
        ]
        return SegmentFiles(name=folder.name, files=tuple(files))

    def _fetch_into(self, piece: tuple[Part, Path, int]) -> None:
        part, path, offset = piece

        def write(pieces: Iterator[memoryview]) -> None:
            with path.open("r+b") as file:
                file.seek(offset)
                file.writelines(pieces)

        self.parts.read(part, write)


def _is_whole(folder: Path, described: SegmentFiles) -> bool:
    """Whether all of a segment's files are in its folder, as they are not where who removed it was killed meanwhile."""
    try:
        return all(
            (folder / file.name).stat().st_size == sum(part.size for part in file.parts) for file in described.files
        )
    except OSError:
        return False


def _laid_out(described: SegmentFiles, folder: Path) -> Iterator[tuple[Part, Path, int]]:
    """Where in a new folder the parts of a segment belong, whose files are there from now on."""
    for file in described.files:
        path, offset = folder / file.name, 0
        path.touch()
        for part in file.parts:
            yield part, path, offset
            offset += part.size


def _seen(pieces: Iterator[memoryview]) -> None:
    for _ in pieces:
        pass
