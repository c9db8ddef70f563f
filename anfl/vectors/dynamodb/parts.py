"""What of a change goes together: a transaction of DynamoDB has 100 writes and 4 MB, the request's mark included."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TypeVar

import msgspec

from anfl.problems import too_large
from anfl.vectors.changes import Change
from anfl.vectors.dynamodb.classes import MOST_SLOTS
from anfl.vectors.dynamodb.items import LONGEST_TEXT
from anfl.vectors.dynamodb.table import MOST_TOGETHER
from anfl.vectors.model import Collection
from anfl.vectors.refusals import Refusal
from anfl.vectors.requests import MAX_METADATA_BYTES, DeleteRows, NewRow, PatchRow

MOST_BYTES = 4 * 2**20
_NUMBER_BYTES = 9
"""Most that a float32 number takes as DynamoDB's: five for nine digits, one more, a sign, its place in the list; and
one to spare, as AWS calls this an approximation."""
_MOST_METADATA = MAX_METADATA_BYTES * 9 // 4
"""Most that a row's metadata takes as MessagePack: its limit is one of JSON, and ``0.5,`` comes to nine bytes."""
_ROW = re.compile(r"^vectors\[(\d+)\]")
T = TypeVar("T")


def parts(change: Change, collection: Collection) -> Sequence[Change]:
    """``change`` itself where it goes as a whole, else pieces of it.

    What need not go as a whole leaves room for a check in each transaction (`anfl.vectors.dynamodb.fences`).

    :raises Problem: 413 ``batch_not_atomic``, it does not, and has to.
    """
    most = MOST_TOGETHER - (change.request_id is not None) - (not change.atomic)
    if isinstance(change, DeleteRows):
        ids = list(dict.fromkeys(change.ids or []))
        pieces = _cut(ids, [0] * len(ids), most)
        made: list[Change] = [msgspec.structs.replace(change, ids=list(piece)) for piece in pieces]
    else:
        sizes = [_size(row, collection, atomic=change.atomic) for row in change.vectors]
        made = [msgspec.structs.replace(change, vectors=list(piece)) for piece in _cut(change.vectors, sizes, most)]
    if len(made) == 1:
        return [change]
    if change.atomic:
        detail = (
            f"The engine dynamodb changes at most {most} rows and {MOST_BYTES} bytes of such a request together; "
            "send it in parts, or with atomic false."
        )
        raise too_large(
            detail, field="ids" if isinstance(change, DeleteRows) else "vectors", code=Refusal.BATCH_NOT_ATOMIC
        )
    return made


def firsts(pieces: Iterable[Change]) -> list[int]:
    """The place of the first row of each of the ``pieces`` in the whole."""
    sizes = [len(piece.ids or []) if isinstance(piece, DeleteRows) else len(piece.vectors) for piece in pieces]
    return list(accumulate(sizes[:-1], initial=0))


def in_whole(field: str | None, first: int) -> str | None:
    """What a problem of a piece says of its field, said of the whole. :param first: the place of its first row."""
    return field and _ROW.sub(lambda found: f"vectors[{int(found[1]) + first}]", field)


def check_together(sizes: Iterable[int]) -> None:
    """Refuse items of these sizes (`item_bytes`) that do not go together.

    :raises Problem: 413 ``batch_not_atomic``.
    """
    if sum(sizes) > MOST_BYTES:
        detail = f"The rows come to more than the {MOST_BYTES} bytes that the engine dynamodb changes together."
        raise too_large(f"{detail} Send them in parts.", field="vectors", code=Refusal.BATCH_NOT_ATOMIC)


def _cut(rows: Sequence[T], sizes: Sequence[int], most: int) -> Iterator[Sequence[T]]:
    first, size = 0, 0
    for place in range(len(rows)):
        if place > first and (place - first == most or size + sizes[place] > MOST_BYTES):
            yield rows[first:place]
            first, size = place, 0
        size += sizes[place]
    yield rows[first:]


def _size(row: NewRow | PatchRow, collection: Collection, *, atomic: bool) -> int:
    """About the bytes of a row's item, not less. What a patch makes of a row is not known yet: parts have to fit
    whatever that is, and what is to go as a whole is looked at again (`check_together`)."""
    metadata = len(msgspec.msgpack.encode(row.metadata))
    if isinstance(row, PatchRow) and not atomic:
        metadata += _MOST_METADATA
    return item_bytes(row.id, metadata, collection)


def item_bytes(row_id: str, metadata: int, collection: Collection) -> int:
    """About the bytes of an item, not less. :param metadata: of its metadata, some of which stands in slots as well."""
    slots = min(metadata, MOST_SLOTS * (LONGEST_TEXT + 8))
    return collection.settings.dimension * _NUMBER_BYTES + metadata + slots + len(row_id.encode()) + 1024
