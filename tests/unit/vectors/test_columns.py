"""Filters by way of the index of each field, against the same filters row by row."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anfl.vectors.engine import bitmaps
from anfl.vectors.engine.columns import Columns, build
from anfl.vectors.filters import compile_filter
from anfl.vectors.model import FieldType, matches_type
from tests.unit.vectors.test_filters import FILTERS, METADATA


def selected(document: dict[str, Any], rows: list[dict[str, Any]]) -> list[int]:
    columns = Columns(build(rows, len(rows)), len(rows))
    found: list[int] = bitmaps.rows(columns.select(compile_filter(document).root), len(rows)).tolist()
    return found


def expected(document: dict[str, Any], rows: list[dict[str, Any]]) -> list[int]:
    matches = compile_filter(document)
    return [number for number, metadata in enumerate(rows) if matches(metadata)]


@settings(max_examples=500, deadline=None)
@given(document=FILTERS, rows=st.lists(METADATA, min_size=1, max_size=80))
def test_the_index_selects_what_the_filter_says(document: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    assert selected(document, rows) == expected(document, rows)


@pytest.mark.parametrize(
    "document",
    [
        {"a": {"$lt": 10**400}},
        {"a": {"$gt": -(10**400)}},
        {"a": 10**400},
        {"a": {"$in": [10**400, 2**53 - 1]}},
        {"a": 2.0**53},
        {"a": 2**53 + 1},
        {"a": {"$gte": 2**53 + 1}},
        {"a": {"$gt": "é"}},
        {"a": {"$lte": "\U0001f600"}},
        {"a": {"$lt": "\uffff"}},
        {"a": -0.0},
        {"a": {"$contains": 0}},
        {"a": []},
        {"a": [1, "x", None, True]},
        {"a": [1.0, "x", None, True]},
        {"a": [1, "x", None, 1]},
        {"a": {"$ne": [1, "x", None, True]}},
        {"a": {"$contains_all": []}},
        {"a": {"$contains_all": [1, True]}},
        {"a": {"$contains_any": list(range(1000))}},
        {"a": {"$in": list(range(1000))}},
        {"a": {"$nin": [str(n) for n in range(1000)] + ["é"]}},
        {"nowhere": {"$ne": 1}},
        {"nowhere": {"$exists": False}},
    ],
)
def test_edges(document: dict[str, Any]) -> None:
    values: list[Any] = [0, -0.0, 1, True, False, None, 2**53 - 1, 2.0**53, 1e308, -5e-324, "", "é", "z", "\U0001f600"]
    values += ["\ufffe", "\uffff", [], [1, "x", None, True], [True], [0], ["x", "x"], [1.5, -0.0]]
    rows: list[dict[str, Any]] = [{"a": value, "b": 1} for value in values]
    rows.append({"b": 2})
    assert selected(document, rows) == expected(document, rows)


@pytest.mark.parametrize("declared", list(FieldType))
def test_what_a_declaration_would_refuse_is_known(declared: FieldType) -> None:
    values: list[Any] = [None, True, 1, 1.5, "x", "", ["x"], [], [1], ["x", None]]
    rows = [*({"a": value} for value in values), {}]
    columns = Columns(build(rows, len(rows)), len(rows))
    expected = [number for number, value in enumerate(values) if not matches_type(value, declared)]
    assert bitmaps.rows(columns.against("a", declared), len(rows)).tolist() == expected
    assert bitmaps.size(columns.against("b", declared)) == 0


def test_a_field_of_its_own_in_every_row_takes_little_room() -> None:
    rows: list[Any] = [{f"field{number}": number} for number in range(2_000)]
    arrays = build(rows, len(rows))
    assert sum(array.nbytes for array in arrays.values()) < 2_000 * 100
    columns = Columns(arrays, 2_000)
    assert bitmaps.rows(columns.select(compile_filter({"field7": {"$gte": 7}}).root), 2_000).tolist() == [7]


def test_sets_of_any_size_keep_their_last_word_clean() -> None:
    for count in (0, 1, 63, 64, 65, 130):
        assert bitmaps.size(bitmaps.everything(count)) == count
        mask = np.random.default_rng(count).random(count) < 0.5
        assert bitmaps.mask(bitmaps.of_mask(mask), count).tolist() == mask.tolist()
        half = bitmaps.nothing(count)
        bitmaps.add_range(half, count // 2, count)
        assert bitmaps.rows(half, count).tolist() == list(range(count // 2, count))
