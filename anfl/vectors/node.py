"""What the processes of one node share: a folder, in which nothing is the only copy of anything.

``{root}/{boot}/{incarnation}/`` holds ``log`` (objects of committed slots), ``segments`` (folders that never change),
``images`` (states at positions, made of segments and a rest) and locks. Everything appears by a rename. The builder
finds ``{root}/{boot}/asked/{incarnation}`` where a collection needs it. After a restart of the machine a file may hold
less than was written, so each boot has a folder of its own.
"""

import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Container, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Protocol

import msgspec

from anfl.vectors.collection_folder import CollectionFolder
from anfl.vectors.file_locks import lock
from anfl.vectors.model import Collection

FREE_SHARE = 0.2
"""Of the disk, that is kept free where collections that nobody has in memory can make room."""
_ROOM_SECONDS = 60.0
_INCARNATION = re.compile(r"[0-9a-f]+")
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Disk(Protocol):
    """Bytes of a file system."""

    @property
    def total(self) -> int: ...

    @property
    def free(self) -> int: ...


class NodeFolder:
    """A node's folder."""

    def __init__(
        self,
        root: Path,
        *,
        sleep: Callable[[float], None] = time.sleep,
        disk: Callable[[Path], Disk] = shutil.disk_usage,
    ) -> None:
        self._sleep = sleep
        self._disk = disk
        boot = _BOOT.read_text().strip() if _BOOT.exists() else "boot"
        self.path = root / boot
        (self.path / "asked").mkdir(parents=True, exist_ok=True)

    def of(self, collection: Collection) -> CollectionFolder:
        """The part of one incarnation, ready to be written into."""
        if not _INCARNATION.fullmatch(collection.incarnation):
            raise ValueError(f"{collection.incarnation!r} is no incarnation")
        part = self._part(collection.incarnation)
        part.prepare()
        return part

    def make_room(self, size: int) -> None:
        """Have ``size`` bytes free beside `FREE_SHARE` of the disk, as far as parts of collections give it that no
        process of this node has in memory: the one used longest ago goes first."""
        if self._has_room(size):
            return
        with self.lock("room", seconds=_ROOM_SECONDS):
            for part in sorted(self._parts(), key=lambda part: part.used_at):
                if self._has_room(size):
                    return
                part.remove_unused()

    def sweep(self, known: Container[str]) -> None:
        """Remove what nobody needs of collections that leave this node otherwise than by its own doing.

        :param known: incarnations that there are.
        """
        for part in self._parts():
            with suppress(OSError):  # another process may remove it now
                if part.incarnation not in known and part.is_left():
                    part.remove()
                else:
                    part.forget_slots()

    def lock(self, name: str, *, seconds: float) -> AbstractContextManager[bool]:
        """See `lock`; among all processes of the node."""
        return lock(self.path / f"{name}.lock", seconds=seconds, sleep=self._sleep)

    def ask(self, collection: Collection) -> None:
        """Ask the builder to look at a collection. Asking again before it has is nothing new."""
        place = self.path / "asked" / collection.incarnation
        if place.exists():
            return
        new = place.with_name(f".{place.name}.{os.getpid()}.{threading.get_ident()}")
        with suppress(OSError):
            new.write_bytes(msgspec.msgpack.encode(collection))
            new.replace(place)

    def asked(self) -> list[Collection]:
        """Collections whose turn it is, the one that has waited longest first."""
        found: list[tuple[float, Collection]] = []
        for place in (self.path / "asked").iterdir():
            if not place.name.startswith("."):
                with suppress(OSError, msgspec.MsgspecError):
                    moment = place.stat().st_mtime
                    found.append((moment, msgspec.msgpack.decode(place.read_bytes(), type=Collection)))
        return [collection for _, collection in sorted(found, key=lambda pair: pair[0])]

    def answered(self, collection: Collection) -> None:
        """The builder turns to a collection: whoever asks from now on asks again."""
        (self.path / "asked" / collection.incarnation).unlink(missing_ok=True)

    def _parts(self) -> Iterator[CollectionFolder]:
        return (self._part(path.name) for path in self.path.iterdir() if _INCARNATION.fullmatch(path.name))

    def _part(self, incarnation: str) -> CollectionFolder:
        return CollectionFolder(self.path / incarnation, sleep=self._sleep, make_room=self.make_room)

    def _has_room(self, size: int) -> bool:
        disk = self._disk(self.path)
        return disk.free - size >= FREE_SHARE * disk.total
