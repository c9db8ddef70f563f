"""Places in the artefact store that versions name: frozen, with the checksum and S3 version of every file.

A place is a file or folder. The first version that names one freezes what lies there; it stays as it is until the last
version that names it (a copy names its original's place) is deleted. Uploads and deletions in, at or above a frozen
place are refused; downloads from it get exactly the recorded bytes.
"""

import hashlib
import secrets
import zlib
from collections.abc import Collection, Iterator
from http import HTTPStatus
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from anfl.problems import Problem
from anfl.registry import keys
from anfl.registry.errors import invalid_parameter
from anfl.registry.table import ABSENT, Action, Condition, Delete, Item, Put, Table, until_won
from anfl.resources import SORT_KEY
from anfl.wording import counted

SCHEME = "mlflow-artifacts"
"""Of locations in this registry's own store."""
MAX_FILES = 3000
"""Files of one place: their names and checksums stand in one item."""
_MAX_MANIFEST_BYTES = 350_000
_FIRST_BITS = 48
"""Of the number at which a place begins to count its revisions."""


class FrozenFile(msgspec.Struct, frozen=True, array_like=True):
    """A file as it was when its place was frozen; ``path`` below the tenant's prefix, ``size`` in bytes."""

    path: str
    size: int
    version: str | None
    """S3's version of the object."""
    sha256: str | None
    """In hexadecimal; None for a file too large to read then, whose checksum its inspection records."""

    def is_same(self, other: "FrozenFile") -> bool:
        """Whether the bytes of both are the same: S3 may hold them in several versions."""
        if self.sha256 is None or other.sha256 is None:
            return (self.size, self.version) == (other.size, other.version)
        return self.sha256 == other.sha256


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """A frozen place. ``holders`` are the versions that name it, as ``<model id>#<number>``."""

    path: str
    files: tuple[FrozenFile, ...]
    holders: tuple[str, ...] = ()
    revision: int = 0

    def file(self, path: str) -> FrozenFile | None:
        """The file at ``path``."""
        return next((file for file in self.files if file.path == path), None)

    def manifest(self) -> dict[str, str | None]:
        """Each file's path below the place (its name, where the place is the file) and its sha256."""
        folder = f"{self.path}/"
        return {
            file.path.removeprefix(folder) if file.path.startswith(folder) else file.path.split("/")[-1]: file.sha256
            for file in self.files
        }


