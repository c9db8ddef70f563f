"""Filters of queries as the vector index has them, against what they mean: to the rows that a slot can hold."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from anfl.problems import Problem
from anfl.vectors.dynamodb.conditions import Equalities, searches
from anfl.vectors.dynamodb.items import LONGEST_TEXT, holds, slots
from anfl.vectors.filters import compile_filter
from anfl.vectors.model import FieldType, Metadata
from anfl.vectors.requests import MAX_INTEGER

FIELDS = {
    "s": FieldType.STRING,
    "t": FieldType.STRING,
    "n": FieldType.NUMBER,
    "m": FieldType.NUMBER,
    "flag": FieldType.BOOLEAN,
}
LONG = "x" * LONGEST_TEXT
TEXTS = st.sampled_from(["", "a", "A", "a ", "\0", "=a", "#a", "1", "true", LONG, f"{LONG}x", f"{LONG}y", "é" * 128])
LARGE = [MAX_INTEGER, MAX_INTEGER + 1, MAX_INTEGER + 2, float(MAX_INTEGER + 1), 1.8e19, 2**64 - 1]
NUMBERS = st.sampled_from(
    [*LARGE, 0, -0.0, 1, 1.0, -1, 0.1, 0.1 + 0.2, 0.3, 9.9e124, 1e125, 1.1e-129, 5e-324, 1e300, 10**400]
)
SCALARS = st.one_of(TEXTS, NUMBERS, st.booleans(), st.none())
CONDITIONS = st.one_of(
    SCALARS,
    st.builds(lambda one: {"$eq": one}, SCALARS),
    st.builds(lambda some: {"$in": some}, st.lists(SCALARS, max_size=4)),
)
LEAVES = st.dictionaries(st.sampled_from(sorted(FIELDS)), CONDITIONS, max_size=3)
FILTERS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda parts: {"$and": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"$or": parts}, st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=5,
)


def is_stored(number: Any) -> bool:
    return holds(number) and (isinstance(number, float) or abs(number) <= MAX_INTEGER)


STORED = NUMBERS.filter(is_stored)
ROWS: st.SearchStrategy[Metadata] = st.fixed_dictionaries(
    {},
    optional={
        name: st.one_of(st.none(), {FieldType.STRING: TEXTS, FieldType.NUMBER: STORED}.get(declared, st.booleans()))
        for name, declared in FIELDS.items()
    },
)


def found(row: Metadata, alternatives: list[Equalities]) -> bool:
    """Whether DynamoDB finds it, whose numbers are decimal."""
    there = {slot: _value(each) for slot, each in slots(FIELDS, row).items()}
    return any(all(there.get(slot) == _value(each) for slot, each in equal.items()) for equal in alternatives)


def _value(attribute: dict[str, str]) -> Any:
    ((kind, value),) = attribute.items()
    return Decimal(value) if kind == "N" else value


@settings(max_examples=150)
@given(document=FILTERS, rows=st.lists(ROWS, min_size=1, max_size=5))
def test_what_is_searched_for_is_what_the_filter_means(document: dict[str, Any], rows: list[Metadata]) -> None:
    wanted = compile_filter(document)
    try:
        alternatives = searches(wanted, FIELDS)
    except Problem:  # null, or too much
        reject()
    assert [found(row, alternatives) for row in rows] == [wanted(row) for row in rows]


def test_there_is_one_zero() -> None:
    assert searches(compile_filter({"$and": [{"n": -0.0}, {"n": 0}]}), FIELDS) == searches(
        compile_filter({"n": {"$in": [0, 0.0, -0.0]}}), FIELDS
    )


@pytest.mark.parametrize("condition", [MAX_INTEGER + 2, {"$in": [MAX_INTEGER + 2, 0]}], ids=str)
def test_an_integer_that_no_slot_tells_from_another_is_no_rows(condition: Any) -> None:
    row: Metadata = {"n": float(MAX_INTEGER + 1)}
    assert not compile_filter({"n": condition})(row)
    assert not found(row, searches(compile_filter({"n": condition}), FIELDS))
    assert found(row, searches(compile_filter({"n": MAX_INTEGER + 1}), FIELDS))
