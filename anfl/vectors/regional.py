"""What the nodes of a region tell each other, through its cache: how far each log is known to reach.

A hint and nothing more. Who hears that a log reaches further than its own copy looks at the log, in the background, so
that the next reader finds there what another node wrote. A cache that forgets, hangs, or lies costs such a look.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

KEPT_SECONDS = 3600.0
"""How long a hint stays that nobody renews."""


class Numbers(Protocol):
    """See `anfl.cache.SharedNumbers`."""

    def get(self, keys: Sequence[str]) -> list[int]:
        """Of each key; 0 for one that is not there."""

    def put(self, key: str, number: int, *, seconds: float) -> None:
        """Let ``key`` hold a number for a while."""


class Region(Protocol):
    """The other nodes. No call raises."""

    def exchange(self, known: Mapping[str, int]) -> set[str]:
        """Tell how far logs are ``known`` to reach, by incarnation; returns those of which others know more."""


class NoRegion:
    """A node on its own."""

    def exchange(self, _known: Mapping[str, int]) -> set[str]:
        """See `Region.exchange`."""
        return set()


class CachedRegion:
    """`Region` through a cache. Not safe for threads."""

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers
        self._heard: dict[str, int] = {}
        """What was heard last time that went beyond what was known."""

    def exchange(self, known: Mapping[str, int]) -> set[str]:
        """See `Region.exchange`."""
        if not known:
            return set()
        heard: dict[str, int] = {}
        for (incarnation, sequence), told in zip(known.items(), self._told(list(known)), strict=True):
            # Who has looked since and found nothing knows that it is not true.
            if told > sequence and self._heard.get(incarnation) != told:
                heard[incarnation] = told
            elif told != sequence:
                self._numbers.put(_key(incarnation), sequence, seconds=KEPT_SECONDS)
        self._heard = heard
        return set(heard)

    def _told(self, incarnations: Sequence[str]) -> list[int]:
        told = self._numbers.get([_key(incarnation) for incarnation in incarnations])
        return told if len(told) == len(incarnations) else [0] * len(incarnations)


def _key(incarnation: str) -> str:
    return f"hint:{incarnation}"
