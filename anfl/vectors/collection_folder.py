"""One collection's part of a node's folder: log objects, segments, images of states, and locks.

Everything appears by a rename; nothing in it is the only copy of anything.
"""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from anfl.vectors.engine.images import Image
from anfl.vectors.file_locks import lock
from anfl.vectors.model import Position

KEPT_SLOTS = 256
"""Log objects of a collection that a node keeps: as many as its processes can be apart."""
KEPT_IMAGES_SECONDS = 60.0
"""How long an image stays after a newer one, for a process that is reading it."""
UNFINISHED_SECONDS = 3600.0
"""How long nobody touches a folder that is not complete, before it counts as given up."""
KEPT_SLOTS_SECONDS = 3600.0
"""How long one stays that no later ones have pushed out."""
LEFT_SECONDS = 24 * 3600.0
"""How long nothing changes in the part of a collection that is not known any more, before it goes."""
IN_USE_SECONDS = 600.0
"""How long after a process last said that it has a collection in memory, none is taken to have it."""
_USED = "used"


@dataclass(frozen=True)
class LocalImage:
    """A state at a position, complete in this node's folder. Names of later positions are greater."""

    name: str
    position: Position
    image: Image


class CollectionFolder:
    """One incarnation's part. Also a `anfl.vectors.slot_cache.SlotCache`."""

    def __init__(
        self,
        path: Path,
        *,
        sleep: Callable[[float], None] = time.sleep,
        make_room: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Nothing is made: see `prepare`.

        :param make_room: has room for so many bytes, where it can be had.
        """
        self._path = path
        self._sleep = sleep
        self.make_room = make_room

    def prepare(self) -> None:
        """Have all that is written into: it is gone where others took this for unused until a moment ago."""
        for name in ("log", "segments", "images"):
            (self._path / name).mkdir(parents=True, exist_ok=True)

    def note_used(self) -> None:
        """Say that a process has the collection in memory, or is about to."""
        with suppress(OSError):
            (self._path / _USED).touch()

    @property
    def used_at(self) -> float:
        """When a process last said so, in seconds since the epoch; 0 where none has."""
        try:
            return (self._path / _USED).stat().st_mtime
        except OSError:
            return 0.0

    def remove_unused(self) -> None:
        """Remove it unless a process has it in memory, or loads it. Whoever comes meanwhile brings it anew."""
        with self.lock("load", seconds=0) as alone:
            if alone and time.time() - self.used_at > IN_USE_SECONDS:
                self.remove()

    def lock(self, name: str, *, seconds: float) -> AbstractContextManager[bool]:
        """See `lock`; among the processes that use this collection."""
        return lock(self._path / f"{name}.lock", seconds=seconds, sleep=self._sleep)

    def get(self, position: Position) -> bytes | None:
        """See `anfl.vectors.slot_cache.SlotCache.get`."""
        try:
            return self._slot(position).read_bytes()
        except OSError:
            return None

    def keep(self, position: Position, data: bytes | bytearray) -> None:
        """See `anfl.vectors.slot_cache.SlotCache.keep`. A full disk loses nothing but time."""
        slot = self._slot(position)
        if slot.exists():
            return
        new = slot.with_name(f".{slot.name}.{os.getpid()}.{threading.get_ident()}")
        with suppress(OSError):
            new.write_bytes(data)
            new.replace(slot)
        with suppress(OSError):
            self._slot(Position(position.epoch, position.sequence - KEPT_SLOTS)).unlink(missing_ok=True)

    def forget(self, position: Position) -> None:
        """See `anfl.vectors.slot_cache.SlotCache.forget`."""
        with suppress(OSError):
            self._slot(position).unlink(missing_ok=True)

    @property
    def incarnation(self) -> str:
        """Whose part it is."""
        return self._path.name

    @property
    def segments(self) -> Path:
        """Where segments are written, under passing names that begin with a dot until they are complete."""
        return self._path / "segments"

    def segment(self, name: str) -> Path | None:
        """A segment that is here, complete."""
        path = self.segments / name
        return path if path.is_dir() else None

    def new_segment(self, name: str) -> Path:
        """A new, empty folder for the segment ``name``, to which `publish` will give its name."""
        folder = self.segments / f".{name}.{os.urandom(16).hex()}"
        folder.mkdir()
        return folder

    def publish(self, position: Position, image: Image) -> LocalImage:
        """Make ``image`` the newest, if there is no newer one. Segments from `new_segment` get their place."""
        segments = tuple(self._settled(segment) for segment in image.segments)
        new = _new_folder(self._path / "images")
        (new / "rest").write_bytes(image.rest)
        (new / "segments").write_bytes(msgspec.json.encode([segment.name for segment in segments]))
        made = f"{position.sequence:020d}-{position.epoch:08d}-{time.monotonic_ns():020d}"  # the folder is of this boot
        name = f"{made}{new.name.replace('.', '-')}"
        new.rename(new.with_name(name))
        return LocalImage(name, position, Image(segments, image.rest))

    def newest(self) -> str | None:
        """The name of the newest image. Cheap: a look into one folder."""
        try:
            names = [path.name for path in (self._path / "images").iterdir() if not path.name.startswith(".")]
        except FileNotFoundError:  # the collection has just been deleted
            return None
        return max(names, default=None)

    def load(self, name: str) -> LocalImage | None:
        """An image by name; None where it is gone, or a part of it."""
        folder = self._path / "images" / name
        sequence, epoch = name.split("-")[:2]
        try:
            rest = (folder / "rest").read_bytes()
            names = msgspec.json.decode((folder / "segments").read_bytes(), type=list[str])
        except OSError:
            return None
        segments = tuple(self.segments / segment for segment in names)
        if not all(segment.is_dir() for segment in segments):
            return None
        return LocalImage(name, Position(int(epoch), int(sequence)), Image(segments, rest))

    def sweep(self) -> None:
        """Remove what images no longer need. One process of a node does it."""
        newest = self.newest()
        for folder in (self._path / "images").iterdir():
            if folder.name != newest and _is_old(folder):
                shutil.rmtree(folder, ignore_errors=True)
        needed = self._needed()
        for folder in self.segments.iterdir():
            if folder.name not in needed and _is_old(folder):
                shutil.rmtree(folder, ignore_errors=True)

    def discard(self, names: Iterable[str]) -> None:
        """Remove those of these segments that no image needs, where no other process of this node does, either."""
        unused = set(names)
        for name in unused - self._needed() if unused else ():
            shutil.rmtree(self.segments / name, ignore_errors=True)

    def forget_slots(self) -> None:
        """Remove log objects that no process of this node can want any more."""
        for slot in (self._path / "log").iterdir():
            with suppress(FileNotFoundError):
                if _age(slot) > KEPT_SLOTS_SECONDS:
                    slot.unlink()

    def is_left(self) -> bool:
        """Whether nothing has changed here for long; who removed it may have been killed halfway."""
        within = (self._path / name for name in ("log", "segments", "images"))
        return all(_age(path) > LEFT_SECONDS for path in (self._path, *within) if path.exists())

    def remove(self) -> None:
        """The collection is gone, or not used here any more."""
        shutil.rmtree(self._path, ignore_errors=True)

    def _needed(self) -> set[str]:
        """Names of the segments of all images."""
        needed: set[str] = set()
        for folder in (self._path / "images").iterdir():
            if (folder / "segments").exists():
                needed |= set(msgspec.json.decode((folder / "segments").read_bytes(), type=list[str]))
        return needed

    def _settled(self, segment: Path) -> Path:
        """``segment`` under a name that says it is complete."""
        if not segment.name.startswith("."):
            return segment
        place = segment.with_name(segment.name.split(".")[1])
        if place.is_dir():  # somebody else was faster
            shutil.rmtree(segment, ignore_errors=True)
            return place
        return segment.rename(place)

    def _slot(self, position: Position) -> Path:
        return self._path / "log" / f"{position.epoch:08d}-{position.sequence:020d}"


def _new_folder(parent: Path) -> Path:
    """A new folder whose name begins with a dot: it is not complete."""
    folder = parent / f".{os.urandom(16).hex()}"
    folder.mkdir(parents=True)
    return folder


def _is_old(folder: Path) -> bool:
    return _age(folder) > (UNFINISHED_SECONDS if folder.name.startswith(".") else KEPT_IMAGES_SECONDS)


def _age(path: Path) -> float:
    """Seconds since anything changed in a folder, or a file was written."""
    return time.time() - path.stat().st_mtime
