"""The artefact store as callers use it: checksums recorded and checked, frozen places left alone.

S3 holds the bytes (`anfl.registry.artifacts`), the table what is known of them (`anfl.registry.locations`).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice

from anfl.problems import Problem, unavailable
from anfl.registry import frozen, keys
from anfl.registry.artifacts import Artifacts, Entry, Opened, Stored, UploadLink, Writer
from anfl.registry.errors import does_not_exist
from anfl.registry.locations import MAX_FILES, FrozenFile, Location, Locations, refuse_many
from anfl.registry.records import sort_of
from anfl.registry.table import LostRaceError, Put, Table

READ_AFTER_PARTS = 5 * 1024**3
"""Largest file in bytes, uploaded in parts past this service, that is read for its checksum."""
READ_TO_FREEZE = 256 * 1024**2
"""As above, when a place is frozen and nobody recorded the checksum before."""

RETRY_SECONDS = 30
"""After which to ask again for what another region has: S3 copies it within minutes."""

LARGEST_COPY = 5 * 1024**3
"""S3's limit of one copy, in bytes."""


@dataclass(frozen=True, kw_only=True)
class Verified:
    """A file that is being read, and the sha256 that all of it must have; None where it is not known."""

    opened: Opened
    sha256: str | None


@dataclass(frozen=True, kw_only=True)
class DownloadLink:
    """A URL that downloads a file for 15 minutes; ``size`` in bytes, the sha256 None where it is not known."""

    url: str
    size: int
    sha256: str | None


