"""Stores the rows of a chunk, each once, however often and wherever the chunk is tried."""

from collections.abc import Iterator

from anfl.problems import Problem, conflict, invalid
from anfl.vectors.changes import prepare
from anfl.vectors.imports.model import MAX_ERRORS, Chunk, ChunkOutcome, RowError
from anfl.vectors.model import Collection
from anfl.vectors.refusals import Refusal
from anfl.vectors.requests import MAX_ROWS, NewRow, Upsert, parse
from anfl.vectors.store import VectorStore

REQUEST_BYTES = 4 * 2**20
"""Of text in one write, about."""
_Numbered = tuple[int, NewRow]


def store_chunk(store: VectorStore, chunk: Chunk, text: bytes) -> ChunkOutcome:
    """Write the rows of ``text``, the chunk's span of the file. Rows that are wrong are left out and named.

    Its writes are cut by the text alone and carry ids made of import, chunk and their number: a chunk that was tried
    before goes on where it ended, and what is written already is not written again.

    :raises Problem: 404, or 409 ``collection_changed`` where the name belongs to another collection by now; 429 and
        503 as `VectorStore.write`: to be tried again.
    """
    collection = store.describe(chunk.tenant, chunk.collection)
    if collection.incarnation != chunk.incarnation:
        raise conflict(f"{chunk.collection} is not the collection it was.", code=Refusal.COLLECTION_CHANGED)
    stored, wrong = 0, list[RowError]()
    for number, rows in enumerate(_groups(text, first_row=chunk.span.first_row, wrong=wrong)):
        vectors = _fitting(rows, collection, wrong)
        if vectors:
            _write(
                store, chunk, Upsert(vectors=vectors, request_id=f"import/{chunk.import_id}/{chunk.number}/{number}")
            )
        stored += len(vectors)
    wrong.sort(key=lambda error: error.row)
    return ChunkOutcome(stored=stored, refused=len(wrong), errors=tuple(wrong[:MAX_ERRORS]))


def _write(store: VectorStore, chunk: Chunk, upsert: Upsert) -> None:
    try:
        store.write(chunk.tenant, chunk.collection, upsert)
    except Problem as problem:
        # Written by an earlier attempt, when other declarations decided which of the same rows are right.
        if problem.code != Refusal.REQUEST_ID_REUSED:
            raise


def _groups(text: bytes, *, first_row: int, wrong: list[RowError]) -> Iterator[list[_Numbered]]:
    """Rows with their numbers, as many as one write takes, which has no id twice: of two rows the last is to stay.

    :param wrong: lines that are no rows are added to it.
    """
    group, size, ids = list[_Numbered](), 0, set[str]()
    numbered = enumerate((line for line in text.split(b"\n") if line.strip()), first_row)
    for number, line in numbered:
        try:
            row = parse(line, NewRow)
            if row.if_version is not None:
                raise invalid("An import takes no conditions.", field="if_version")
        except Problem as problem:
            wrong.append(RowError(row=number, detail=problem.detail, field=problem.field))
            continue
        if group and (len(group) == MAX_ROWS or size + len(line) > REQUEST_BYTES or row.id in ids):
            yield group
            group, size, ids = [], 0, set()
        group.append((number, row))
        size += len(line)
        ids.add(row.id)
    if group:
        yield group


def _fitting(rows: list[_Numbered], collection: Collection, wrong: list[RowError]) -> list[NewRow]:
    """The rows that ``collection`` takes; others are added to ``wrong``."""
    try:
        prepare(Upsert(vectors=[row for _, row in rows]), collection)
    except Problem:
        return [row for number, row in rows if _fits(number, row, collection, wrong)]
    return [row for _, row in rows]


def _fits(number: int, row: NewRow, collection: Collection, wrong: list[RowError]) -> bool:
    try:
        prepare(Upsert(vectors=[row]), collection)
    except Problem as problem:
        field = (problem.field or "").removeprefix("vectors[0].") or None
        wrong.append(RowError(row=number, detail=problem.detail, field=field))
        return False
    return True
