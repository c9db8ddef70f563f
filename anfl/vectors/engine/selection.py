"""Which rows fulfil a filter, remembered: a collection is asked with the same few filters again and again."""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from http import HTTPStatus
from itertools import batched

import numpy as np

from anfl.problems import Problem
from anfl.vectors.engine import bitmaps
from anfl.vectors.engine.bitmaps import Bits
from anfl.vectors.engine.fresh import FreshRows
from anfl.vectors.engine.segment import Segment
from anfl.vectors.filters import Filter
from anfl.vectors.refusals import Refusal

REMEMBERED_BYTES = 4 * 2**20
"""Most bytes of sets and filters that one collection remembers."""
_ENTRY_BYTES = 200
FEW_ROWS = 1_000
"""Most rows at which a filter is evaluated on the way."""
FEW_CONDITIONS = 4_000
"""Most conditions on single values that are evaluated for all of them: about two milliseconds."""
MOST_SECONDS = 10.0
"""How long one request evaluates a filter row by row: 256 conditions on lists of thousands of items take minutes."""
_ROWS_AT_ONCE = 100


@dataclass(frozen=True)
class _Entry:
    bits: Bits
    size: int
    """Rows that were looked at; fresh ones may have come since."""
    nbytes: int


class Selections:
    """Safe for threads. What is dead or has expired is not looked at: that changes, and the rest does not."""

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[object, bytes], _Entry] = OrderedDict()
        self._lock = threading.Lock()
        self.nbytes = 0

    def select(self, rows: Segment | FreshRows, wanted: Filter) -> Bits:
        """The rows that fulfil ``wanted``.

        :raises Problem: 429 ``filter_too_slow``, after `MOST_SECONDS`; what has been looked at is remembered.
        """
        key = _key(rows, wanted)
        with self._lock:
            known = self._entries.get(key)
            if known is not None:
                self._entries.move_to_end(key)
        if known is not None and known.size == rows.size:
            return known.bits
        if isinstance(rows, Segment):
            bits, looked_at = rows.columns.select(wanted.root), rows.size
        else:
            bits, looked_at = _select_fresh(rows, wanted, known)
        self._remember(key, _Entry(bits, looked_at, bits.nbytes + len(wanted.key) + _ENTRY_BYTES))
        if looked_at < rows.size:
            raise _too_slow(rows.size - looked_at)
        return bits

    def remembered(self, rows: Segment | FreshRows, wanted: Filter) -> Bits | None:
        """As `select` where that takes next to nothing: it looks at a few rows at most."""
        key = _key(rows, wanted)
        with self._lock:
            known = self._entries.get(key)
        behind = rows.size - (0 if known is None else known.size)
        few = behind <= FEW_ROWS and behind * wanted.work <= FEW_CONDITIONS
        return self.select(rows, wanted) if few else None

    def keep_only(self, segments: "set[str]", fresh: object) -> None:
        """Forget what is about other rows."""
        with self._lock:
            for key in list(self._entries):
                if key[0] is not fresh and key[0] not in segments:
                    self.nbytes -= self._entries.pop(key).nbytes

    def _remember(self, key: tuple[object, bytes], entry: _Entry) -> None:
        if entry.nbytes > REMEMBERED_BYTES:
            return
        with self._lock:
            before = self._entries.pop(key, None)
            if before is not None and before.size > entry.size:  # somebody else got further, or reads a later state
                self._entries[key] = before
                return
            self.nbytes += entry.nbytes - (0 if before is None else before.nbytes)
            self._entries[key] = entry
            while self.nbytes > REMEMBERED_BYTES:
                self.nbytes -= self._entries.popitem(last=False)[1].nbytes


def _key(rows: Segment | FreshRows, wanted: Filter) -> tuple[object, bytes]:
    return rows.name if isinstance(rows, Segment) else rows.fresh, wanted.key


def _select_fresh(rows: FreshRows, wanted: Filter, known: _Entry | None) -> tuple[Bits, int]:
    """Which of the first rows fulfil ``wanted``, and how many were looked at: all of them if that is quick enough."""
    if known is not None and known.size > rows.size:  # somebody reads an earlier state
        return known.bits[: len(bitmaps.nothing(rows.size))] & bitmaps.everything(rows.size), rows.size
    metadata, until = rows.fresh.metadata, time.monotonic() + MOST_SECONDS
    fulfilling: list[int] = []
    looked_at = 0 if known is None else known.size
    for some in batched(range(looked_at, rows.size), _ROWS_AT_ONCE, strict=False):
        fulfilling += [row for row in some if wanted(metadata[row])]
        looked_at = some[-1] + 1
        if time.monotonic() > until:
            break
    bits = bitmaps.nothing(looked_at) if known is None else bitmaps.resized(known.bits, looked_at)
    bits |= bitmaps.of_rows(np.array(fulfilling, dtype=np.int64), looked_at)
    return bits, looked_at


def _too_slow(rows: int) -> Problem:
    detail = f"{rows} rows that have just been written are not compared with the filter yet; ask again to go on."
    return Problem(HTTPStatus.TOO_MANY_REQUESTS, Refusal.FILTER_TOO_SLOW, detail, field="filter", retry_after=1)
