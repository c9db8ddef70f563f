"""A collection that is moved to another engine while processes write to it, and everything goes wrong."""

import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from unittest import mock

from anfl.vectors import pace
from anfl.vectors.batch import Batch
from anfl.vectors.clock import Clock
from anfl.vectors.dynamodb import deletions, parts, writing
from anfl.vectors.dynamodb.build import class_over
from anfl.vectors.dynamodb.classes import EngineClass
from anfl.vectors.dynamodb.engine import DynamoDbEngine
from anfl.vectors.hints import DynamoHints
from anfl.vectors.inline import Inline
from anfl.vectors.local_copy import LocalCopy
from anfl.vectors.model import CollectionSettings, Metric
from anfl.vectors.moving import copying, steps
from anfl.vectors.moving.access import PAUSE_SECONDS
from anfl.vectors.node import NodeFolder
from anfl.vectors.requests import NewRow, Upsert
from anfl.vectors.storage import Storage
from anfl.vectors.store import VectorStore
from tests.fault.simulation import table
from tests.fault.simulation.bucket import Bucket
from tests.fault.simulation.callers import ALIAS, IDS, NAME, TENANT, Writing
from tests.fault.simulation.class_table import LATE_SECONDS
from tests.fault.simulation.move_judge import MoveJudge
from tests.fault.simulation.movers import Moving
from tests.fault.simulation.regions import Plan, draw_weather
from tests.fault.simulation.round import _determined
from tests.fault.simulation.workers import Queue, Working
from tests.fault.simulation.world import MOST_TURNS, Weather, World
from tests.fault.strict import Strict
from tests.unit.vectors.moves import with_other

if TYPE_CHECKING:
    from anfl.vectors.changes import Change

_Patch = tuple[Any, str, Any]


def _folding(copy: LocalCopy, batch: Batch, *, apply: Callable[[LocalCopy, Batch], None] = LocalCopy.apply) -> None:
    """`LocalCopy.apply`, after which requests go into a run as soon as they may: nobody builds here."""
    apply(copy, batch)
    copy.fold()


_SMALL: Sequence[_Patch] = (
    (LocalCopy, "apply", _folding),
    (pace, "MOST_HALVINGS", 0),
    (steps, "PAGE_ROWS", 3),
    (copying, "FETCHED_ROWS", 2),
    (copying, "SAMPLES", 2),
    (steps, "FEW", 4),
    (steps, "STEP_SECONDS", 0.02),
    (steps, "MOST_PAUSED_SECONDS", 0.1),
)
"""Limits that are reached by few rows."""
_SLOWER: Sequence[_Patch] = ((steps, "FEW", 1), (steps, "STEP_SECONDS", 0.0))
"""So that a move copies more slowly than it is written."""
_FEW: Sequence[_Patch] = ((parts, "MOST_TOGETHER", 5), (writing, "MOST_TOGETHER", 5), (deletions, "MOST_DELETED", 2))
"""What the engine ``dynamodb`` changes together: with the check that each transaction has room for, unless it is full.
What is full and comes too late is not acknowledged, and lost where it came to; none is here."""
_BEHIND = 0.3
"""How likely a move within a region is slower than its writers, whom it pauses by turns."""
_VARIED = 0.4
"""How likely there are requests that it carries out in several transactions."""
_SLOW_CALLS = 0.1
"""How likely a call of a class's table takes long then."""
_SLOW = 0.5
"""How likely a comparison takes so long that the step takes about as long as a pause may."""
_RIVALS = 0.4
"""How likely there are rivals, where there are several regions."""


