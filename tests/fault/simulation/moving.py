"""A collection that is moved to another engine while processes write to it, and everything goes wrong.

The oracle reads what took effect on both sides, in the order in which it did: the log of the one engine, or the
transactions of the other.
"""

import random
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import Any, cast
from unittest import mock

from anfl.problems import Problem
from anfl.vectors import pace
from anfl.vectors.changes import Change
from anfl.vectors.clock import Clock
from anfl.vectors.dynamodb import items
from anfl.vectors.dynamodb.build import class_over
from anfl.vectors.dynamodb.classes import EngineClass
from anfl.vectors.dynamodb.engine import DynamoDbEngine
from anfl.vectors.hints import DynamoHints
from anfl.vectors.inline import Inline
from anfl.vectors.log import Log
from anfl.vectors.model import Collection, CollectionSettings, Metadata, Metric
from anfl.vectors.moving import copying, steps
from anfl.vectors.moving.access import PAUSE_SECONDS
from anfl.vectors.moving.records import Stage
from anfl.vectors.moving.requests import Move
from anfl.vectors.node import NodeFolder
from anfl.vectors.refusals import Refusal
from anfl.vectors.requests import DeleteRows, NewRow, PatchRow, PatchRows, Scroll, Upsert
from anfl.vectors.sealing import Unsealed
from anfl.vectors.state import REQUEST_SECONDS
from anfl.vectors.storage import Storage
from anfl.vectors.store import VectorStore
from tests.fault.oracle import expect
from tests.fault.simulation import table
from tests.fault.simulation.bucket import Bucket
from tests.fault.simulation.class_table import LATE_SECONDS
from tests.fault.simulation.regions import Plan, draw_weather
from tests.fault.simulation.round import _determined
from tests.fault.simulation.world import Weather, World
from tests.fault.strict import Strict
from tests.unit.vectors.moves import with_other

TENANT, ALIAS, NAME = "demo", "w", "words"
_IDS = [f"row{number}" for number in range(9)]
_UNDOING = (Refusal.MOVE_SWITCHED, Refusal.MOVE_BUSY, Refusal.COLLECTION_CHANGED, Refusal.COLLECTION_NOT_FOUND)
_Patch = tuple[Any, str, Any]
_SMALL: Sequence[_Patch] = (
    (pace, "MOST_HALVINGS", 0),
    (steps, "PAGE_ROWS", 3),
    (copying, "FETCHED_ROWS", 2),
    (copying, "SAMPLES", 2),
    (steps, "FEW", 4),
    (steps, "STEP_SECONDS", 0.02),
)
"""Limits that are reached by few rows."""
_MOST_ASTRAY = 20
"""How often, with a second in between, an alias may lead nowhere before that is for good."""
_SLOW = 0.5
"""How likely a comparison takes so long that the step takes about as long as a pause may."""
_PAUSES, _LONG_PAUSES = (0.0, 0.0, 0.5, 3.0), (0.2, 1.0, 5.0, 20.0)
LAST_WRITES = 4
"""Of a writer, where there are several regions, after the move."""
Row = tuple[bytes, Metadata, float | None]


@dataclass(kw_only=True)
class Effect:
    """One thing that took effect: rows as they are then (None: gone), and the requests that it carried out."""

    rows: Mapping[str, Row | None] = field(default_factory=dict)
    requests: tuple[str, ...] = ()
    opens: bool = False
    """Whether from then on everybody may write."""
    moment: float = 0.0


