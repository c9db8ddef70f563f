"""Snapshots that a caller has given a name, and collections made from them.

``named/{name}`` points at a manifest, which retention then leaves alone.
"""

import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice

import msgspec

from anfl.problems import Problem, conflict, not_found
from anfl.vectors.envelope import DamagedError, Envelope
from anfl.vectors.manifests import Manifest
from anfl.vectors.model import Collection, first_epoch
from anfl.vectors.naming import NamedSnapshot, NamedSnapshotList
from anfl.vectors.objects import AlreadyExistsError, ObjectStore, answering
from anfl.vectors.refusals import Refusal
from anfl.vectors.repair import Repairs
from anfl.vectors.snapshots import Snapshots

ORPHAN_SECONDS = 24 * 3600.0
"""How long nothing is written to an incarnation that the catalogue does not have, before it is nobody's: it may be a
restore that is not done yet, or another region's, whose objects were copied before the catalogue was."""

COPY_SECONDS = 30 * ORPHAN_SECONDS
"""The same of what was copied from another region: what is removed there is removed here as well, and a catalogue that
is behind knows none of what is new."""


class _Pointer(msgspec.Struct, frozen=True, kw_only=True):
    described: NamedSnapshot
    path: str


class NamedSnapshots:
    """The named snapshots of one incarnation."""

    def __init__(self, objects: ObjectStore, collection: Collection, *, envelope: Envelope, repairs: Repairs) -> None:
        self._objects = objects
        self._envelope = envelope
        self._repairs = repairs
        self._prefix = f"{collection.prefix}named/"

    def create(self, name: str, manifest: Manifest) -> NamedSnapshot:
        """Name a snapshot.

        :raises Problem: 409 ``snapshot_exists``, 503.
        """
        described = NamedSnapshot(
            name=name,
            sequence=str(manifest.position),
            rows=manifest.rows,
            bytes=manifest.size,
            created_at=manifest.created_at,
        )
        key = self._prefix + name
        body = msgspec.msgpack.encode(_Pointer(described=described, path=manifest.path))
        try:
            with answering():
                sealed = self._envelope.seal(key, body, identity=manifest.uuid, at=manifest.created_at)
                self._objects.put_if_absent(key, sealed)
        except AlreadyExistsError:
            if self._pointer(name).path == manifest.path:  # our own, whose answer got lost
                return described
            raise exists(name) from None
        return described

    def page(self, *, limit: int, after: str | None = None) -> NamedSnapshotList:
        """At most ``limit`` of those behind ``after``, by name.

        :raises Problem: 503.
        """
        found = list(islice(self._pointers(after=after or ""), limit + 1))
        shown = found[:limit]
        return NamedSnapshotList(
            snapshots=[pointer.described for _, pointer in shown if pointer is not None],
            damaged=[name for name, pointer in shown if pointer is None],
            cursor=shown[-1][0] if len(found) > limit else None,
        )

    def find(self, name: str) -> tuple[NamedSnapshot, str]:
        """A named snapshot, and the path of its manifest.

        :raises Problem: 404 ``snapshot_not_found``, 503.
        """
        pointer = self._pointer(name)
        return pointer.described, pointer.path

    def holds(self, name: str) -> bool:
        """Whether the name is taken.

        :raises Problem: 503.
        """
        return name in self._names()

    def delete(self, name: str) -> None:
        """Forget a name; its parts go when nothing else needs them.

        :raises Problem: 404 ``snapshot_not_found``, 503.
        """
        key = self._prefix + name
        with answering():
            if self._objects.get(key) is None:  # one that is damaged can be forgotten as well
                raise _absent(name)
            self._objects.delete([key])

    def paths(self) -> set[str] | None:
        """Paths of the manifests that have a name; None where one cannot be read, so that nobody knows.

        :raises Problem: 503.
        """
        found: set[str] = set()
        for _, pointer in self._pointers():
            if pointer is None:
                return None
            found.add(pointer.path)
        return found

    def _pointers(self, *, after: str = "") -> Iterator[tuple[str, _Pointer | None]]:
        """The names behind ``after``, but for what somebody forgets meanwhile; with None what cannot be read."""
        for name in self._names(after=after):
            try:
                pointer = self._pointer(name)
            except Problem as problem:
                if problem.code == Refusal.SNAPSHOT_NOT_FOUND:
                    continue
                if problem.code != Refusal.SNAPSHOT_DAMAGED:
                    raise
                pointer = None
            yield name, pointer

    def _names(self, *, after: str = "") -> Iterator[str]:
        with answering():
            for entry in self._objects.list(self._prefix, after=self._prefix + after if after else ""):
                yield entry.key.removeprefix(self._prefix)

    def _pointer(self, name: str) -> _Pointer:
        key = self._prefix + name

        def opened(data: bytes) -> _Pointer | None:
            with suppress(DamagedError, msgspec.MsgspecError):
                return msgspec.msgpack.decode(self._envelope.open(key, data), type=_Pointer)
            return None

        with answering():
            data = self._objects.get(key)
            if data is None:
                raise _absent(name)
            pointer = opened(data) or self._repairs.repair(key, opened, newest_first=True)
        if pointer is None:
            raise damaged(name)
        return pointer


def restore(
    source: Snapshots,
    manifest: Manifest,
    name: str,
    *,
    home: str,
    seals: bool,
    now: float,
    snapshots: Callable[[Collection], Snapshots],
) -> Collection:
    """A new collection ``name``, which no catalogue knows yet, with what ``manifest`` of ``source`` holds.

    It is all there before anybody can see it, and begins with the settings, versions and request ids of that moment.
    Its own log goes on behind the snapshot's sequence.

    :param home: region in which it is made.
    :param seals: whether it is sealed; what comes from a sealed one always is.
    :param snapshots: those of a collection.
    :raises DamagedError: a part is not what it was.
    :raises Problem: 503.
    """
    incarnation = uuid.uuid4().hex
    made = Collection(
        tenant=source.collection.tenant,
        settings=msgspec.structs.replace(manifest.collection.settings, name=name),
        incarnation=incarnation,
        created_at=round(now, 3),
        epoch=first_epoch(incarnation),
        home=home,
        sealed=seals or source.collection.sealed,
        begins_at=manifest.sequence,
    )
    source.copy_to(snapshots(made), manifest, at=now)
    return made


def exists(name: str) -> Problem:
    """409: the name is taken."""
    return conflict(f"There is a snapshot {name} already.", code="snapshot_exists")


def damaged(name: str) -> Problem:
    """503: a named snapshot cannot be read."""
    return Problem(503, "snapshot_damaged", f"Snapshot {name} is damaged.", retry_after=60)


def _absent(name: str) -> Problem:
    return not_found(f"There is no snapshot {name}.", code="snapshot_not_found")
