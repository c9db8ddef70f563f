"""Imports: a file is cut the same way however it comes, and each of its rows is stored once whatever happens."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anfl.problems import Problem
from anfl.vectors.imports import spans as spans_module
from anfl.vectors.imports.model import Chunk, Span
from anfl.vectors.imports.spans import spans
from anfl.vectors.imports.storing import store_chunk
from anfl.vectors.model import FieldType
from anfl.vectors.requests import CollectionPatch, Count, Fetch
from anfl.vectors.store import VectorStore
from tests.unit.vectors.builders import delete
from tests.unit.vectors.test_store import WORDS, code_of

LINES = st.lists(st.sampled_from([b"", b"  ", b"\r", b"{}", b'{"id": "a"}', b"x" * 40]), max_size=30)


@given(lines=LINES, ended=st.booleans(), block=st.integers(1, 50), rows=st.integers(1, 5), size=st.integers(1, 100))
def test_spans_are_whole_lines_within_bounds(
    *, lines: list[bytes], ended: bool, block: int, rows: int, size: int
) -> None:
    text = b"\n".join(lines) + b"\n" * ended
    blocks = [text[start : start + block] for start in range(0, len(text), block)]
    found = list(spans(blocks, rows=rows, size=size))
    assert found == list(spans([text], rows=rows, size=size))
    held = [line for span in found for line in text[span.start : span.stop].split(b"\n") if line.strip()]
    assert held == [line for line in lines if line.strip()]
    row = 0
    for span in found:
        part = text[span.start : span.stop]
        assert (span.first_row, span.rows) == (row, sum(bool(line.strip()) for line in part.split(b"\n")))
        assert 1 <= span.rows <= rows
        assert span.rows == 1 or len(part.rstrip()) <= size
        row += span.rows


def test_a_line_that_no_request_could_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans_module, "MAX_BODY_BYTES", 10)
    with pytest.raises(Problem, match="Line 2 ") as caught:
        list(spans(iter([b"{}\n", b"x" * 6, b"x" * 6])))
    assert caught.value.status == 413


def text_of(*rows: Any) -> bytes:
    return b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows)


def row(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "values": [1, 2], **more}


@pytest.fixture(name="chunk")
def _chunk(store: VectorStore) -> Chunk:
    made, _ = store.create("demo", WORDS)
    span = Span(start=0, stop=0, first_row=100, rows=0)
    return Chunk(tenant="demo", import_id="i", number=7, collection="words", incarnation=made.incarnation, span=span)


def rows_of(store: VectorStore) -> int:
    return store.count("demo", "words", Count(consistency="strong")).count


def test_rows_that_are_wrong_are_named_and_the_others_stored(store: VectorStore, chunk: Chunk) -> None:
    text = text_of(row("a"), b"\n", b"{\n", row("b", values=[1]), row("c", if_version=1), row("d"), {"id": "e"})
    outcome = store_chunk(store, chunk, text)
    assert (outcome.stored, outcome.refused, rows_of(store)) == (2, 4, 2)
    assert [(error.row, error.field) for error in outcome.errors] == [
        (101, None),
        (102, "values"),
        (103, "if_version"),
        (105, None),
    ]


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

    def once_more(*arguments: Any) -> Any:
        nonlocal left
        done = write(*arguments)
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
    assert rows_of(store) == 2 * after
    for _ in range(2):
        assert store_chunk(store, chunk, text).stored == 6
    found = store.fetch("demo", "words", Fetch(ids=list("abcdef"), consistency="strong"))
    assert [each.version for each in found.vectors] == [1, 1, 2, 2, 3, 3]


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
    assert [(each.id, each.version) for each in found.vectors] == [("a", 1), ("d", 3)]


def test_nothing_goes_into_another_collection_of_the_same_name(store: VectorStore, chunk: Chunk) -> None:
    store.delete("demo", "words")
    assert code_of(lambda: store_chunk(store, chunk, text_of(row("a")))) == (404, "collection_not_found")
    store.create("demo", WORDS)
    assert code_of(lambda: store_chunk(store, chunk, text_of(row("a")))) == (409, "collection_changed")
    assert rows_of(store) == 0