class ArtifactStore:
    """All tenants' artefacts; every method takes the tenant first and reaches nothing of another's."""

    def __init__(self, objects: Artifacts, table: Table) -> None:
        self._objects = objects
        self._table = table
        self._locations = Locations(table)

    def entries(self, tenant: str, path: str) -> list[Entry]:
        """What stands directly below a folder: in a frozen place what was recorded.

        :raises Problem: 400 for an impossible path.
        """
        if path:
            self._objects.check(tenant, path)
            place = self._locations.around(tenant, path.rstrip("/"))
            if place is not None:
                return frozen.entries(place, path.rstrip("/"))
        return self._objects.entries(tenant, path)

    def open(self, tenant: str, path: str, *, bytes_range: str | None = None) -> Verified:
        """Begin to read a file: in a frozen place exactly the one that was recorded.

        :raises Problem: 404, 400 for an impossible path, 416; 503 where the bytes are not in this region.
        """
        file = self._frozen(tenant, path)
        if file is not None:
            with _registered(path):
                opened = self._objects.open(tenant, path, version=file.version, bytes_range=bytes_range)
            return Verified(opened=opened, sha256=file.sha256)
        opened = self._objects.open(tenant, path, bytes_range=bytes_range)
        return Verified(opened=opened, sha256=self._recorded(tenant, [path]).get((path, opened.version)))

    def writer(self, tenant: str, path: str) -> Writer:
        """Begin to write a file; give what it finishes with to `uploaded`.

        :raises Problem: 400 for an impossible path, 409 in a frozen place.
        """
        writer = self._objects.writer(tenant, path)
        self._locations.refuse_change(tenant, path)
        return writer

    def uploaded(self, tenant: str, stored: Stored, sha256: str | None) -> None:
        """Record the checksum of a file that just appeared; where its place was frozen meanwhile, put that right.

        :raises Problem: 409.
        """
        if sha256 is not None:
            item = {"sha256": sha256, "version": stored.version}
            self._table.write(Put(key=keys.digest(tenant, stored.path), item=item))
        place = self._locations.around(tenant, stored.path)
        if place is None:
            return
        recorded = place.file(stored.path)
        if recorded is None:
            self._objects.hide(tenant, stored.path)
        elif recorded.version == stored.version:
            return
        else:
            self._put_back(tenant, recorded)
        self._locations.refuse_change(tenant, stored.path)

    def delete(self, tenant: str, path: str) -> None:
        """Remove a file, or a folder with everything below it; nothing there is fine.

        :raises Problem: 400 for an impossible path, 409 where a frozen place would lose something.
        """
        self._objects.check(tenant, path)
        self._refuse_to_delete(tenant, path.rstrip("/"))
        for paths in self._objects.delete(tenant, path):
            self._table.remove(keys.digest(tenant, gone) for gone in paths)
        self._refuse_to_delete(tenant, path.rstrip("/"))  # what was frozen meanwhile comes back

    def _refuse_to_delete(self, tenant: str, path: str) -> None:
        for place in self._locations.touching(tenant, path):
            self.keep(tenant, place)
            self._locations.refuse_change(tenant, place.path)

    def keep(self, tenant: str, place: Location) -> None:
        """Put what was recorded of a frozen place on top again where something else stands there, or nothing, and take
        from view what no place has recorded.

        A deletion or an upload may have passed its check before the place was frozen and come after its files were
        read: what was recorded is still served then, but S3 would expire it one day, as a replaced version.
        """
        there = {stored.path: stored.version for stored in self._objects.walk(tenant, place.path)}
        for file in place.files:
            if there.pop(file.path, None) != file.version:
                self._put_back(tenant, file)
        for path in there:
            around = self._locations.around(tenant, path)
            if around is not None and around.file(path) is None:
                self._objects.hide(tenant, path)

    def _put_back(self, tenant: str, file: FrozenFile) -> None:
        """Put a frozen file on top again.

        S3 takes its time to copy a large one. Where its place thawed meanwhile and was frozen anew, the copy stands on
        top of what was recorded then, which is put back in turn. What has yet to come from another region comes by
        itself.
        """
        if file.size > LARGEST_COPY:
            return
        try:
            again = self._objects.restore(tenant, Stored(path=file.path, size=file.size, version=file.version))
        except Problem as problem:
            if problem.status != HTTPStatus.NOT_FOUND:
                raise
            return
        self._locations.renew(tenant, file, again.version)
        place = self._locations.around(tenant, file.path)
        recorded = None if place is None else place.file(file.path)
        if recorded is not None and recorded.version != again.version:
            self._put_back(tenant, recorded)
        elif place is not None and recorded is None:
            self._objects.hide(tenant, file.path)

    def link(self, tenant: str, path: str) -> DownloadLink:
        """Where to download a file: in a frozen place exactly the one that was recorded.

        :raises Problem: 404, 400 for an impossible path; 503 where the bytes are not in this region.
        """
        file = self._frozen(tenant, path)
        if file is None:
            stored = self._objects.newest(tenant, path)
        else:
            with _registered(path):
                stored = self._objects.newest(tenant, path, version=file.version)
        url = self._objects.link(tenant, path, version=stored.version)
        return DownloadLink(url=url, size=stored.size, sha256=None if file is None else file.sha256)

    def upload_link(self, tenant: str, path: str, *, size: int, sha256: str) -> UploadLink:
        """Where to PUT a new file of exactly that size and checksum within 15 minutes; S3 refuses any other.

        :raises Problem: 400 for an impossible path, 409 in a frozen place.
        """
        link = self._objects.upload_link(tenant, path, size=size, sha256=sha256)
        self._locations.refuse_change(tenant, path)
        return link

    def begin_parts(self, tenant: str, path: str, parts: int) -> tuple[str, list[str]]:
        """As `Artifacts.begin_parts`.

        :raises Problem: 400, 409 in a frozen place.
        """
        self._objects.check_file(tenant, path)
        self._locations.refuse_change(tenant, path)
        return self._objects.begin_parts(tenant, path, parts)

    def complete_parts(self, tenant: str, path: str, upload: str, parts: Sequence[tuple[int, str]]) -> None:
        """As `Artifacts.complete_parts`; the checksum is recorded, once.

        :raises Problem: 404, 400, 409 in a frozen place.
        """
        self._objects.check_file(tenant, path)
        self._locations.refuse_change(tenant, path)
        stored = self._objects.complete_parts(tenant, path, upload, parts)
        known = stored.version is not None and self._recorded(tenant, [path]).get((path, stored.version))
        read = None if known else self._objects.read_sha256(tenant, stored, at_most=READ_AFTER_PARTS)
        self.uploaded(tenant, stored, read)

    def abort_parts(self, tenant: str, path: str, upload: str) -> None:
        """As `Artifacts.abort_parts`."""
        self._objects.abort_parts(tenant, path, upload)

    def place(self, tenant: str, path: str) -> Location:
        """The frozen place at ``path``; where there is none yet, what freezing it would record.

        :raises Problem: 400 for an impossible path, where something there is a file and a folder at once, and for more
            files than can be recorded, of which none is looked at.
        :raises LostRaceError: a place in or around it was frozen or thawed meanwhile.
        """
        self._objects.check(tenant, path)
        around = self._locations.around(tenant, path)
        if around is not None:
            return around if around.path == path else frozen.within(around, path)
        inner: dict[str, int] = {}
        recorded: dict[str, FrozenFile] = {}
        for place in self._locations.below(tenant, path):
            inner[place.path] = place.revision  # and not the files of each: places lie in each other
            recorded |= frozen.recorded([place])
            refuse_many(path, len(recorded), most=MAX_FILES)
        read = self._read(tenant, path, inner, recorded)
        # To read takes as long as whoever sent the files likes: other ones may have been registered in their place.
        if {place.path: place.revision for place in self._locations.touching(tenant, path)} != inner:
            raise LostRaceError
        return read

    def _read(self, tenant: str, path: str, inner: Collection[str], recorded: Mapping[str, FrozenFile]) -> Location:
        """What freezing ``path`` would record, with what is ``recorded`` of the places in it."""
        stored = list(islice(frozen.outside(self._objects.walk(tenant, path), inner), MAX_FILES + 1))
        refuse_many(path, len(stored) + len(recorded), most=MAX_FILES)
        known = self._recorded(tenant, [file.path for file in stored])
        free = {file.path: self._as_frozen(tenant, file, known.get((file.path, file.version))) for file in stored}
        both = {**free, **recorded}
        frozen.refuse_two_in_one(both)
        return Location(path=path, files=tuple(both[name] for name in sorted(both)))

    def checksums(self, tenant: str, path: str) -> dict[str, str]:
        """The sha256 that registration recorded of each file at and below ``path``, by its path, where it is known."""
        place = self._locations.around(tenant, path)
        files = () if place is None else frozen.within(place, path).files
        return {file.path: file.sha256 for file in files if file.sha256 is not None}

    def _as_frozen(self, tenant: str, file: Stored, recorded: str | None) -> FrozenFile:
        sha256 = recorded or self._objects.sha256(tenant, file, at_most=READ_TO_FREEZE)
        return FrozenFile(path=file.path, size=file.size, version=file.version, sha256=sha256)

    def _frozen(self, tenant: str, path: str) -> FrozenFile | None:
        """The recorded file at ``path``; None where no frozen place holds it.

        :raises Problem: 404 for what a frozen place does not hold, 400 for an impossible path.
        """
        self._objects.check(tenant, path)
        location = self._locations.around(tenant, path)
        if location is None:
            return None
        file = location.file(path)
        if file is None:
            raise does_not_exist(f"No such artifact: '{path}'")
        return file

    def _recorded(self, tenant: str, paths: Sequence[str]) -> dict[tuple[str, str | None], str]:
        """Checksums that were recorded at upload, by path and version of the object."""
        if not paths:
            return {}
        wanted = {path: keys.digest(tenant, path) for path in paths}
        items = self._table.get_many(list(wanted.values()))
        found = ((path, items.get(sort_of(key))) for path, key in wanted.items())
        return {(path, item.get("version")): item["sha256"] for path, item in found if item is not None}


@contextmanager
def _registered(path: str) -> Iterator[None]:
    """While a file is read that a version consists of: where it is missing it exists all the same.

    :raises Problem: 503 instead of 404.
    """
    try:
        yield
    except Problem as problem:
        if problem.status != HTTPStatus.NOT_FOUND:
            raise
        detail = f"'{path}' is registered, and its bytes have not come to this region's store; ask again."
        raise unavailable(detail, code="artifact_not_here", retry_after=RETRY_SECONDS) from None
