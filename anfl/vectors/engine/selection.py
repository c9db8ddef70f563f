"""Which rows fulfil a filter, remembered: a collection is asked with the same few filters again and again."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from anfl.vectors.engine import bitmaps
from anfl.vectors.engine.bitmaps import Bits
from anfl.vectors.engine.fresh import FreshRows
from anfl.vectors.engine.segment import Segment
from anfl.vectors.filters import Filter

REMEMBERED_BYTES = 4 * 2**20
"""Most bytes of sets and filters that one collection remembers."""
_ENTRY_BYTES = 200
FEW_ROWS = 1_000
"""Most rows at which a filter is evaluated on the way."""
FEW_CONDITIONS = 4_000
"""Most conditions on single values that are evaluated for all of them: about two milliseconds."""


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
        """The rows that fulfil ``wanted``."""
        key = _key(rows, wanted)
        with self._lock:
            known = self._entries.get(key)
            if known is not None:
                self._entries.move_to_end(key)
        if known is not None and known.size == rows.size:
            return known.bits
        bits = rows.columns.select(wanted.root) if isinstance(rows, Segment) else _select_fresh(rows, wanted, known)
        self._remember(key, _Entry(bits, rows.size, bits.nbytes + len(wanted.key) + _ENTRY_BYTES))
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
            self.nbytes += entry.nbytes - (0 if before is None else before.nbytes)
            self._entries[key] = entry
            while self.nbytes > REMEMBERED_BYTES:
                self.nbytes -= self._entries.popitem(last=False)[1].nbytes


def _key(rows: Segment | FreshRows, wanted: Filter) -> tuple[object, bytes]:
    return rows.name if isinstance(rows, Segment) else rows.fresh, wanted.key


def _select_fresh(rows: FreshRows, wanted: Filter, known: _Entry | None) -> Bits:
    if known is not None and known.size > rows.size:  # somebody reads an earlier state
        return known.bits[: len(bitmaps.nothing(rows.size))] & bitmaps.everything(rows.size)
    first = 0 if known is None else known.size
    metadata = rows.fresh.metadata
    mask = np.fromiter((wanted(metadata[row]) for row in range(first, rows.size)), dtype=np.bool_)
    if known is None:
        return bitmaps.of_mask(mask)
    bits = bitmaps.resized(known.bits, rows.size)
    bits |= bitmaps.of_rows(first + np.flatnonzero(mask), rows.size)
    return bits
