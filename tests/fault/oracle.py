"""An exact model of a collection: what the requests that a log says were carried out, in its order, amount to."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from anfl.vectors.batch import Batch
from anfl.vectors.changes import Change
from anfl.vectors.request_ids import REQUEST_SECONDS
from anfl.vectors.requests import DeleteRows, PatchRows, Upsert
from anfl.vectors.state import State


@dataclass(frozen=True)
class Held:
    """A row. ``values`` as bytes of float32 numbers."""

    values: bytes
    metadata: dict[str, Any]
    version: int
    expires_at: float | None

    def alive(self, now: float) -> bool:
        """Whether it has not expired at ``now``."""
        return self.expires_at is None or self.expires_at > now


Content = dict[str, Held]


class DivergenceError(AssertionError):
    """The store did what it must never do."""


class Oracle:
    """Carries out requests as they are defined, one batch after the other, and remembers every state."""

    def __init__(self, requests: Mapping[str, Change]) -> None:
        """:param requests: everything that was ever asked for, by request id."""
        self._requests = requests
        self.states: list[Content] = [{}]
        """By sequence."""
        self.applied: dict[str, list[tuple[int, int]]] = {}
        """Sequences and counts by request id: one, as a rule, and others only after it was forgotten."""
        self._applied_at: dict[str, float] = {}
        self.moments: list[float] = [0.0]
        """By sequence."""

    def play(self, batches: Iterable[Batch]) -> None:
        """Carry out what ``batches`` say was carried out.

        :raises DivergenceError: it cannot have been, or not so.
        """
        for batch in batches:
            expect(batch.sequence == len(self.states), f"slot {batch.sequence} follows {len(self.states) - 1}")
            expect(batch.ts >= self.moments[-1], f"time goes backwards in {batch.sequence}")
            self.moments.append(batch.ts)
            content = dict(self.states[-1])
            for applied in batch.requests:
                where = f"{applied.request_id} in {batch.sequence}"
                last = self._applied_at.get(applied.request_id, float("-inf"))
                expect(last < batch.ts - REQUEST_SECONDS, f"{where} is applied again")
                self._applied_at[applied.request_id] = batch.ts
                count = self._apply(content, self._requests[applied.request_id], batch, where)
                expect(count == applied.count, f"{where} counts {applied.count}, not {count}")
                self.applied.setdefault(applied.request_id, []).append((batch.sequence, count))
            self.states.append(content)

    def remembered(self, sequence: int, now: float) -> dict[str, tuple[int, int]]:
        """The requests that who has applied ``sequence`` has to know at ``now``: sequence and count by id, in order."""
        known = {
            request_id: (at, count)
            for request_id, times in self.applied.items()
            for at, count in times
            if at <= sequence and self.moments[at] >= now - REQUEST_SECONDS
        }
        return dict(sorted(known.items(), key=lambda pair: pair[1][0]))

    def _apply(self, content: Content, change: Change, batch: Batch, where: str) -> int:
        def alive(row_id: str) -> Held | None:
            held = content.get(row_id)
            return held if held is not None and held.alive(batch.ts) else None

        if not isinstance(change, DeleteRows):
            for wanted in change.vectors:
                held = alive(wanted.id)
                version = 0 if held is None else held.version
                expect(wanted.if_version in (None, version), f"{where} has passed a condition that does not hold")
        match change:
            case Upsert():
                for new in change.vectors:
                    content[new.id] = Held(_packed(new.values), dict(new.metadata), batch.sequence, new.expires_at)
                return len(change.vectors)
            case PatchRows():
                found = [(row, held) for row in change.vectors if (held := alive(row.id)) is not None]
                for row, held in found:
                    merged = {name: value for name, value in held.metadata.items() if name not in row.metadata}
                    merged |= {name: value for name, value in row.metadata.items() if value is not None}
                    content[row.id] = Held(held.values, merged, batch.sequence, held.expires_at)
                return len(found)
            case DeleteRows():
                doomed = [row_id for row_id in change.ids or content if alive(row_id) is not None]
                if change.filter is not None:
                    ((name, condition),) = change.filter.items()
                    below = condition["$lt"]
                    doomed = [row_id for row_id in doomed if content[row_id].metadata.get(name, below) < below]
                for row_id in doomed:
                    del content[row_id]
                return len(doomed)


def content_of(state: State) -> Content:
    """Everything in a state."""
    return {
        row_id: Held(row.values.tobytes(), dict(row.metadata), row.version, row.expires_at)
        for row_id in list(state.rows.ids())
        if (row := state.rows.get(row_id)) is not None
    }


def compare(found: Content, expected: Content, now: float, where: str) -> None:
    """Both hold the same rows, but for those that have expired at ``now``.

    :raises DivergenceError: they do not.
    """
    left = {row_id: held for row_id, held in found.items() if held.alive(now)}
    right = {row_id: held for row_id, held in expected.items() if held.alive(now)}
    different = [row_id for row_id in sorted(left.keys() | right.keys()) if left.get(row_id) != right.get(row_id)]
    texts = [f"{row_id} is {left.get(row_id)}, not {right.get(row_id)}" for row_id in different]
    expect(not different, f"{where}: {'; '.join(texts)}")


def compare_requests(state: State, oracle: Oracle, where: str) -> None:
    """A state knows the requests of a day that it has applied, no others, and tells of all of them in their order.

    :raises DivergenceError: it does not.
    """
    now = state.now()
    expected = oracle.remembered(state.sequence, now)
    found = {
        request_id: (known[1], known[0].count)
        for request_id in oracle.applied
        if (known := state.applied(request_id, now=now)) is not None
    }
    expect(found == expected, f"{where}: {found} are known, not {expected}")
    listed: list[int] = []
    reached, pages = 0, 0
    while reached < state.sequence:
        requests, reached = state.requests_behind(reached, most=3)
        pages += 1
        expect(pages <= state.sequence + 1, f"{where}: pages without end")
        listed += [expected.get(request.request_id, (-1, 0))[0] for request in requests]
        expect(len(listed) == len([at for at, _ in expected.values() if at <= reached]), f"{where}: up to {reached}")
    expect(listed == [at for at, _ in expected.values()], f"{where}: {listed} are in another order than {expected}")


def expect(condition: bool, text: str) -> None:
    """Like assert.

    :raises DivergenceError: it does not hold.
    """
    if not condition:
        raise DivergenceError(text)


def decode_batch(body: bytes) -> Batch:
    """A batch from the body of its object."""
    return msgspec.msgpack.decode(body, type=Batch)


def _packed(values: Any) -> bytes:
    if isinstance(values, list):
        return np.array(values, dtype=np.float32).tobytes()
    return base64.b64decode(values.f32)
