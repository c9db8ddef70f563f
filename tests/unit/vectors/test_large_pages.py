"""How much of a table is read for a page of rows: about what the page can hold, and not what its limit allows."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from anfl.vectors.clock import Clock
from anfl.vectors.dynamodb.items import SHARDS
from anfl.vectors.dynamodb.pages import scrolled
from anfl.vectors.requests import Scroll
from tests.unit.vectors.builders import collection


def read_for(dimension: int, request: Scroll) -> int:
    """Rows that are asked of all partitions together."""
    asked: list[int] = []

    def in_order(_collection: Any, *, page: int, **_: Any) -> Iterator[Any]:
        asked.append(page)
        return iter(())

    plain = collection()
    of = msgspec.structs.replace(plain, settings=msgspec.structs.replace(plain.settings, dimension=dimension))
    scrolled(cast("Any", SimpleNamespace(in_order=in_order)), of, request, sequence="0.0", clock=Clock())
    return SHARDS * asked[0]


@pytest.mark.parametrize(
    ("dimension", "request_", "fit"),
    [
        (4096, Scroll(limit=1_000, include=["values"]), 115),
        (4096, Scroll(limit=1_000, include=["values"], values_format="f32"), 384),
        (4096, Scroll(limit=1_000), 1_000),
        (4096, Scroll(limit=20, include=["values"]), 20),
        (64, Scroll(limit=1_000, include=["values"]), 1_000),
    ],
)
def test_a_page_reads_about_what_it_can_hold(dimension: int, request_: Scroll, fit: int) -> None:
    read = read_for(dimension, request_)
    assert fit <= read
    assert read_for(2, Scroll(limit=fit)) == read