class MoveRound:
    """Everything about one seed."""

    def __init__(self, seed: int, *, only: Weather | None = None, far: bool | None = None) -> None:
        """:param only: what may go wrong, in place of what ``seed`` says.

        :param far: whether there are several regions; None: of every other seed.
        """
        far = seed % 2 == 1 if far is None else far
        dice = random.Random(f"{seed} move")
        self.seed = seed
        self.world = World(seed, Weather())
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
        self._weather = only or (draw_weather(dice) if far else weather)
        self.bucket = Bucket(self.world, versioned=False)
        self.regions = self.plan.build(self.world)
        self.home = self.plan.names[0]
        self.writers, self.movers = dice.randint(1, 3), dice.randint(1, 2)
        self.undone = dice.random() < (0.6 if far else 0.2)
        self._waits_to_undo = far and dice.random() < 0.7
        self.asked: dict[str, Change] = {}
        self.sent: dict[str, list[float]] = {}
        """When each request was sent, again and again, by its id."""
        self.acknowledged: set[str] = set()
        self.moved = self.paused = False
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
                for place, member, value in (*_SMALL, *(self._far() if self.is_far else ())):
                    stack.enter_context(mock.patch.object(place, member, value))
                self._begin()
                self.world.run()
                self.world.calm()
                self._judge()
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
            return look(*sides, **looked)

        yield steps, "verify", slowly

    def _begin(self) -> None:
        store = self.store("first")
        settings = CollectionSettings(name=NAME, dimension=2, metric=Metric.L2, engine=self.engines[0])
        store.create(TENANT, settings)
        store.set_alias(TENANT, ALIAS, NAME)
        rows = [NewRow(id=row_id, values=[number, 1.0]) for number, row_id in enumerate(_IDS)]
        store.write(TENANT, ALIAS, Upsert(vectors=rows))
        self.world.calm()
        self.world.weather = self._weather
        names = self.plan.names
        for number in range(self.writers):
            # Elsewhere only what stands in every region is written.
            at = names[-1 - number % len(names)] if self.engines[0] == "dynamodb" else self.home
            self.world.spawn(f"writer {number} {at}", Writing(self, f"writer {number}", at).live)
        for number in range(self.movers):
            at = names[number % len(names)]
            self.world.spawn(f"mover {number} {at}", partial(self._move, f"mover {number}", at))
        if self.undone:
            at = names[-1]
            self.world.spawn(f"undoer {at}", partial(self._undo, at))

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
        small = EngineClass(name="small", dimension=2, metric=Metric.L2)
        made = class_over(cast("Any", region.classes), small, clock=clock, reads=Inline(), writes=Inline())
        store = VectorStore(region.catalogue, storage, distributed=DynamoDbEngine({"small": made}, None, clock))
        with_other(store)
        return store

    def _move(self, name: str, at: str = "") -> None:
        store = self.store(name, at)
        astray = 0
        while not self.moved:
            try:
                moved = store.move(TENANT, ALIAS, Move(engine=self.engines[1]))
                self.world.note(f"{name}: {moved.stage} {moved.passes} {moved.looked} {moved.changed}")
                self.moved, self.paused = moved.stage is Stage.DONE, moved.stage is Stage.PAUSED
                pause, astray = moved.wait, 0
            except Problem as problem:
                self.world.note(f"{name}: {problem}")
                expect(problem.status == 503 or problem.code in self._expected(), f"{name}: {problem}")
                if problem.code == Refusal.MOVE_TARGET_LOST or (
                    problem.code == Refusal.COLLECTION_MOVING and self._is_impatient()
                ):
                    while not self._undo_once(store, name) and self.is_far:  # perhaps whoever began to is gone
                        self.world.sleep(1.0)
                pause = problem.retry_after or 1.0
                astray = astray + 1 if problem.code == Refusal.COLLECTION_NOT_FOUND else 0
                expect(astray < _MOST_ASTRAY, f"{name}: {problem}")
            self.world.sleep(pause + 0.01)

    def _expected(self) -> frozenset[str]:
        expected = frozenset({Refusal.MOVE_BUSY, Refusal.COLLECTION_CHANGED})
        undone = frozenset({Refusal.COLLECTION_MOVING, Refusal.MOVE_TARGET_LOST, Refusal.COLLECTION_NOT_FOUND})
        if self.is_far:
            return expected | undone | {Refusal.MOVE_ELSEWHERE}
        return expected | undone if self.undone else expected

    def _is_impatient(self) -> bool:
        """Whether what is being moved, or undone, is undone at once. Elsewhere somebody carries it on, as a rule."""
        return not self.is_far or self.world.random.random() < 0.003

    def _undo(self, at: str) -> None:
        store = self.store("undoer", at)
        self.world.sleep(self.world.random.uniform(0.5, 10))
        while self._waits_to_undo and not (self.paused or self.moved):
            self.world.sleep(self.world.random.uniform(0.1, 8.0))
        while not self._undo_once(store, "undoer"):
            self.world.sleep(1.0)

    def _undo_once(self, store: VectorStore, name: str) -> bool:
        try:
            store.undo_move(TENANT, ALIAS)
        except Problem as problem:
            self.world.note(f"{name}: {problem}")
            expect(problem.status == 503 or problem.code in _UNDOING, f"{name}: {problem}")
            return problem.code == Refusal.MOVE_SWITCHED
        self.world.note(f"{name}: undone")
        return True

    def _judge(self) -> None:
        store = self.store("judge")
        if not self.moved:
            self._move("judge")
        catalogue = self.regions[self.home].catalogue
        source, target = catalogue.find(TENANT, NAME), catalogue.get(TENANT, ALIAS)
        expect(target.settings.engine == self.engines[1], "the alias has not moved")
        expect(source.moving is not None and source.moving.incarnation == target.incarnation, "to another one")
        before, after = list(self._effects(source)), list(self._effects(target))
        opening = next(number for number, effect in enumerate(after) if effect.opens)
        at_the_end = self._alive(before, after[opening].moment)
        copied = self._alive(after[:opening], after[opening].moment)
        expect(copied == at_the_end, f"when it opened it had {copied}, and not {at_the_end}")
        carried_out = [effect for effect in before + after[opening:] if effect.requests]
        for request_id in self.acknowledged:
            moments = [effect.moment for effect in carried_out if request_id in effect.requests]
            told = f"{request_id} was carried out at {moments}, and sent at {self.sent[request_id]}"
            expect(bool(moments), told)
            spells = list(_spells(self.sent[request_id]))
            for begins, ends in pairwise([*spells, inf]):
                within = [moment for moment in moments if begins <= moment < ends]
                # What a process has received before it slept for days, it carries out when the mark is forgotten.
                expect(all(later - earlier > REQUEST_SECONDS for earlier, later in pairwise(within)), told)
        for effect in after[opening:]:
            expect(not effect.rows or bool(effect.requests), f"nobody asked for {effect.rows}")
        request = Scroll(limit=100, include=["values", "metadata"], values_format="f32", consistency="strong")
        shown = {row.id for row in store.scroll(TENANT, ALIAS, request).vectors}
        alive = self._alive(after, self.world.seconds).keys()
        gone = shown - _replayed(after).keys()
        expect(alive <= shown and not gone, f"{shown} are there, and not {alive}")

    def _alive(self, effects: list[Effect], now: float) -> dict[str, Row]:
        """Rows that have not expired, nor may have by the clock of somebody."""
        late = now + 2 * self.plan.skew
        return {row_id: row for row_id, row in _replayed(effects).items() if row[2] is None or row[2] > late}

    def _effects(self, collection: Collection) -> Iterator[Effect]:
        engine = collection.settings.engine
        return self._transactions(collection) if engine == "dynamodb" else self._batches(collection)

    def _batches(self, collection: Collection) -> Iterator[Effect]:
        log = Log(self.bucket, collection, envelope=Unsealed().of(collection), readers=1)
        present: dict[str, Row] = {}
        for batch in log.tail(0):
            rows: dict[str, Row | None] = {row.id: (row.values, row.metadata, row.expires_at) for row in batch.rows}
            for patch in batch.patches:
                values, _, expires_at = present[patch.id]
                rows[patch.id] = (values, patch.metadata, expires_at)
            rows |= dict.fromkeys(batch.deleted)
            _apply(present, rows)
            opens = collection.filling is not None and batch.revision == collection.revision
            yield Effect(
                rows=rows, requests=tuple(each.request_id for each in batch.requests), opens=opens, moment=batch.ts
            )

    def _transactions(self, collection: Collection) -> Iterator[Effect]:
        prefix = f"{items.hash_of(collection)}#"
        filling = collection.filling
        for moment, writes in self.regions[self.home].classes.journal:
            rows: dict[str, Row | None] = {}
            requests: list[str] = []
            opens = False
            for each in writes:
                ((kind, write),) = each.items()
                key = write.get("Item") or write["Key"]
                partition, name = key[items.PARTITION]["S"], key[items.SORT]["S"]
                part = partition.removeprefix(prefix)
                if part == partition:
                    continue
                if part == "requests":
                    # What the move takes for carried out comes without a condition, perhaps late, and changes nothing.
                    requests += [name] if "ConditionExpression" in write else []
                elif kind == "ConditionCheck":
                    continue
                elif part.startswith("round"):
                    opens = filling is not None and kind == "Put" and key["number"]["N"] == str(filling.round)
                elif part.startswith("revision"):
                    continue
                elif kind == "Put":
                    row = items.decode(key)
                    rows[row.id] = (row.values.astype("<f4").tobytes(), row.metadata, row.expires_at)
                else:
                    rows[name] = None
            if rows or requests or opens:
                yield Effect(rows=rows, requests=tuple(requests), opens=opens, moment=moment)


