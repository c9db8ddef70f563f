"""What frozen places say of the files in, below and around them, whatever stands in S3 by now.

S3 may hold more: an upload link that was given before a place was frozen goes on creating files for fifteen minutes.
Such a file is no part of the place. Nor may a place within it, or around it, make it one: of two that lie in each
other the inner decides what can be read, so who registered it could add files to what others have approved.
"""

from collections.abc import Collection, Iterable, Iterator

from anfl.registry.artifacts import Entry, Stored
from anfl.registry.errors import invalid_parameter
from anfl.registry.locations import FrozenFile, Location, enclosing


def entries(place: Location, path: str) -> list[Entry]:
    """What stands directly below ``path``, which is or lies in the place."""
    below: dict[str, int | None] = {}
    for file in _at_or_below(place.files, path):
        name, slash, _ = file.path.removeprefix(path).removeprefix("/").partition("/")
        if name:
            below[name] = None if slash else file.size
    return [Entry(name=name, size=size) for name, size in sorted(below.items())]


def within(place: Location, path: str) -> Location:
    """The place that ``path`` makes in another one."""
    return Location(path=path, files=tuple(_at_or_below(place.files, path)))


def refuse_two_in_one(paths: Collection[str]) -> None:
    """Refuse a file that is a folder of others as well. No disk holds both, and below a place both would have one name.

    :raises Problem: 400.
    """
    folders = {folder for path in paths for folder in enclosing(path)[:-1]}
    for path in sorted(folders & {*paths}):
        message = f"'{path}' is a file and a folder at once; a version can consist of one of them."
        raise invalid_parameter(message, field="source")


def recorded(places: Iterable[Location]) -> dict[str, FrozenFile]:
    """All files of the places, by path."""
    return {file.path: file for place in places for file in place.files}


def outside(stored: Iterable[Stored], places: Collection[str]) -> Iterator[Stored]:
    """The files that lie in none of the places at these paths."""
    frozen = {*places}
    return (file for file in stored if frozen.isdisjoint(enclosing(file.path)))


def _at_or_below(files: Iterable[FrozenFile], path: str) -> Iterator[FrozenFile]:
    return (file for file in files if file.path == path or file.path.startswith(f"{path}/"))
