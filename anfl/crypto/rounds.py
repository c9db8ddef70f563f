"""Has everybody who distributes wrapping keys run at once, for who does not want to wait for their schedules."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from anfl.crypto.operation import Operation
from anfl.resources import Caretaker

Answer = dict[str, Any]
"""An `anfl.crypto.operation.Report` as JSON has it."""
_LOOKS = 8
_PAUSE_SECONDS = 2.0


class Invoke(Protocol):
    """Calls a function in a region; raises where it fails."""

    def __call__(self, region: str, function: Caretaker, event: dict[str, str]) -> Answer: ...


class Rounds:
    """By way of the functions' own operations: nothing is done here that a schedule would not do."""

    def __init__(
        self, invoke: Invoke, *, home: str, regions: Sequence[str], pause: Callable[[float], None] = time.sleep
    ) -> None:
        """:param home: the leader's region. :param regions: those with an agent."""
        self._invoke = invoke
        self._home = home
        self._regions = regions
        self._pause = pause

    def status(self) -> Answer:
        """How things stand, as the home region has it."""
        return self._leader(Operation.STATUS)

    def go(self, *, rotate: bool = False, told: Callable[[str, Exception | None], None] | None = None) -> Answer:
        """Leader, agents, leader: one version further, or as far as every region is well.

        :param rotate: begin a version before its time. :param told: hears of each region, and of its failure: that is
            no failure of the others.
        """
        answer = self._leader(Operation.ROTATE if rotate else Operation.RUN)
        failed = False
        for look in range(_LOOKS):
            if look:
                self._pause(_PAUSE_SECONDS)  # what was written in another region arrives in the meantime
            failed = self._agents(told) or failed
            answer = self._leader(Operation.RUN)
            if answer["pending"] is None or failed:
                break
        return answer

    def _agents(self, told: Callable[[str, Exception | None], None] | None) -> bool:
        """Whether one of them failed."""
        failed = False
        for region in self._regions:
            problem: Exception | None = None
            try:
                self._invoke(region, Caretaker.KEY_AGENT, {"operation": Operation.RUN})
            except Exception as error:
                if told is None:
                    raise
                problem, failed = error, True
            if told is not None:
                told(region, problem)
        return failed

    def _leader(self, operation: Operation) -> Answer:
        return self._invoke(self._home, Caretaker.KEY_LEADER, {"operation": operation})
