"""Imports: a file is cut the same way however it comes, and each of its rows is stored once whatever happens."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anfl.problems import Problem
from anfl.vectors.imports import spans as spans_module
from anfl.vectors.imports.attempts import Attempt
from anfl.vectors.imports.chunks import store_chunk as store_rows_of
from anfl.vectors.imports.lines import rows_of
from anfl.vectors.imports.model import MAX_TEXT, Chunk, ChunkOutcome, Format, Span
from anfl.vectors.imports.spans import spans
from anfl.vectors.model import FieldType, Values
from anfl.vectors.requests import CollectionPatch, Count, Fetch
from anfl.vectors.store import VectorStore
from tests.unit.vectors.builders import delete
from tests.unit.vectors.importing import row, text_of
from tests.unit.vectors.simulated import SimulatedTime
from tests.unit.vectors.test_store import WORDS, code_of

LINES = st.lists(st.sampled_from([b"", b"  ", b"\r", b"{}", b'{"id": "a"}', b"x" * 40]), max_size=30)


@given(lines=LINES, ended=st.booleans(), block=st.integers(1, 50), rows=st.integers(1, 5), size=st.integers(1, 100))
def test_spans_are_whole_lines_within_bounds(
    *, lines: list[bytes], ended: bool, block: int, rows: int, size: int
) -> None:
    text = b"\n".join(lines) + b"\n" * ended
    blocks = [text[start : start + block] for start in range(0, len(text), block)]
    found = list(spans(blocks, field="f", rows=rows, size=size))
    assert found == list(spans([text], field="f", rows=rows, size=size))
    held = [line for span in found for line in text[span.start : span.stop].split(b"\n") if line.strip()]
    assert held == [line for line in lines if line.strip()]
    row = 0
    for span in found:
        part = text[span.start : span.stop]
        assert (span.first_row, span.rows) == (row, sum(bool(line.strip()) for line in part.split(b"\n")))
        assert 1 <= span.rows <= rows
        assert span.rows == 1 or len(part.rstrip()) <= size
        row += span.rows


def test_a_line_that_no_row_could_be_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans_module, "MAX_LINE_BYTES", 10)
    with pytest.raises(Problem, match="more than 10 bytes") as caught:
        list(spans(iter([b"\n{}\n{}\n", b"x" * 6, b"x" * 6]), field="files[0]"))
    assert (caught.value.status, caught.value.field, caught.value.extensions) == (413, "files[0]", {"row": 2})


@pytest.fixture(name="chunk")
def _chunk(store: VectorStore) -> Chunk:
    made, _ = store.create("demo", WORDS)
    span = Span(start=0, stop=0, first_row=100, rows=0)
    return Chunk(
        tenant="demo",
        import_id="i",
        number=7,
        collection="words",
        incarnation=made.incarnation,
        format=Format.JSONL,
        span=span,
    )


def store_chunk(store: VectorStore, chunk: Chunk, text: bytes, values: Values | None = None) -> ChunkOutcome:
    clock = SimulatedTime().clock()
    attempt = Attempt(number=1, most=5, deadline=clock.monotonic() + 60, clock=clock)
    return store_rows_of(store, chunk, rows_of(text, first_row=chunk.span.first_row, values=values), attempt)


def count_of(store: VectorStore) -> int:
    return store.count("demo", "words", Count(consistency="strong")).count


def test_rows_that_are_wrong_are_named_and_the_others_stored(store: VectorStore, chunk: Chunk) -> None:
    text = text_of(row("a"), b"\n", b"{\n", row("b", values=[1]), row("c", if_version=1), row("d"), {"id": "e"})
    outcome = store_chunk(store, chunk, text)
    assert (outcome.stored, outcome.refused, count_of(store)) == (2, 4, 2)
    assert [(error.row, error.field) for error in outcome.errors] == [
        (101, None),
        (102, "values"),
        (103, "if_version"),
        (105, "values"),
    ]
    assert outcome.errors[0].detail.startswith("The line is not JSON")


def test_beside_an_array_a_row_has_an_id_as_well(store: VectorStore, chunk: Chunk) -> None:
    """No request could name a row without one: it could not be fetched or deleted."""
    text = text_of({"id": ""}, {"id": "a"}, {"id": "x" * 513})
    outcome = store_chunk(store, chunk, text, np.ones((3, 2), np.float32))
    assert (outcome.stored, [(error.row, error.field) for error in outcome.errors]) == (1, [(100, "id"), (102, "id")])


def test_of_two_rows_with_one_id_the_last_stays(store: VectorStore, chunk: Chunk) -> None:
    outcome = store_chunk(store, chunk, text_of(row("a", metadata={"n": 1}), row("b"), row("a", metadata={"n": 2})))
    assert outcome.stored == 3
    [found] = store.fetch("demo", "words", Fetch(ids=["a"], consistency="strong")).vectors
    assert found.metadata == {"n": 2}


class _Crash(BaseException):
    """The process ends."""


def crashing(store: VectorStore, monkeypatch: pytest.MonkeyPatch, *, after: int) -> Iterator[None]:
    """Lets ``after`` writes be committed; the last one's answer is not heard any more."""
    write, left = store.write, after

    def once_more(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        done = write(*arguments, **named)
        left -= 1
        if left == 0:
            raise _Crash
        return done

    with monkeypatch.context() as patched:
        patched.setattr(store, "write", once_more)
        yield


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_chunk_that_was_cut_short_goes_on_and_nothing_is_written_twice(
    store: VectorStore, chunk: Chunk, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr("anfl.vectors.imports.storing.MAX_ROWS", 2)
    text = text_of(*(row(name) for name in "abcdef"))
    for _ in crashing(store, monkeypatch, after=after):
        with pytest.raises(_Crash):
            store_chunk(store, chunk, text)
    assert count_of(store) == 2 * after
    for _ in range(2):
        assert store_chunk(store, chunk, text).stored == 6
    found = store.fetch("demo", "words", Fetch(ids=list("abcdef"), consistency="strong"))
    assert [each.version for each in found.vectors] == [1, 1, 2, 2, 3, 3]


def test_a_row_with_a_name_that_filters_cannot_say_is_refused_alone(store: VectorStore, chunk: Chunk) -> None:
    outcome = store_chunk(store, chunk, text_of(row("a"), row("b", metadata={"n": 1, "$n": 1}), row("c")))
    assert (outcome.stored, [(error.row, error.field) for error in outcome.errors]) == (2, [(101, "metadata.$n")])


def test_a_chunk_goes_on_although_declarations_have_changed(
    store: VectorStore, chunk: Chunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anfl.vectors.imports.storing.MAX_ROWS", 2)
    text = text_of(row("a"), row("b", metadata={"n": 1}), row("c", metadata={"n": 1}), row("d"))
    for _ in crashing(store, monkeypatch, after=1):
        with pytest.raises(_Crash):
            store_chunk(store, chunk, text)
    store.write("demo", "words", delete("b"))
    store.update("demo", "words", CollectionPatch(fields={"n": FieldType.STRING}))
    outcome = store_chunk(store, chunk, text)
    assert [(error.row, error.field) for error in outcome.errors] == [(101, "metadata.n"), (102, "metadata.n")]
    found = store.fetch("demo", "words", Fetch(ids=list("abcd"), consistency="strong"))
    assert [(each.id, each.version) for each in found.vectors] == [("a", 1), ("d", 4)]  # behind the fence


def test_rows_that_contradict_what_is_declared_meanwhile_are_named_and_the_others_stored(
    store: VectorStore, chunk: Chunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anfl.vectors.imports.storing.MAX_ROWS", 2)
    write = store.write

    def declared_before_the_second(*arguments: Any, **named: Any) -> Any:
        if store.count("demo", "words", Count(consistency="strong")).count == 2:
            store.update("demo", "words", CollectionPatch(fields={"n": FieldType.STRING}))
        return write(*arguments, **named)

    monkeypatch.setattr(store, "write", declared_before_the_second)
    outcome = store_chunk(store, chunk, text_of(row("a"), row("b"), row("c", metadata={"n": 1}), row("d")))
    assert (outcome.stored, [(error.row, error.field) for error in outcome.errors]) == (3, [(102, "metadata.n")])
    assert count_of(store) == 3


def test_nothing_goes_into_another_collection_of_the_same_name(store: VectorStore, chunk: Chunk) -> None:
    store.delete("demo", "words")
    assert code_of(lambda: store_chunk(store, chunk, text_of(row("a")))) == (404, "collection_not_found")
    store.create("demo", WORDS)
    assert code_of(lambda: store_chunk(store, chunk, text_of(row("a")))) == (409, "collection_changed")
    wrong = text_of(row("a", values=[1.0]))  # for this one, whoever it is meant for
    assert code_of(lambda: store_chunk(store, chunk, wrong)) == (409, "collection_changed")
    assert count_of(store) == 0


def test_what_is_kept_of_an_error_is_short(store: VectorStore, chunk: Chunk) -> None:
    outcome = store_chunk(store, chunk, text_of(row("a", metadata={"x" * 30_000: 2**60})))
    [error] = outcome.errors
    assert (len(error.field or ""), len(error.detail) <= MAX_TEXT) == (MAX_TEXT, True)


def test_an_export_can_be_imported(store: VectorStore, chunk: Chunk) -> None:
    exported = {"id": "a", "version": 7, "values": {"f32": "AACAPwAAgD8="}, "metadata": {"n": 1}, "expires_at": 9e9}
    assert store_chunk(store, chunk, text_of(exported)).stored == 1
    [found] = store.fetch("demo", "words", Fetch(ids=["a"], consistency="strong")).vectors
    assert (found.values, found.metadata, found.expires_at) == ([1.0, 1.0], {"n": 1}, 9e9)
