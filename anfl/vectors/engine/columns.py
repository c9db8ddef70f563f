"""The metadata of a segment by field, so that a filter becomes a set of rows without looking at each row's metadata.

Each field has its distinct values in order and, for each row that has the field, the code of its value: a condition is
decided once for each distinct value. Distinct lists come after the scalars; an inverted index leads from items to them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from anfl.vectors.engine import bitmaps
from anfl.vectors.engine.archive import Array
from anfl.vectors.engine.bitmaps import Bits
from anfl.vectors.engine.packed import Packed, pack
from anfl.vectors.engine.scalars import Scalars
from anfl.vectors.filters import ABSENT, Condition, Either, Every, Node, Not, scalar_key
from anfl.vectors.model import FieldType, Metadata, Scalar, matches_type

_FIELDS = "fields"
_OPPOSITES = {"$ne": "$eq", "$nin": "$in"}
_MANY = 16
"""Choices from which looking at every distinct value can be cheaper than looking each choice up."""


class Columns:
    """Reads what `build` made, field by field when a filter asks for it."""

    def __init__(self, arrays: Mapping[str, Array], count: int) -> None:
        names = msgspec.msgpack.decode(arrays[_FIELDS].data, type=list[str])
        self._numbers = {name: number for number, name in enumerate(names)}
        self._arrays = arrays
        self._count = count

    def select(self, node: Node) -> Bits:
        """The rows that fulfil a filter."""
        match node:
            case Condition():
                return self._fulfilling(node)
            case Not():
                return ~self.select(node.part) & bitmaps.everything(self._count)
            case Every():
                every = bitmaps.everything(self._count)
                for part in node.parts:
                    every &= self.select(part)
                return every
            case Either():
                either = bitmaps.nothing(self._count)
                for part in node.parts:
                    either |= self.select(part)
                return either

    def against(self, field: str, declared: FieldType) -> Bits:
        """The rows whose value of ``field`` may not stand in one of the ``declared`` type."""
        number = self._numbers.get(field)
        if number is None:
            return bitmaps.nothing(self._count)
        column = Column.read(self._arrays, number)
        rows = np.arange(self._count) if column.rows is None else column.rows
        return bitmaps.of_rows(rows[column.against(declared)[column.codes]], self._count)

    def _fulfilling(self, condition: Condition) -> Bits:
        absent = condition.test(ABSENT)
        number = self._numbers.get(condition.field)
        if number is None:
            return bitmaps.everything(self._count) if absent else bitmaps.nothing(self._count)
        column = Column.read(self._arrays, number)
        present = column.decide(condition)[column.codes]
        if column.rows is None:
            return bitmaps.of_mask(present)
        mask = np.full(self._count, absent)
        mask[column.rows] = present
        return bitmaps.of_mask(mask)


@dataclass(frozen=True, kw_only=True)
class Column:
    """One field. ``codes`` (m,) of the ``rows`` (m,) that have it; None: every row has it."""

    rows: NDArray[np.uint32] | None
    codes: "NDArray[np.unsignedinteger]"
    scalars: Scalars
    lists: Packed
    """MessagePack of each distinct list, whose codes follow those of the scalars."""
    items: Scalars
    holders: NDArray[np.uint32]
    """Numbers of the lists that hold item 0, then those that hold item 1, …"""
    holder_ends: NDArray[np.uint32]

    @classmethod
    def read(cls, arrays: Mapping[str, Array], number: int) -> "Column":
        """From the arrays that `arrays` named."""

        def packed(name: str) -> Packed:
            return Packed(arrays[f"{number}.{name}"], arrays[f"{number}.{name}.ends"])

        lists = f"{number}.lists" in arrays
        return cls(
            rows=arrays.get(f"{number}.rows"),
            codes=arrays[f"{number}.codes"],
            scalars=Scalars(arrays[f"{number}.numbers"], packed("strings")),
            lists=packed("lists") if lists else _NO_TEXTS,
            items=Scalars(arrays[f"{number}.items.numbers"], packed("items.strings")) if lists else _NO_SCALARS,
            holders=arrays[f"{number}.holders"] if lists else _NO_NUMBERS,
            holder_ends=arrays[f"{number}.holders.ends"] if lists else _NO_NUMBERS,
        )

    def arrays(self, number: int) -> dict[str, Array]:
        """What `read` takes, named for column ``number``."""
        named: dict[str, Array] = {"codes": self.codes, "numbers": self.scalars.numbers}
        texts = {"strings": self.scalars.strings}
        if self.rows is not None:
            named["rows"] = self.rows
        if len(self.lists):
            named |= {"items.numbers": self.items.numbers, "holders": self.holders, "holders.ends": self.holder_ends}
            texts |= {"lists": self.lists, "items.strings": self.items.strings}
        for name, packed in texts.items():
            named |= {name: packed.blob, f"{name}.ends": packed.offsets}
        return {f"{number}.{name}": array for name, array in named.items()}

    def decide(self, condition: Condition) -> NDArray[np.bool_]:
        """For each code whether its value fulfils the condition."""
        operation = _OPPOSITES.get(condition.operation, condition.operation)
        fulfils = np.zeros(len(self.scalars) + len(self.lists), dtype=np.bool_)
        operand = condition.operand
        match operation:
            case "$exists":
                fulfils[:] = operand
            case "$eq" if isinstance(operand, list):
                fulfils[len(self.scalars) :][self._equal_lists(operand)] = True
            case "$eq":
                fulfils[_codes(self.scalars, [operand])] = True
            case "$in":
                fulfils[_codes(self.scalars, cast(list[object], operand))] = True
            case "$contains" | "$contains_any" | "$contains_all":
                items = [operand] if operation == "$contains" else cast(list[object], operand)
                fulfils[len(self.scalars) :] = self._holding(items, every=operation == "$contains_all")
            case _:
                fulfils[self.scalars.range(operation, operand)] = True
        return fulfils if operation == condition.operation else ~fulfils

    def against(self, declared: FieldType) -> NDArray[np.bool_]:
        """For each code whether its value may not stand in a field of the ``declared`` type."""
        scalars = [not matches_type(value, declared) for value in self.scalars.examples()]
        lists = [not matches_type(msgspec.msgpack.decode(text), declared) for text in self.lists]
        return np.array([*np.repeat(scalars, self.scalars.counts()), *lists], dtype=np.bool_)

    def _holding(self, items: Sequence[object], *, every: bool) -> NDArray[np.bool_]:
        """For each list whether it holds one of the items, or every one."""
        distinct = dict.fromkeys(map(scalar_key, items))
        codes = _codes(self.items, [value for _, value in distinct])
        if every and len(codes) < len(distinct):
            return np.zeros(len(self.lists), dtype=np.bool_)
        counts = np.zeros(len(self.lists), dtype=np.uint32)
        for code in codes:
            counts[self._holders(code)] += 1
        return counts == len(distinct) if every else counts > 0

    def _equal_lists(self, wanted: Sequence[object]) -> list[int]:
        """Numbers of the lists equal to ``wanted``: at most one."""
        code = self.items.code(wanted[0]) if wanted else None
        if wanted and code is None:
            return []
        key = [scalar_key(item) for item in wanted]
        candidates = range(len(self.lists)) if code is None else self._holders(code).tolist()
        for number in candidates:
            if [scalar_key(item) for item in msgspec.msgpack.decode(self.lists[number])] == key:
                return [number]
        return []

    def _holders(self, code: int) -> NDArray[np.uint32]:
        begin, end = self.holder_ends[code : code + 2].tolist()
        return self.holders[begin:end]


@dataclass(frozen=True)
class _Draft:
    """A column as its rows come in; ``codes`` are provisional ones, in order of appearance."""

    rows: list[int] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    seen: dict[object, int] = field(default_factory=dict)
    values: list[Scalar | list[Scalar]] = field(default_factory=list)

    def add(self, row: int, value: Scalar | list[Scalar]) -> None:
        key = tuple(map(scalar_key, value)) if isinstance(value, list) else scalar_key(value)
        code = self.seen.setdefault((isinstance(value, list), key), len(self.values))
        if code == len(self.values):
            self.values.append(value)
        self.rows.append(row)
        self.codes.append(code)

    def column(self, count: int) -> Column:
        lists = [value for value in self.values if isinstance(value, list)]
        scalars = Scalars.of(value for value in self.values if not isinstance(value, list))
        final, found = np.empty(len(self.values), dtype=np.uint32), 0
        for number, value in enumerate(self.values):
            if isinstance(value, list):
                final[number] = len(scalars) + found
                found += 1
            else:
                final[number] = cast(int, scalars.code(value))
        items, holders, ends = _inverted(lists)
        return Column(
            rows=None if len(self.rows) == count else np.array(self.rows, dtype=np.uint32),
            codes=final[np.array(self.codes)].astype(np.min_scalar_type(len(scalars) + len(lists))),
            scalars=scalars,
            lists=Packed(*pack([msgspec.msgpack.encode(value) for value in lists])),
            items=items,
            holders=holders,
            holder_ends=ends,
        )


def build(metadata: Iterable[Metadata], count: int) -> dict[str, Array]:
    """The arrays that `Columns` reads, of the metadata of ``count`` rows."""
    drafts: dict[str, _Draft] = {}
    for row, members in enumerate(metadata):
        for name, value in members.items():
            draft = drafts.get(name)
            if draft is None:
                draft = drafts[name] = _Draft()
            draft.add(row, value)
    named: dict[str, Array] = {_FIELDS: np.frombuffer(msgspec.msgpack.encode(list(drafts)), dtype=np.uint8)}
    for number, draft in enumerate(drafts.values()):
        named |= draft.column(count).arrays(number)
    return named


def _inverted(lists: Sequence[Sequence[Scalar]]) -> tuple[Scalars, NDArray[np.uint32], NDArray[np.uint32]]:
    items = Scalars.of({scalar_key(item): item for held in lists for item in held}.values())
    pairs = sorted({(cast(int, items.code(item)), number) for number, held in enumerate(lists) for item in held})
    holders = np.array([number for _, number in pairs], dtype=np.uint32)
    ends = np.searchsorted([code for code, _ in pairs], np.arange(len(items) + 1)).astype(np.uint32)
    return items, holders, ends


def _codes(scalars: Scalars, values: Sequence[object]) -> list[int]:
    """Codes of those of the values that are there; each once."""
    if len(values) > _MANY and len(values) > len(scalars) // _MANY:
        keys = frozenset(map(scalar_key, values))
        return [code for code in range(len(scalars)) if scalar_key(scalars.value(code)) in keys]
    found = {scalars.code(value) for value in values if not isinstance(value, list)}
    return [code for code in found if code is not None]


_NO_TEXTS = Packed(*pack([]))
_NO_SCALARS = Scalars.of([])
_NO_NUMBERS: NDArray[np.uint32] = np.zeros(len(_NO_SCALARS) + 1, dtype=np.uint32)
