"""A target group: which of a service's tasks gets the next request."""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

OUT_SECONDS = 5.0
"""How long a target that refused a connection gets no requests: its task has ended, and ECS would take it out."""


@dataclass(frozen=True, kw_only=True)
class HealthCheck:
    """As the target group declares it, or Elastic Load Balancing's own values; times in seconds."""

    path: str = "/"
    interval: float = 30
    timeout: float = 5
    healthy: int = 5
    """Answers in a row after which a target is well."""
    unhealthy: int = 2
    """Failures in a row after which it is not."""

    @classmethod
    def declared(cls, group: Mapping[str, Any]) -> Self:
        """The check of an ``AWS::ElasticLoadBalancingV2::TargetGroup``."""
        names = {
            "path": "HealthCheckPath",
            "interval": "HealthCheckIntervalSeconds",
            "timeout": "HealthCheckTimeoutSeconds",
            "healthy": "HealthyThresholdCount",
            "unhealthy": "UnhealthyThresholdCount",
        }
        return cls(**{field: group[name] for field, name in names.items() if name in group})


class Target:
    """One task: its requests under way, and what became of the checks of its health."""

    def __init__(self, url: str, check: HealthCheck) -> None:
        """Well until checks say otherwise: what starts here waits for its services itself."""
        self.url = url
        self._check = check
        self._well = True
        self._streak: Counter[bool] = Counter()
        self.outstanding = 0
        self.out_until = 0.0

    def checked(self, *, well: bool) -> bool:
        """One check more; whether its health has changed thereby."""
        del self._streak[not well]
        self._streak[well] += 1
        before = self._well
        if self._streak[well] >= (self._check.healthy if well else self._check.unhealthy):
            self._well = well
        return self._well is not before

    def takes_requests(self, now: float) -> bool:
        """Whether it is well, and has not just refused a connection."""
        return self._well and self.out_until <= now


class Group:
    """Targets take turns, those with the fewest requests under way first (``least_outstanding_requests``)."""

    def __init__(
        self, urls: Sequence[str], check: HealthCheck | None = None, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        """:param urls: base URLs, one at least."""
        self.check = check or HealthCheck()
        self.targets = tuple(Target(url, self.check) for url in urls)
        self._now = now
        self._turns = itertools.cycle(range(len(self.targets)))

    @contextmanager
    def take(self) -> Iterator[Target]:
        """Whoever gets a request, until it is answered: among all targets where none is well."""
        first = next(self._turns)
        turns = (*self.targets[first:], *self.targets[:first])
        now = self._now()
        well = [target for target in turns if target.takes_requests(now)]
        target = min(well or turns, key=lambda each: each.outstanding)
        target.outstanding += 1
        try:
            yield target
        finally:
            target.outstanding -= 1

    def refused(self, target: Target) -> None:
        """No connection to it."""
        target.out_until = self._now() + OUT_SECONDS
