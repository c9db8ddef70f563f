"""Jobs of the engine ``dynamodb``: a queue that delivers at least once, and those who carry out what waits there."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from anfl.problems import Problem
from anfl.vectors.clock import Clock
from anfl.vectors.dynamodb.jobs import EngineJob
from anfl.vectors.dynamodb.removing import Remover
from anfl.vectors.imports.attempts import Attempt
from tests.fault.oracle import expect
from tests.fault.simulation.world import World

if TYPE_CHECKING:
    from tests.fault.simulation.moving import MoveRound

MOST_ATTEMPTS = 5
_AGAIN = 0.2
"""How likely a job that was carried out is delivered once more."""


class Queue:
    """See `anfl.vectors.dynamodb.jobs.Queue`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._waiting: list[tuple[float, int, EngineJob]] = []

    def send(self, jobs: Iterable[EngineJob], *, delay: int = 0) -> None:
        """See `anfl.vectors.dynamodb.jobs.Queue.send`."""
        self._world.pause()
        self._waiting += [(self._world.seconds + delay, 1, job) for job in jobs]

    def receive(self) -> tuple[EngineJob, int] | None:
        """A job and which attempt it is; it stays there until it is `deleted`."""
        due = [place for place, (moment, _, _) in enumerate(self._waiting) if moment <= self._world.seconds]
        if not due:
            return None
        _, attempt, job = self._waiting.pop(self._world.random.choice(due))
        if attempt < MOST_ATTEMPTS:
            self._waiting.append((self._world.seconds + self._world.random.choice([1.0, 30.0]), attempt + 1, job))
        return job, attempt

    def delete(self, job: EngineJob) -> None:
        """It has been carried out."""
        self._waiting = [each for each in self._waiting if each[2] is not job]


class Working:
    """A process that carries out jobs in the region ``at``, while somebody may ask for one."""

    def __init__(self, round_: "MoveRound", at: str) -> None:
        self._round = round_
        self._at = at

    def live(self) -> None:
        """From a start to the end, or to a crash."""
        world, region = self._round.world, self._round.regions[self._at]
        clock = Clock(wall=lambda: world.seconds, monotonic=lambda: world.seconds, sleep=world.sleep)
        remover = Remover(region.catalogue, self._round.distributed(self._at, clock))
        while self._round.writing:
            found = self._round.queues[self._at].receive()
            if found is None:
                world.sleep(0.5)
                continue
            job, number = found
            try:
                remover.carry_out(job, Attempt(number=number, most=MOST_ATTEMPTS, deadline=world.seconds, clock=clock))
            except Problem as problem:
                world.note(f"worker {self._at}: {problem}")
                expect(problem.status == 503, f"{job}: {problem}")
                continue
            if world.random.random() > _AGAIN:
                self._round.queues[self._at].delete(job)
