"""Parts of a change are carried out beside each other, and none is left alone."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from anfl.problems import Problem, unavailable
from anfl.vectors.clock import Clock
from anfl.vectors.dynamodb.changing import BESIDE, Changing
from anfl.vectors.dynamodb.rounds import Rounds
from anfl.vectors.dynamodb.writing import Rows
from anfl.vectors.requests import NewRow, Upsert
from tests.unit.vectors.builders import collection

WORDS = msgspec.structs.replace(collection(), engine_class="small")


class Table:
    """Takes transactions; as many as ``together`` wait for each other. The one with a row that is ``bad`` fails."""

    def __init__(self, *, together: int = 1, bad: str = "") -> None:
        self.rows: set[str] = set()
        self._meeting = threading.Barrier(together)
        self._bad = bad

    def transact(self, writes: Sequence[Any]) -> None:
        """See `Table.transact`."""
        ids = {each["Put"]["Item"]["sk"]["S"] for each in writes if "Put" in each}
        self._meeting.wait(timeout=60)
        if self._bad in ids:
            raise unavailable("It does not answer.", code="storage_unavailable")
        self.rows |= ids


def _carried_out(table: Any, rows: int) -> int:
    clock = Clock()
    change = Upsert(vectors=[NewRow(id=f"r{number:04}", values=[1.0, 1.0]) for number in range(rows)], atomic=False)
    with ThreadPoolExecutor(64) as pool:
        return Changing(Rows(table, clock), Rounds(table), clock, pool).carry_out(WORDS, change, filling=None)


def test_several_at_a_time_and_all_of_them() -> None:
    table = Table(together=BESIDE)
    assert _carried_out(table, BESIDE * 99) == BESIDE * 99 == len(table.rows)


def test_who_hears_of_a_failure_knows_that_nothing_is_under_way_any_more() -> None:
    table = Table(together=3, bad="r0000")
    with pytest.raises(Problem, match="does not answer"):
        _carried_out(table, 3 * 99)
    assert len(table.rows) == 2 * 99
