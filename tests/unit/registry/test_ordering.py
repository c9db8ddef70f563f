"""Rows in order are the same whether or not the first are chosen before all are sorted."""

import itertools
from operator import itemgetter
from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from anfl.registry import ordering
from anfl.registry.ordering import Order

KEYS: dict[str, Any] = {"a": itemgetter(0), "b": itemgetter(1), "place": itemgetter(2)}
PLACE = Order(field="place", descending=False)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=60),
    st.booleans(),
    st.booleans(),
    st.integers(1, 12),
    st.integers(0, 60),
)
def test_what_is_taken_is_what_sorting_gives(
    given: list[tuple[int, int]], down: bool, down_then: bool, first: int, taken: int
) -> None:
    rows = [(*row, place) for place, row in enumerate(given)]
    orders = (Order(field="a", descending=down), Order(field="b", descending=down_then), PLACE)
    expected = sorted(rows, key=lambda row: (-row[0] if down else row[0], -row[1] if down_then else row[1], row[2]))
    with mock.patch.multiple(ordering, _FIRST=first, _MANY=first):
        found = ordering.in_order(list(rows), orders, KEYS)
        assert list(itertools.islice(found, taken)) == expected[:taken]
        assert list(found) == expected[taken:]


def test_the_first_of_many_are_had_without_sorting_all() -> None:
    rows = [(number * 7919 % 10_007, 0, number) for number in range(10_000)]
    given = list(rows)
    found = ordering.in_order(rows, (Order(field="a", descending=True), PLACE), KEYS)
    assert [row[0] for row in itertools.islice(found, 100)] == sorted((row[0] for row in given), reverse=True)[:100]
    assert rows == given
