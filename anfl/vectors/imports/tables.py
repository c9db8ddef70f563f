"""Rows in Parquet files, by pyarrow, which the service has and the function has not.

Whatever a file has its reader do: `anfl.vectors.imports.confined_tables` has all of this done by a limited process.

Columns ``id`` (string), ``values`` (list of floats), ``expires_at``? (number); every other one is a field of the
metadata: strings, numbers, booleans, lists of them. What is null there is not in the row.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from anfl.decoding import convert
from anfl.problems import Problem, invalid, too_large
from anfl.vectors.imports.lines import Candidate, packed, row_error
from anfl.vectors.imports.model import Span
from anfl.vectors.imports.spans import MAX_LINE_BYTES
from anfl.vectors.imports.table_messages import Shape
from anfl.vectors.model import Values
from anfl.vectors.requests import NewRow, check_names

CHUNK_ROWS = 50_000
"""Of a chunk. A row group is decoded from its beginning, so small chunks of a large one cost more than they save."""
BATCH_ROWS = 1_000
MAX_SPANS = 100_000
"""Of a file: what it says of its rows may be any number."""
READ_BYTES = 4 * 2**20
"""That are read of a column at a time."""
_ID, _VALUES, _EXPIRES = "id", "values", "expires_at"
_UNREADABLE = object()


def spans_of(source: BinaryIO, *, field: str, shape: Shape) -> list[Span]:
    """How a file is cut.

    :param field: what the file is called in errors.
    :raises Problem: 400 naming the column, its rows are no vectors with metadata of ``shape``; 413, it has too many.
    :raises MemoryError: reading it takes more than there is.
    """
    with _opened(source, field) as file:
        _check(file.schema_arrow, shape, field)
        found: list[Span] = []
        first = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if len(found) + rows / CHUNK_ROWS > MAX_SPANS:
                raise too_large(f"The file makes more than {MAX_SPANS} chunks; use larger row groups.", field=field)
            for start in range(0, rows, CHUNK_ROWS):
                stop = min(start + CHUNK_ROWS, rows)
                found.append(Span(start=start, stop=stop, first_row=first + start, rows=stop - start, group=group))
            first += rows
        return found


def rows_of(source: BinaryIO, span: Span, *, field: str) -> Iterator[Candidate]:
    """The rows of ``span``.

    :raises Problem: 400, the file is damaged.
    :raises MemoryError: reading them takes more than there is.
    """
    with _opened(source, field) as file:
        seen = 0
        for batch in file.iter_batches(batch_size=BATCH_ROWS, row_groups=[span.group], use_threads=False):
            start, stop = max(span.start - seen, 0), min(span.stop - seen, batch.num_rows)
            if start < stop:
                yield from _rows_in(batch.slice(start, stop - start), span.first_row + seen + start - span.start)
            seen += batch.num_rows
            if seen >= span.stop:
                return
        detail = f"Row group {span.group} has {seen} rows, which are fewer than the file says."
        raise invalid(detail, field=field)


@contextmanager
def _opened(source: BinaryIO, field: str) -> Iterator[Any]:
    try:
        yield pq.ParquetFile(pa.PythonFile(source), buffer_size=READ_BYTES, pre_buffer=False)
    except MemoryError:
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        detail = f"The file is no Parquet file that can be read: {str(error).rstrip('.')}."
        raise invalid(detail, field=field) from error


def _check(schema: Any, shape: Shape, field: str) -> None:  # noqa: ANN401 - pyarrow has no types
    """Refuse columns that make no rows.

    :raises Problem: 400 naming the column.
    """
    columns = {column.name: column.type for column in schema}
    if len(columns) != len(schema):
        raise invalid("Two columns have one name.", field=field)
    for name in (_ID, _VALUES):
        if name not in columns:
            raise invalid(f"There is no column {name}.", field=f"{field}.{name}")
    for name, type_ in columns.items():
        takes = _TAKES.get(name, (_is_metadata, "strings, numbers, booleans, or lists of them"))
        if not takes[0](type_):
            raise invalid(f"Column {name} is of type {type_}; it takes {takes[1]}.", field=f"{field}.{name}")
    check_names(columns, field=field)
    values = columns[_VALUES]
    if pa.types.is_fixed_size_list(values) and values.list_size != shape.dimension:
        detail = f"Lists of {values.list_size} numbers; {shape.collection} takes {shape.dimension}."
        raise invalid(detail, field=f"{field}.{_VALUES}")


def _is_text(type_: Any) -> bool:  # noqa: ANN401
    if pa.types.is_dictionary(type_):
        return _is_text(type_.value_type)
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))


def _is_number(type_: Any) -> bool:  # noqa: ANN401
    return bool(pa.types.is_integer(type_) or pa.types.is_float32(type_) or pa.types.is_float64(type_))


def _is_list(type_: Any) -> bool:  # noqa: ANN401
    return bool(pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_))


def _is_vector(type_: Any) -> bool:  # noqa: ANN401
    return _is_list(type_) and bool(pa.types.is_floating(type_.value_type))


def _is_metadata(type_: Any) -> bool:  # noqa: ANN401
    if _is_list(type_):
        return not _is_list(type_.value_type) and _is_metadata(type_.value_type)
    return _is_text(type_) or _is_number(type_) or bool(pa.types.is_boolean(type_) or pa.types.is_null(type_))


_TAKES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    _ID: (_is_text, "strings"),
    _VALUES: (_is_vector, "lists of floats"),
    _EXPIRES: (_is_number, "numbers"),
}


def _rows_in(batch: Any, first: int) -> Iterator[Candidate]:  # noqa: ANN401
    ids, values = _listed(batch.column(_ID)), _vectors(batch.column(_VALUES))
    others = [name for name in batch.schema.names if name not in (_ID, _VALUES)]
    columns = {name: _listed(batch.column(name)) for name in others}
    expiries = columns.pop(_EXPIRES, None)
    for index, (row_id, vector) in enumerate(zip(ids, values, strict=True)):
        metadata = {name: column[index] for name, column in columns.items() if column[index] is not None}
        members: dict[str, Any] = {_ID: row_id, "metadata": metadata}
        if vector is not None:
            if vector.nbytes > MAX_LINE_BYTES:
                yield _oversize(first + index, _VALUES)
                continue
            members[_VALUES] = packed(vector)
        if expiries is not None:
            members[_EXPIRES] = expiries[index]
        unreadable = _first_unreadable(members)
        if unreadable is not None:
            problem = invalid("What is text there is not UTF-8.", field=unreadable)
            yield Candidate(first + index, 0, row_error(first + index, problem))
            continue
        size = len(msgspec.json.encode(metadata)) + (0 if vector is None else vector.nbytes)
        if size > MAX_LINE_BYTES:
            yield _oversize(first + index, "metadata")
            continue
        try:
            yield Candidate(first + index, size, _row(members))
        except Problem as problem:
            yield Candidate(first + index, size, row_error(first + index, problem))


def _oversize(number: int, field: str) -> Candidate:
    problem = too_large(f"A row has more than {MAX_LINE_BYTES} bytes.", field=field)
    return Candidate(number, 0, row_error(number, problem))


def _listed(column: Any) -> list[Any]:  # noqa: ANN401
    """What a column holds; Parquet's text may be any bytes, and `_UNREADABLE` stands for what is no UTF-8."""
    try:
        found: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        return [_readable(each) for each in column]
    return found


