"""Answers of rows by id, and in id order: as the table has them now."""

from itertools import batched, islice
from math import ceil, sqrt

from anfl.vectors.allowance import Allowance
from anfl.vectors.clock import Clock
from anfl.vectors.dynamodb.items import SHARDS, StoredItem
from anfl.vectors.dynamodb.reading import Reader
from anfl.vectors.dynamodb.table import MOST_READ, LaterError
from anfl.vectors.filters import compile_filter
from anfl.vectors.model import Collection
from anfl.vectors.pace import LONG_SECONDS
from anfl.vectors.reads import Cursor
from anfl.vectors.requests import Fetch, Rows, Scroll, StoredRow


def fetched(reader: Reader, collection: Collection, request: Fetch, *, sequence: str) -> Rows:
    """The rows that ``request`` names.

    :raises Problem: 413, they do not fit into an answer; 503.
    """
    allowance = Allowance(("values", "metadata"), packed=request.values_format == "f32")
    shown: list[StoredRow] = []
    for ids in batched(dict.fromkeys(request.ids), MOST_READ):  # few of them may fit into an answer
        found = reader.rows(collection, ids)
        shown += [_stored(found[row_id], allowance, "ids") for row_id in ids if row_id in found]
    return Rows(vectors=shown, sequence=sequence)


def scrolled(reader: Reader, collection: Collection, request: Scroll, *, sequence: str, clock: Clock) -> Rows:
    """A page of rows; it ends early where an answer would be too large, or take too long, with no row perhaps.

    :raises Problem: 400 for the filter; 409 ``history_lost`` for the cursor; 503.
    """
    after = ""
    if request.cursor is not None:
        cursor = Cursor.parse(request.cursor)
        cursor.check(collection)
        after = cursor.after
    wanted = compile_filter(request.filter) if request.filter else None
    end = clock.monotonic() + LONG_SECONDS
    allowance = Allowance(request.include, packed=request.values_format == "f32")
    values = "values" in request.include
    most = min(request.limit, allowance.most_rows(collection.settings.dimension)) if values else request.limit
    rows = reader.in_order(
        collection,
        after=after,
        page=_share(most),
        values=values,
        is_late=lambda: clock.monotonic() > end,
    )
    matching = (row for row in rows if wanted is None or wanted(row.metadata))
    page: list[StoredRow] = []

    def ended(after: str) -> Rows:
        return Rows(vectors=page, sequence=sequence, cursor=str(Cursor(collection.incarnation, sequence, after)))

    try:
        for row in islice(matching, request.limit + 1):
            if len(page) == request.limit or (page and not allowance.has_room(row)):
                return ended(page[-1].id)
            page.append(_stored(row, allowance, "limit"))
    except LaterError as later:
        return ended(later.after)
    return Rows(vectors=page, sequence=sequence)


def _share(rows: int) -> int:
    """How many to read of each shard at a time, so that it is seldom one too few: ids spread evenly over them. What is
    read of the others is paid for, and read again for the next page."""
    mean = rows / SHARDS
    return ceil(mean + 2 * sqrt(mean)) + 1


def _stored(row: StoredItem, allowance: Allowance, field: str) -> StoredRow:
    values, metadata = allowance.take(row, field=field)
    return StoredRow(id=row.id, version=row.version, values=values, metadata=metadata, expires_at=row.expires_at)
