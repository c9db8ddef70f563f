"""How much stands on one page: no more than API Gateway passes on, however many are asked for."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec

from anfl.problems import Problem
from anfl.registry.entities import Model, Version, VersionOf
from anfl.registry.errors import invalid_parameter

MAX_PAGE_BYTES = 8_000_000
"""Of the answer; the gateway's own limit is 10 MB. What is larger by itself makes a page alone."""
_FRAME_BYTES = 250
"""Names of members, and their punctuation."""
_PAIR_BYTES = 25
"""What a tag or an alias takes beyond its key and value."""
Found = TypeVar("Found")
_encode = msgspec.json.Encoder().encode


def check_limit(limit: int, *, most: int) -> None:
    """:raises Problem: 400, as many do not stand on one page."""
    if not 1 <= limit <= most:
        raise invalid_parameter(f"'limit' must be between 1 and {most}.", field="limit")


def unknown_token() -> Problem:
    """400: a page is asked for by a token that no page gave."""
    return invalid_parameter("'page_token' is not one that this call gave.", field="page_token")


def fitting(found: Iterable[Found], size: Callable[[Found], int], *, most: int | None = None) -> Iterator[Found]:
    """As many as fit one page, or ``most`` bytes; no more is read than the first that does not."""
    room = MAX_PAGE_BYTES if most is None else most
    for number, one in enumerate(found):
        room -= size(one)
        if room < 0 and number:
            return
        yield one


def taken(rows: Iterable[Found], *, limit: int, size: Callable[[Found], int]) -> tuple[list[Found], bool]:
    """The rows of one page, ``limit`` at most, and whether there are more; no more is read than one more.

    :param size: at most the bytes that a row takes on the page: what cannot stand there is not held.
    """
    found: list[Found] = []
    room = MAX_PAGE_BYTES
    for row in rows:
        room -= size(row)
        if len(found) == limit or (room < 0 and found):
            return found, True
        found.append(row)
    return found, False


def size_of_version(of: VersionOf) -> int:
    """At least the bytes that a version takes on a page."""
    return len(_encode(of.model.name)) + _size(of.version)


def size_of_model(found: tuple[Model, Sequence[Version]]) -> int:
    """At least the bytes that a model takes on a page, with its latest versions."""
    model, latest = found
    name = len(_encode(model.name))
    return _size(model) + _PAIR_BYTES * len(model.aliases) + sum(name + _size(version) for version in latest)


def _size(record: Model | Version) -> int:
    return len(_encode(record)) + _FRAME_BYTES + _PAIR_BYTES * len(record.tags)