class Writing:
    """A process that writes by the alias, and does not give up on what it has begun."""

    def __init__(self, round_: MoveRound, name: str, at: str) -> None:
        self._round = round_
        self._name = name
        self._at = at
        self._left = 12
        self._asked = 0
        self._open: list[str] = []

    def live(self) -> None:
        """From a start to the end, or to a crash."""
        world = self._round.world
        store = self._round.store(f"{self._name} {world.random.random()}", self._at)
        while self._left or self._open:
            # Of several regions in each somebody writes when it is switched.
            waits = self._round.is_far and not self._round.moved and self._left <= LAST_WRITES
            if not self._open:
                self._left -= not waits
                self._open.append(self._next())
            self._write(store, self._open[0])
            if waits and not self._open:
                world.sleep(world.random.choice(_LONG_PAUSES))
            else:
                world.sleep(world.random.choice(_PAUSES))

    def _next(self) -> str:
        """A request: at times one that was acknowledged before, as if that had not been heard."""
        world = self._round.world
        own = sorted(each for each in self._round.acknowledged if each.startswith(self._name))
        if own and world.random.random() < 0.3:
            return world.random.choice(own)
        self._asked += 1
        request_id = f"{self._name}/{self._asked}"
        self._round.asked[request_id] = self._draw(request_id)
        return request_id

    def _write(self, store: VectorStore, request_id: str) -> None:
        round_ = self._round
        round_.sent.setdefault(request_id, []).append(round_.world.seconds)
        try:
            store.write(TENANT, ALIAS, round_.asked[request_id])
        except Problem as problem:
            expect(problem.status == 503, f"{request_id}: {problem}")
            round_.world.note(f"{self._name}: {request_id} ends with {problem.code}")
            round_.world.sleep(problem.retry_after or 1.0)
            return
        round_.world.note(f"{self._name}: {request_id} is acknowledged")
        round_.acknowledged.add(request_id)
        self._open.remove(request_id)

    def _draw(self, request_id: str) -> Change:
        dice = self._round.world.random
        ids = dice.sample([*_IDS, "new0", "new1"], dice.randint(1, 3))
        kind = dice.random()
        if kind < 0.5:
            lifetimes = [None, None, self._round.world.seconds + dice.choice([5.0, 1e6])]
            rows = [
                NewRow(
                    id=row_id,
                    values=[dice.random(), 1.0],
                    metadata={"by": request_id},
                    expires_at=dice.choice(lifetimes),
                )
                for row_id in ids
            ]
            return Upsert(vectors=rows, request_id=request_id)
        if kind < 0.75:
            patches = [PatchRow(id=row_id, metadata={"patched": request_id}) for row_id in ids]
            return PatchRows(vectors=patches, request_id=request_id)
        return DeleteRows(ids=ids, request_id=request_id)


def _spells(sent: list[float]) -> Iterator[float]:
    """When those times of 24 hours begin in each of which a request is carried out once, however often it is sent."""
    begun = -inf
    for moment in sent:
        if moment > begun + REQUEST_SECONDS:
            begun = moment
            yield begun


def _replayed(effects: list[Effect]) -> dict[str, Row]:
    present: dict[str, Row] = {}
    for effect in effects:
        _apply(present, effect.rows)
    return present


def _apply(present: dict[str, Row], rows: Mapping[str, Row | None]) -> None:
    for row_id, row in rows.items():
        if row is None:
            present.pop(row_id, None)
        else:
            present[row_id] = row


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
