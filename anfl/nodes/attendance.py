"""Who is present, by what one observer sees of the roll. Clocks of different nodes are never compared."""

from collections.abc import Mapping
from dataclasses import dataclass

FORGOTTEN = 10
"""A node is taken off the roll after so many time-outs without a beat."""


@dataclass
class _Seen:
    beat: str
    changed: float


class Attendance:
    """A node is present from the first time it is seen until its beat has been the same for ``timeout`` seconds."""

    def __init__(self, *, timeout: float) -> None:
        self._timeout = timeout
        self._seen: dict[str, _Seen] = {}

    def observe(self, beats: Mapping[str, str], now: float) -> None:
        """Take note of the roll as it was read at ``now`` (seconds, monotonic)."""
        seen: dict[str, _Seen] = {}
        for address, beat in beats.items():
            known = self._seen.get(address)
            seen[address] = known if known is not None and known.beat == beat else _Seen(beat, now)
        self._seen = seen

    def present(self, now: float) -> tuple[str, ...]:
        """The addresses of those that are there, sorted."""
        return tuple(sorted(address for address, seen in self._seen.items() if now - seen.changed < self._timeout))

    def forgotten(self, now: float) -> dict[str, str]:
        """Those that nobody misses any more, and their last beats."""
        limit = FORGOTTEN * self._timeout
        return {address: seen.beat for address, seen in self._seen.items() if now - seen.changed >= limit}
