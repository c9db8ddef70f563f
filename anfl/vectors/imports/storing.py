"""Stores the rows of a chunk, each once, however often and wherever the chunk is tried."""

from collections.abc import Callable, Iterable, Iterator

from anfl.problems import Problem
from anfl.vectors.imports.lines import Candidate, row_error
from anfl.vectors.imports.model import MAX_ERRORS, Chunk, ChunkOutcome, RowError
from anfl.vectors.refusals import Refusal
from anfl.vectors.requests import MAX_ROWS, NewRow, Upsert

REQUEST_BYTES = 4 * 2**20
"""Of rows in one write, about."""
Write = Callable[[Upsert], object]
"""Commits an upsert, or raises a `Problem`."""
Check = Callable[[Upsert], object]
"""Raises a `Problem` where a row is wrong."""
_LOOKS = 3
"""At what is declared, before rows are the import's failure that were right at each."""
_Numbered = tuple[int, NewRow]


def store_rows(chunk: Chunk, rows: Iterable[Candidate], *, checks: Callable[[], Check], write: Write) -> ChunkOutcome:
    """Write the chunk's rows. Those that are wrong are left out and named, also by what is declared meanwhile.

    Its writes are cut by the rows alone and carry ids made of import, chunk and their number: a chunk that was tried
    before goes on where it ended, and what is written already is not written again.

    :param checks: a check by what is declared now.
    :raises Problem: as ``checks`` and ``write``.
    """
    stored, wrong = 0, list[RowError]()
    check = checks()
    for number, group in enumerate(_groups(rows, wrong)):
        request_id = f"import/{chunk.import_id}/{chunk.number}/{number}"
        for look in range(1, _LOOKS + 1):
            refused = list[RowError]()
            vectors = _fitting(group, check, refused)
            try:
                if vectors:
                    _write(write, Upsert(vectors=vectors, request_id=request_id, atomic=False))
            except Problem as problem:
                if problem.status != 400 or look == _LOOKS:
                    raise
                check = checks()
            else:
                break
        wrong += refused
        stored += len(vectors)
    wrong.sort(key=lambda error: error.row)
    return ChunkOutcome(stored=stored, refused=len(wrong), errors=tuple(wrong[:MAX_ERRORS]))


def _write(write: Write, upsert: Upsert) -> None:
    try:
        write(upsert)
    except Problem as problem:
        # Written by an earlier attempt, when other declarations decided which of the same rows are right: as a whole,
        # since those of the engine that writes in parts never change.
        if problem.code != Refusal.REQUEST_ID_REUSED:
            raise


def _groups(rows: Iterable[Candidate], wrong: list[RowError]) -> Iterator[list[_Numbered]]:
    """Rows with their numbers, as many as one write takes, which has no id twice: of two rows the last is to stay.

    :param wrong: what is no row is added to it.
    """
    group, total, ids = list[_Numbered](), 0, set[str]()
    for number, size, row in rows:
        if isinstance(row, RowError):
            wrong.append(row)
            continue
        if group and (len(group) == MAX_ROWS or total + size > REQUEST_BYTES or row.id in ids):
            yield group
            group, total, ids = [], 0, set()
        group.append((number, row))
        total += size
        ids.add(row.id)
    if group:
        yield group


def _fitting(rows: list[_Numbered], check: Check, wrong: list[RowError]) -> list[NewRow]:
    """The rows that are right; others are added to ``wrong``."""
    try:
        check(Upsert(vectors=[row for _, row in rows]))
    except Problem:
        return [row for number, row in rows if _fits(number, row, check, wrong)]
    return [row for _, row in rows]


def _fits(number: int, row: NewRow, check: Check, wrong: list[RowError]) -> bool:
    try:
        check(Upsert(vectors=[row]))
    except Problem as problem:
        wrong.append(row_error(number, problem))
        return False
    return True
