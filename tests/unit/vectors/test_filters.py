"""Filters against an evaluator that is slow and obvious, and what wrong ones are told."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anfl.problems import Problem
from anfl.vectors.filters import MAX_DEPTH, compile_filter

FIELDS = st.sampled_from(["a", "b", "c"])
SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(["x", "y", "", "10"]), st.sampled_from([0, 1, 2, -1, 1.0, 1.5]), st.booleans(), st.none()
)
METADATA = st.dictionaries(FIELDS, st.one_of(SCALARS, st.lists(SCALARS, max_size=3)), max_size=3)
ORDERED = st.one_of(st.sampled_from(["x", "y", ""]), st.sampled_from([0, 1, 1.5, -1]))
CONDITIONS = st.one_of(
    st.builds(
        lambda op, v: {op: v}, st.sampled_from(["$eq", "$ne"]), st.one_of(SCALARS, st.lists(SCALARS, max_size=3))
    ),
    st.builds(lambda op, v: {op: v}, st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), ORDERED),
    st.builds(
        lambda op, v: {op: v},
        st.sampled_from(["$in", "$nin", "$contains_any", "$contains_all"]),
        st.lists(SCALARS, max_size=3),
    ),
    st.builds(lambda v: {"$exists": v}, st.booleans()),
    st.builds(lambda v: {"$contains": v}, SCALARS),
)
LEAVES = st.dictionaries(FIELDS, st.one_of(SCALARS, CONDITIONS), max_size=2)
FILTERS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda parts: {"$and": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"$or": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"$not": part}, inner),
    ),
    max_leaves=6,
)


def kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else type(value).__name__


def same(left: Any, right: Any) -> bool:
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    return kind(left) == kind(right) and left == right


def condition(name: str, operand: Any, present: bool, value: Any) -> bool:
    listed = isinstance(value, list)
    comparable = present and kind(value) == kind(operand) and kind(value) in {"number", "str"}
    match name:
        case "$eq":
            return present and same(value, operand)
        case "$ne":
            return not (present and same(value, operand))
        case "$gt":
            return comparable and value > operand
        case "$gte":
            return comparable and value >= operand
        case "$lt":
            return comparable and value < operand
        case "$lte":
            return comparable and value <= operand
        case "$in":
            return present and any(same(value, item) for item in operand)
        case "$nin":
            return not (present and any(same(value, item) for item in operand))
        case "$exists":
            return present is operand
        case "$contains":
            return listed and any(same(item, operand) for item in value)
        case "$contains_any":
            return listed and any(same(item, wanted) for wanted in operand for item in value)
        case "$contains_all":
            return listed and all(any(same(item, wanted) for item in value) for wanted in operand)
    raise AssertionError(name)


def evaluate(document: dict[str, Any], metadata: dict[str, Any]) -> bool:
    for key, value in document.items():
        if key == "$and":
            holds = all(evaluate(part, metadata) for part in value)
        elif key == "$or":
            holds = any(evaluate(part, metadata) for part in value)
        elif key == "$not":
            holds = not evaluate(value, metadata)
        else:
            conditions = value if isinstance(value, dict) else {"$eq": value}
            holds = all(
                condition(name, operand, key in metadata, metadata.get(key)) for name, operand in conditions.items()
            )
        if not holds:
            return False
    return True


@settings(max_examples=400)
@given(document=FILTERS, metadata=METADATA)
def test_a_compiled_filter_decides_as_the_definition(document: dict[str, Any], metadata: dict[str, Any]) -> None:
    assert compile_filter(document)(metadata) == evaluate(document, metadata)


def nested(levels: int) -> dict[str, Any]:
    document: dict[str, Any] = {"a": 1}
    for _ in range(levels):
        document = {"$not": document}
    return document


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ([], "filter"),
        ({"$nor": []}, "filter.$nor"),
        ({"$and": {}}, "filter.$and"),
        ({"$or": []}, "filter.$or"),
        ({"a": {}}, "filter.a"),
        ({"a": {"$like": "x"}}, "filter.a.$like"),
        ({"a": {"$gt": True}}, "filter.a.$gt"),
        ({"a": {"$gt": [1]}}, "filter.a.$gt"),
        ({"a": {"$in": 1}}, "filter.a.$in"),
        ({"a": {"$in": [1, {}]}}, "filter.a.$in[1]"),
        ({"a": {"$exists": 1}}, "filter.a.$exists"),
        ({"a": {"$contains": []}}, "filter.a.$contains"),
        ({"$and": [{"a": 1}, {"b": {"$eq": {}}}]}, "filter.$and[1].b.$eq"),
        ({"$or": [{f"f{n}": 1 for n in range(300)}]}, "filter.$or[0].f255"),
        ({"$and": [{}] * 300}, "filter.$and[256]"),
        (nested(MAX_DEPTH + 1), "filter" + ".$not" * (MAX_DEPTH + 1)),
    ],
)
def test_a_wrong_filter_is_told_where(document: object, field: str) -> None:
    with pytest.raises(Problem) as caught:
        compile_filter(document)
    assert (caught.value.status, caught.value.field) == (400, field)


def test_numbers_above_every_float_are_numbers() -> None:
    huge = 10**400
    assert compile_filter({"a": {"$lt": huge, "$gt": -huge, "$ne": huge, "$nin": [huge]}})({"a": 1e308})
    assert not compile_filter({"a": huge})({"a": 1e308})


def test_long_lists_of_choices_cost_no_time() -> None:
    """As a list that is walked, this would take minutes."""
    choices = [f"choice{number}" for number in range(200_000)]
    for condition, expected in (("$in", False), ("$nin", True), ("$contains_any", False), ("$contains_all", False)):
        matches = compile_filter({"a": {condition: choices}})
        for number in range(5_000):
            assert matches({"a": [number] if "contains" in condition else number}) is expected