def _readable(scalar: Any) -> Any:  # noqa: ANN401
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return _UNREADABLE


def _first_unreadable(members: Mapping[str, Any]) -> str | None:
    """The field of a row that is not readable; None: all are."""
    if members[_ID] is _UNREADABLE:
        return _ID
    return next((f"metadata.{name}" for name, value in members["metadata"].items() if value is _UNREADABLE), None)


def _row(members: Mapping[str, Any]) -> NewRow:
    for name, value in members["metadata"].items():
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, float) and not math.isfinite(item):
                raise invalid("NaN and infinity are no numbers in JSON.", field=f"metadata.{name}")
    return convert(members, NewRow)


def _vectors(column: Any) -> list[Values | None]:  # noqa: ANN401
    """The vectors of a column, however its lists are stored; None where one is null."""
    with np.errstate(over="ignore"):
        numbers = column.values.to_numpy(zero_copy_only=False).astype(np.float32)
    if pa.types.is_fixed_size_list(column.type):
        size = column.type.list_size
        bounds = (np.arange(len(column) + 1) + column.offset) * size
    else:
        bounds = column.offsets.to_numpy()
    present = column.is_valid().to_numpy(zero_copy_only=False)
    return [
        numbers[start:stop] if there else None
        for start, stop, there in zip(bounds[:-1], bounds[1:], present, strict=True)
    ]
