"""How often what somebody asks for was carried out: as a whole, or in parts."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf

from anfl.vectors.request_ids import REQUEST_SECONDS
from tests.fault.oracle import expect


@dataclass(frozen=True, kw_only=True)
class Carried:
    """A request that took effect, or one part of it."""

    request_id: str
    part: int = 0
    of: int = 1


@dataclass(kw_only=True)
class _Time:
    """One time that a request is carried out."""

    begun: float
    of: int
    parts: set[int] = field(default_factory=set)

    @property
    def is_complete(self) -> bool:
        return len(self.parts) == self.of


def check_once(found: Sequence[tuple[float, Carried]], sent: Sequence[float]) -> None:
    """Of what was acknowledged: see that it happened, and within 24 hours once.

    What was begun in parts may be carried out as a whole where the collection has moved meanwhile.

    :param found: when the request, or a part of it, took effect, in that order.
    :param sent: when it was sent.
    :raises DivergenceError: it did not happen, or twice.
    """
    told = f"{found} though sent at {sent}"
    later = list(_spells(sent))[1:]  # by somebody's clock it may have happened before it was sent first
    times = [time for begins, ends in pairwise([-inf, *later, inf]) for time in _times(found, begins, ends, told)]
    expect(any(time.is_complete for time in times), told)


def _times(found: Iterable[tuple[float, Carried]], begins: float, ends: float, told: str) -> Iterator[_Time]:
    time: _Time | None = None
    for moment, carried in found:
        if not begins <= moment < ends:
            continue
        # What a process has received before it slept for days, it carries out when the mark is forgotten.
        if time is None or moment - time.begun > REQUEST_SECONDS or (carried.of != time.of and not time.is_complete):
            time = _Time(begun=moment, of=carried.of)
            yield time
        expect(not time.is_complete and carried.of == time.of and carried.part not in time.parts, told)
        time.parts.add(carried.part)


def _spells(sent: Iterable[float]) -> Iterator[float]:
    """When those times of 24 hours begin in each of which a request is carried out once, however often it is sent."""
    begun = -inf
    for moment in sent:
        if moment > begun + REQUEST_SECONDS:
            begun = moment
            yield begun