class MoveRound:
    """Everything about one seed."""

    def __init__(
        self,
        seed: int,
        *,
        only: Weather | None = None,
        far: bool | None = None,
        rival: bool | None = None,
        varied: bool | None = None,
    ) -> None:
        """:param only: what may go wrong, in place of what ``seed`` says.

        :param far: whether there are several regions; None: of every other seed.
        :param rival: whether somebody moves in each of them, and others undo that, all at once; None: as ``seed`` says.
        :param varied: whether there are requests in parts and deletions by filter; None: as ``seed`` says.
        """
        far = seed % 2 == 1 if far is None else far
        dice = random.Random(f"{seed} move")
        self.seed = seed
        self.varied = random.Random(f"{seed} varied").random() < _VARIED if varied is None else varied
        self.world = World(seed, Weather(), most_turns=(4 if far or self.varied else 2) * MOST_TURNS)
        self.plan = Plan.draw(seed) if far else Plan()
        self.engines = dice.choice(
            [("hnsw", "dynamodb"), ("hnsw", "dynamodb"), ("hnsw", "other"), ("dynamodb", "hnsw")]
        )
        if far and dice.random() < 0.6:  # of which writers everywhere have to hear
            self.engines = ("dynamodb", "hnsw")
        weather = Weather(
            faults=dice.choice([0.0, 0.05, 0.2]),
            outages=dice.choice([0.0, 0.03, 0.1]),
            crashes=dice.choice([0.0, 0.003, 0.01]),
            suspensions=dice.choice([0.0, 0.002, 0.01]),
        )
        if self.engines[0] == "dynamodb":  # each step is hundreds of calls long
            weather.crashes = min(weather.crashes, 0.003)
            # Most are longer than a pause may be, which then begins anew.
            weather.suspensions = min(weather.suspensions, 0.005)
        if self.varied:  # so is each deletion by filter
            weather.crashes, weather.suspensions = min(weather.crashes, 0.003), min(weather.suspensions, 0.002)
            weather.lengths = weather.lengths[:3]
        self._weather = only or (draw_weather(dice) if far else weather)
        self.bucket = Bucket(self.world, versioned=False)
        self.regions = self.plan.build(self.world)
        for region in self.regions.values():
            region.classes.slow = _SLOW_CALLS if self.varied else 0.0
        self.home = self.plan.names[0]
        self.is_behind = self.engines[0] == "hnsw" and not far and random.Random(f"{seed} behind").random() < _BEHIND
        self.writers, self.movers = dice.randint(1, 3), dice.randint(1, 2)
        self.undone = dice.random() < (0.6 if far else 0.2)
        self.waits_to_undo = far and dice.random() < 0.7
        dice = random.Random(f"{seed} rivals")
        self.are_rivals = far and (dice.random() < _RIVALS if rival is None else rival)
        self.own_names = self.are_rivals and dice.random() < 0.3
        """Whether each of them calls the new collection otherwise."""
        self.aims = far and dice.random() < 0.5
        """Whether who waits to undo does so until it is about to be switched."""
        self.queues = {name: Queue(self.world) for name in self.plan.names}
        self.writing: set[str] = set()
        """Writers who have not ended."""
        self.asked: dict[str, Change] = {}
        self.sent: dict[str, list[float]] = {}
        """When each request was sent, again and again, by its id."""
        self.acknowledged: set[str] = set()
        self.moved = self.paused = self.verified = False
        self._folder = Path()

    @property
    def is_far(self) -> bool:
        """Whether there are several regions."""
        return len(self.regions) > 1

    def play(self) -> None:
        """Run the round and judge it.

        :raises DivergenceError: something that was acknowledged is lost, or came twice.
        """
        self._folder = Path(tempfile.mkdtemp(prefix="anfl-move-"))
        try:
            with ExitStack() as stack:
                stack.enter_context(_determined(self.seed))
                small = (*_SMALL, *(_FEW if self.varied else ()), *(self._far() if self.is_far else ()))
                if self.is_behind:
                    small = (*small, *_SLOWER)
                for place, member, value in small:
                    stack.enter_context(mock.patch.object(place, member, value))
                self._begin()
                self.world.run()
                self.world.calm()
                if not self.moved:
                    Moving(self, "judge").move()
                MoveJudge(self).judge()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _far(self) -> Iterator[_Patch]:
        """So that a move comes to its end while several write, and at times only when its pause is overdue."""
        yield steps, "PAGE_ROWS", 6
        yield steps, "STEP_SECONDS", 0.5
        yield table, "LATE_SECONDS", LATE_SECONDS
        dice, look = self.world.random, vars(steps)["verify"]

        def slowly(*sides: Any, **looked: Any) -> bool:
            if dice.random() < _SLOW:
                self.world.sleep(dice.uniform(0.84, 0.98) * PAUSE_SECONDS)
            self.verified = True
            return bool(look(*sides, **looked))

        yield steps, "verify", slowly

    def _begin(self) -> None:
        store = self.store("first")
        settings = CollectionSettings(name=NAME, dimension=2, metric=Metric.L2, engine=self.engines[0])
        store.create(TENANT, settings)
        store.set_alias(TENANT, ALIAS, NAME)
        rows = [NewRow(id=row_id, values=[number, 1.0]) for number, row_id in enumerate(IDS)]
        store.write(TENANT, ALIAS, Upsert(vectors=rows, atomic=not self.varied))
        self.world.calm()
        self.world.weather = self._weather
        names = self.plan.names
        for number in range(self.writers):
            # What has a log is not written elsewhere; what it becomes may be.
            at = names[-1 - number % len(names)] if self.engines[0] == "dynamodb" else names[number % len(names)]
            self.writing.add(f"writer {number}")
            self.world.spawn(f"writer {number} {at}", Writing(self, f"writer {number}", at).live)
        for number in range(max(self.movers, len(names)) if self.are_rivals else self.movers):
            at = names[number % len(names)]
            self.world.spawn(f"mover {number} {at}", Moving(self, f"mover {number}", at).move)
        for at in names if self.varied else ():
            self.world.spawn(f"worker {at}", Working(self, at).live)
        if self.undone:
            for at in names if self.are_rivals else names[-1:]:
                self.world.spawn(f"undoer {at}", Moving(self, f"undoer {at}", at).undo)

    def store(self, name: str, at: str = "") -> VectorStore:
        """A process on a node of its own, which begins. ``at``: its region; by default the home."""
        world, region = self.world, self.regions[at or self.home]
        skew = world.random.uniform(-self.plan.skew, self.plan.skew) if self.plan.skew and name != "judge" else 0.0
        clock = Clock(wall=lambda: world.seconds + skew, monotonic=lambda: world.seconds, sleep=world.sleep)
        storage = Storage(
            objects=self.bucket,
            node=NodeFolder(self._folder / name, sleep=world.sleep),
            hints=DynamoHints(cast("Any", region.table), now=clock.monotonic),
            clock=clock,
            threads=False,
            events=Strict(),
        )
        store = VectorStore(region.catalogue, storage, distributed=self.distributed(at or self.home, clock))
        with_other(store)
        return store

    def distributed(self, at: str, clock: Clock) -> DynamoDbEngine:
        """The engine ``dynamodb`` of a process in the region ``at``."""
        small = EngineClass(name="small", dimension=2, metric=Metric.L2)
        classes = cast("Any", self.regions[at].classes)
        made = class_over(classes, small, clock=clock, reads=Inline(), writes=Inline())
        return DynamoDbEngine({"small": made}, self.queues[at] if self.varied else None, clock)


def play(seeds: range) -> int:
    """Play rounds; returns how many writes were acknowledged.

    :raises DivergenceError: of the first round that went wrong, with its seed.
    """
    acknowledged = 0
    for seed in seeds:
        round_ = MoveRound(seed)
        try:
            round_.play()
        except BaseException as error:
            error.add_note(f"seed {seed}, from {round_.engines[0]} to {round_.engines[1]}")
            raise
        acknowledged += len(round_.acknowledged)
    return acknowledged