class Locations:
    """Frozen places of all tenants; every method takes the tenant first and reaches nothing of another's."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def at(self, tenant: str, path: str) -> Location | None:
        """The place that is exactly ``path``."""
        item = self._table.get(keys.location(tenant, path))
        return None if item is None else _location(item)

    def around(self, tenant: str, path: str) -> Location | None:
        """The innermost frozen place that ``path`` is or lies in, with those of its files that all the others have.

        Who freezes a place within another one adds nothing to it, whatever was there by then, and replaces nothing: of
        two that were frozen at the same moment with different files in one's place, none of those is given.
        """
        places = self._enclosing(tenant, path)
        if not places:
            return None
        *outer, inner = places
        for place in outer:
            known = {file.path: file for file in place.files}
            both = ((file, known[file.path]) for file in inner.files if file.path in known)
            inner = msgspec.structs.replace(inner, files=tuple(file for file, other in both if file.is_same(other)))
        return inner

    def _enclosing(self, tenant: str, path: str) -> list[Location]:
        """Every frozen place that ``path`` is or lies in, the outermost first."""
        wanted = [keys.location(tenant, place) for place in enclosing(path)]
        found = map(_location, self._table.get_many(wanted).values())
        return sorted(found, key=lambda location: len(location.path))

    def touching(self, tenant: str, path: str) -> Iterator[Location]:
        """The frozen places that ``path`` is or lies in (the innermost), and those that lie below it."""
        around = self.around(tenant, path)
        if around is not None:
            yield around
        yield from self.below(tenant, path)

    def below(self, tenant: str, path: str) -> Iterator[Location]:
        """The frozen places that lie in ``path``, without itself."""
        return map(_location, self._table.query(keys.locations(tenant), prefix=f"{path}/"))

    def releases(self, tenant: str, path: str | None, holders: Collection[str]) -> list[Action]:
        """What makes ``holders`` no longer name ``path``; nothing where they do not (or ``path`` is None)."""
        frozen = None if path is None else self.at(tenant, path)
        return [] if frozen is None or not {*holders} & {*frozen.holders} else [release(tenant, frozen, holders)]

    def renew(self, tenant: str, file: FrozenFile, version: str | None) -> None:
        """Record that the bytes of ``file`` stand in another version of their object, in every place that names the one
        where they stood. A place that was frozen anew meanwhile names another one, and stays as it is.
        """

        def attempt() -> None:
            for place in self._enclosing(tenant, file.path):
                files = tuple(
                    msgspec.structs.replace(one, version=version)
                    if (one.path, one.version) == (file.path, file.version)
                    else one
                    for one in place.files
                )
                if files != place.files:
                    self._table.write(_put(tenant, msgspec.structs.replace(place, files=files)))

        until_won(attempt)

    def refuse_change(self, tenant: str, path: str) -> None:
        """Refuse to change what is frozen.

        :raises Problem: 409.
        """
        frozen = self.around(tenant, path)
        if frozen is not None:
            raise Problem(
                HTTPStatus.CONFLICT,
                "resource_conflict",
                f"'{frozen.path}' is the source of {counted(len(frozen.holders), 'registered version')} and cannot"
                " change; upload to another path and register that.",
                field="path",
            )


def digest(location: str, place: Location | None) -> str:
    """SHA-256 over where a version's artefacts lie and, in this registry's store, what they are, in hexadecimal."""
    files = [] if place is None else sorted((file.path, file.size, file.sha256) for file in place.files)
    return hashlib.sha256(msgspec.json.encode([location, files])).hexdigest()


def hold(tenant: str, location: Location, holder: str) -> Action:
    """What makes ``holder`` (``<model id>#<number>``) name the place, frozen by this if it was not.

    :raises Problem: 400 for more files than can be recorded.
    """
    holders = tuple(sorted({*location.holders, holder}))
    return _put(tenant, msgspec.structs.replace(location, holders=holders))


def holder(model_id: str, number: int) -> str:
    """A version as a place's holder."""
    return f"{model_id}#{number}"


def release(tenant: str, location: Location, holders: Collection[str]) -> Action:
    """What makes ``holders`` no longer name the place; it thaws with the last one."""
    rest = tuple(one for one in location.holders if one not in holders)
    if not rest:
        return Delete(key=keys.location(tenant, location.path), condition=_unchanged(location))
    return _put(tenant, msgspec.structs.replace(location, holders=rest))


def _put(tenant: str, location: Location) -> Put:
    """Write ``location``, provided that the revision it was made from still stands there.

    A place that is frozen anew does not count anew: who read it before it thawed must see that it is another one.
    """
    revision = location.revision + 1 if location.revision else 1 + secrets.randbits(_FIRST_BITS)
    item = _item(msgspec.structs.replace(location, revision=revision))
    return Put(key=keys.location(tenant, location.path), item=item, condition=_unchanged(location))


def _unchanged(location: Location) -> Condition:
    return Condition(revision=location.revision) if location.revision else ABSENT


def _item(location: Location) -> Item:
    manifest = zlib.compress(msgspec.msgpack.encode(location.files))
    holders = zlib.compress(msgspec.msgpack.encode(location.holders))
    refuse_many(location.path, len(location.files), most=MAX_FILES)
    if len(manifest) + len(holders) > _MAX_MANIFEST_BYTES:
        raise _too_many(location.path, MAX_FILES)
    return {"manifest": manifest, "holders": holders, "revision": location.revision}


def refuse_many(path: str, files: int, *, most: int) -> None:
    """:raises Problem: 400 for more files than can be recorded."""
    if files > most:
        raise _too_many(path, most)


def _too_many(path: str, most: int) -> Problem:
    message = f"'{path}' holds more files (or is named by more versions) than can be recorded;"
    return invalid_parameter(f"{message} a version has at most {most} files.", field="source")


def _location(item: Item) -> Location:
    return Location(
        path=item[SORT_KEY],
        files=msgspec.msgpack.decode(zlib.decompress(item["manifest"]), type=tuple[FrozenFile, ...]),
        holders=msgspec.msgpack.decode(zlib.decompress(item["holders"]), type=tuple[str, ...]),
        revision=item["revision"],
    )


def enclosing(path: str) -> list[str]:
    """The places that ``path`` is or lies in, the outermost first."""
    segments = path.split("/")
    return ["/".join(segments[:depth]) for depth in range(1, len(segments) + 1)]


def artifact_path(location: str) -> str | None:
    """The path in this registry's artefact store that a version's ``location`` names; None where it lies elsewhere."""
    return None if (parsed := _split(location)) is None or parsed.netloc else _path(parsed)


def held_path(location: str) -> str | None:
    """The path of the place that a version with this ``location`` may hold.

    Earlier releases took a path at any host for one in this store.
    """
    return None if (parsed := _split(location)) is None else _path(parsed)


def _split(location: str) -> SplitResult | None:
    try:
        parsed = urlsplit(location)
    except ValueError:
        return None
    return parsed if parsed.scheme == SCHEME else None


def _path(parsed: SplitResult) -> str | None:
    return unquote(parsed.path).strip("/") or None
