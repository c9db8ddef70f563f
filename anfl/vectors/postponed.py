"""What has failed and waits for another attempt: each failure in a row doubles the wait, up to a limit."""

import random
from dataclasses import dataclass

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 300.0
_FORGOTTEN_SECONDS = 2 * LONGEST_SECONDS
"""So long after its wait nobody has asked for it: whoever comes then begins anew."""


@dataclass(frozen=True)
class _Failure:
    times: int
    until: float


class Postponed:
    """By key. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._failures: dict[str, _Failure] = {}

    def holds(self, key: str, *, now: float) -> bool:
        """Whether ``key`` has yet to wait."""
        failure = self._failures.get(key)
        return failure is not None and now < failure.until

    def failed(self, key: str, *, now: float) -> int:
        """Let ``key`` wait; returns how often it has failed in a row."""
        earlier = self._failures.get(key)
        times = 1 if earlier is None else earlier.times + 1
        wait = min(FIRST_SECONDS * 2 ** min(times - 1, 30), LONGEST_SECONDS) * random.uniform(0.5, 1)  # noqa: S311 - jitter
        kept = {each: old for each, old in self._failures.items() if old.until > now - _FORGOTTEN_SECONDS}
        self._failures = kept | {key: _Failure(times, now + wait)}
        return times

    def worked(self, key: str) -> None:
        """Nothing is held against ``key`` any more."""
        self._failures.pop(key, None)
