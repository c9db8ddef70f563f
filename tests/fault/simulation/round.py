"""One seeded round: processes of several nodes write and read one collection while everything goes wrong.

Then the model says whether any promise was broken.
"""

import os
import random
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unittest import mock

import msgspec

from anfl.problems import Problem
from anfl.vectors import replica as replica_module
from anfl.vectors import snapshots as snapshots_module
from anfl.vectors.builder import Builder, SnapshotPolicy
from anfl.vectors.changes import Change
from anfl.vectors.engine import tiers
from anfl.vectors.envelope import Checksummed, DamagedError
from anfl.vectors.model import Collection, CollectionSettings, Metric, Position
from anfl.vectors.node import NodeFolder
from anfl.vectors.replica import Clock, Replica
from anfl.vectors.requests import DeleteRows, NewRow, PatchRow, PatchRows, Read, Upsert
from anfl.vectors.snapshots import Manifest
from anfl.vectors.storage import Storage
from anfl.vectors.writer import Writer
from tests.fault.oracle import Content, Oracle, compare, content_of, decode_batch, expect
from tests.fault.simulation.bucket import Bucket
from tests.fault.simulation.world import DAY, Weather, World
from tests.fault.strict import Strict

IDS = [f"row{number}" for number in range(8)]
_SHARED_MEMORY = Path("/dev/shm")
COLLECTION = Collection(
    tenant="demo",
    settings=CollectionSettings(name="words", dimension=2, metric=Metric.L2),
    incarnation="0123456789abcdef0123456789abcdef",
    created_at=1.0,
    epoch=1,
)


@dataclass(frozen=True)
class Acknowledged:
    """A write and when, in simulated seconds, it was asked for and answered. ``first`` was never tried before."""

    request_id: str
    position: Position
    count: int
    asked: float
    answered: float
    first: bool


@dataclass(frozen=True)
class Seen:
    """What a read saw of the whole state."""

    process: str
    life: int
    position: Position
    content: Content
    now: float
    asked: float
    least: int
    """The sequence that it had to see."""
    kind: str


class Round:
    """Everything about one seed."""

    def __init__(self, seed: int) -> None:
        dice = random.Random(seed)
        self.seed = seed
        self.damage = dice.random() < 0.25
        self.asleep = dice.random() < 0.5
        """Whether this round is about processes that sleep while the log is cut off."""
        weather = Weather(
            faults=dice.choice([0.0, 0.05, 0.3]),
            crashes=dice.choice([0.0, 0.005, 0.02]),
            suspensions=dice.choice([0.0, 0.002, 0.01]),
            late_days=dice.random() < 0.3,
        )
        if self.asleep:
            weather = Weather(faults=dice.choice([0.0, 0.05]), suspensions=dice.choice([0.02, 0.06]), late_days=True)
        self.world = World(seed, weather)
        versioned = dice.random() < 0.7
        self.far = Bucket(self.world, versioned=versioned) if dice.random() < 0.5 else None
        self.home = Bucket(self.world, versioned=versioned, replica=self.far)
        self.nodes = dice.randint(1, 3)
        self.processes = dice.randint(1, 2)
        self.operations = dice.randint(3, 10)
        self.asked: dict[str, Change] = {}
        self.acknowledged: list[Acknowledged] = []
        self.refused: set[str] = set()
        self.seen: list[Seen] = []
        self.unfinished: list[str] = []
        self.lost: set[str] = set()
        """Keys of log objects that were damaged beyond repair."""
        self._lives = 0

    def play(self) -> None:
        """Run the round and judge it.

        :raises DivergenceError: a promise was broken.
        """
        base = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else None
        folder = Path(tempfile.mkdtemp(prefix="anfl-round-", dir=base))
        try:
            with _determined(self.seed):
                self._start(folder)
                self.world.run()
                self.world.calm()
                self._judge(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def storage(self, folder: Path, *, skew: float = 0.0, bucket: Bucket | None = None) -> Storage:
        """What a process of a node works with; ``skew`` of its clock in seconds."""
        world = self.world
        clock = Clock(wall=lambda: world.seconds + skew, monotonic=lambda: world.seconds, sleep=world.sleep)
        replicas = [self.far] if self.far is not None and bucket is None else []
        node = NodeFolder(folder, sleep=world.sleep)
        objects = bucket or self.home
        return Storage(objects=objects, node=node, replicas=replicas, clock=clock, threads=False, events=Strict())

    def _start(self, folder: Path) -> None:
        dice = self.world.random
        for node in range(self.nodes):
            skew = dice.uniform(-300, 300)
            for process in range(self.processes):
                name = f"process {node}.{process}"
                storage = self.storage(folder / f"node{node}", skew=skew)
                self.world.spawn(name, Process(self, name, storage, self.operations).live)
            if self.asleep or dice.random() < 0.6:
                storage = self.storage(folder / f"node{node}", skew=skew)
                self.world.spawn(f"builder {node}", BuilderProcess(self, storage).live)
        if self.far is not None:
            storage = self.storage(folder / "far", bucket=self.far)
            self.world.spawn("far", Follower(self, storage).live)
        if self.damage:
            self.world.spawn("damage", self._do_damage, killable=False)

    def _do_damage(self) -> None:
        """Once or twice, an object is overwritten, truncated or rots."""
        dice = self.world.random
        spoiled = False
        for _ in range(dice.randint(1, 2)):
            self.world.sleep(dice.choice([0.5, 5.0, 20.0]))
            log = [key for key in self.home.objects if "/log/" in key]
            # One snapshot, and that the newest: the loss of two nobody promises to survive.
            snapshot = [] if spoiled else self._newest_snapshot()
            keys = sorted(log) + 3 * snapshot
            if not keys:
                continue
            key = dice.choice(keys)
            spoiled = spoiled or key in snapshot
            body = self.home.objects[key].body
            broken = dice.choice([body[: len(body) // 2], b"", body[:-1] + b"?"])
            self.world.note(f"{key} is damaged")
            self.home.damage(key, broken, keep_version=dice.random() < 0.5)

    def _newest_snapshot(self) -> list[str]:
        """Keys of its manifest and of what only it holds."""
        prefix = f"{COLLECTION.prefix}snapshots/"
        manifests: dict[str, Manifest] = {}
        for key in sorted(key for key in self.home.objects if key.startswith(prefix)):
            with suppress(DamagedError):
                body = Checksummed().open(key, self.home.objects[key].body)
                manifests[key] = msgspec.msgpack.decode(body, type=Manifest)
        if not manifests:
            return []
        newest = max(manifests)
        others = {digest for key, manifest in manifests.items() if key != newest for digest in manifest.parts()}
        own = sorted(manifests[newest].parts().keys() - others)
        parts = [key for name in own if (key := f"{COLLECTION.prefix}parts/{name}") in self.home.objects]
        return [newest, *parts]

    def next_life(self) -> int:
        """A number for a process from its start to its end."""
        self._lives += 1
        return self._lives

    def least(self) -> int:
        """The highest sequence that has been acknowledged."""
        return max((each.position.sequence for each in self.acknowledged), default=0)

    def _judge(self, folder: Path) -> None:
        oracle = Oracle(self.asked)
        prefix = f"{COLLECTION.prefix}log/00000001/"
        bodies = {
            int(key.removeprefix(prefix)): body for key, body in self.home.history.items() if key.startswith(prefix)
        }
        expect(sorted(bodies) == list(range(1, len(bodies) + 1)), f"slots {sorted(bodies)} have a gap")
        oracle.play(decode_batch(Checksummed().open("", bodies[number])) for number in sorted(bodies))
        self._judge_writes(oracle)
        self._judge_reads(oracle)
        self._judge_rest(oracle, folder, bodies)

    def _judge_writes(self, oracle: Oracle) -> None:
        for each in self.acknowledged:
            expect(each.request_id in oracle.applied, f"{each.request_id} was acknowledged and is not in the log")
            answers = oracle.applied[each.request_id]
            expect((each.position.sequence, each.count) in answers, f"{each} is not in {answers}")
        for request_id in self.refused:
            expect(request_id not in oracle.applied, f"{request_id} was refused and is in the log")
        firsts = sorted((each for each in self.acknowledged if each.first), key=lambda each: each.answered)
        highest = 0
        waiting = sorted(firsts, key=lambda each: each.asked)
        for each in waiting:
            while firsts and firsts[0].answered < each.asked:
                highest = max(highest, firsts.pop(0).position.sequence)
            expect(each.position.sequence >= highest, f"{each} came before what was acknowledged earlier")

    def _judge_reads(self, oracle: Oracle) -> None:
        last: dict[int, int] = {}
        for each in self.seen:
            sequence = each.position.sequence
            where = f"{each.kind} read of {each.process} at {sequence}"
            expect(sequence < len(oracle.states), f"{where}: there is no such position")
            expect(sequence >= each.least, f"{where} had to see {each.least}")
            expect(sequence >= last.get(each.life, 0), f"{where} went back from {last.get(each.life)}")
            last[each.life] = sequence
            compare(each.content, oracle.states[sequence], each.now, where)

    def _judge_rest(self, oracle: Oracle, folder: Path, bodies: dict[int, bytes]) -> None:
        """A node that comes now finds everything, unless a part of the log is damaged beyond repair."""
        prefix = f"{COLLECTION.prefix}log/00000001/"
        storage = self.storage(folder / "last")
        replica = storage.replica(COLLECTION)
        replica.load()
        sequence = replica.view(lambda state: state.sequence)
        now = replica.view(lambda state: state.now())
        compare(replica.view(content_of), oracle.states[sequence], now, f"the last node at {sequence}")
        if sequence == len(bodies):
            expect(replica.trouble is None, f"the last node has {replica.trouble}")
            return
        key = f"{prefix}{sequence + 1:020d}"
        expect(not self.home.recoverable(key, bodies[sequence + 1]), f"the last node stops at {sequence} for no reason")
        expect(replica.trouble is not None, "the last node does not say that its log is damaged")
        try:
            Writer(replica).write(Upsert(vectors=[NewRow(id="late", values=[0.0, 0.0])]))
        except Problem as problem:
            expect(problem.code in {"log_corrupt", "log_gap"}, f"a damaged log answers {problem.code}")
        else:
            expect(False, "a damaged log was written to")


class Process:
    """A process of a node: writes, and reads what it should find."""

    def __init__(self, round_: Round, name: str, storage: Storage, operations: int) -> None:
        self._round = round_
        self._name = name
        self._storage = storage
        self._left = operations

    def live(self) -> None:
        """From a start to the end, or to a crash."""
        round_ = self._round
        life = round_.next_life()
        replica = _loaded(round_, self._storage)
        writer = Writer(replica)
        while self._left > 0:
            self._left -= 1
            dice = round_.world.random
            kind = dice.random()
            if kind < 0.6:
                self._write(writer)
            elif kind < 0.9:
                self._read(replica, life)
            elif kind < 0.95:
                replica.install_newest()
            else:
                round_.world.sleep(dice.choice([0.5, 30.0, 301.0, DAY]))

    def _write(self, writer: Writer) -> None:
        round_ = self._round
        dice = round_.world.random
        if round_.unfinished and dice.random() < 0.5:
            request_id, first = round_.unfinished.pop(dice.randrange(len(round_.unfinished))), False
        else:
            request_id, first = f"request{len(round_.asked)}", True
            round_.asked[request_id] = self._change(request_id)
        asked = round_.world.seconds
        done = False
        try:
            written = writer.write(round_.asked[request_id])
            done = True
        except Problem as problem:
            expect(problem.status in {409, 503}, f"{request_id}: {problem}")
            if problem.status == 409:
                expect(problem.code == "version_conflict", f"{request_id}: {problem}")
                if first:
                    round_.refused.add(request_id)
                done = True
                return
            round_.world.note(f"{self._name}: {request_id} ends with {problem.code}")
            return
        finally:
            if not done and dice.random() < 0.9:
                round_.unfinished.append(request_id)
        position = Position.parse(written.sequence)
        count = next(n for n in (written.upserted, written.patched, written.deleted) if n is not None)
        round_.world.note(f"{self._name}: {request_id} is acknowledged at {position}")
        round_.acknowledged.append(Acknowledged(request_id, position, count, asked, round_.world.seconds, first))

    def _change(self, request_id: str) -> Change:
        dice = self._round.world.random
        ids = dice.sample(IDS, dice.randint(1, 3))
        if_version = dice.choice([None, None, 0, dice.randint(1, 10)])
        kind = dice.random()
        if kind < 0.6:
            moment = dice.choice([None, None, None, self._round.world.seconds + dice.choice([-10, 1, 100, 2 * DAY])])
            rows = [
                NewRow(
                    id=row_id,
                    values=[float(dice.randrange(100)), 1.0],
                    metadata={"n": dice.randrange(10)},
                    expires_at=moment,
                    if_version=if_version,
                )
                for row_id in ids
            ]
            return Upsert(vectors=rows, request_id=request_id)
        if kind < 0.75:
            patches = [PatchRow(id=row_id, metadata={"p": dice.choice([None, 1, 2])}) for row_id in ids]
            return PatchRows(vectors=patches, request_id=request_id)
        if kind < 0.9:
            return DeleteRows(ids=ids, request_id=request_id)
        return DeleteRows(filter={"n": {"$lt": dice.randrange(5)}}, request_id=request_id)

    def _read(self, replica: Replica, life: int) -> None:
        round_ = self._round
        dice = round_.world.random
        strong = dice.random() < 0.5
        asked = round_.world.seconds
        least = round_.least() if strong else 0
        if not strong:
            earlier = [
                e.position.sequence for e in round_.acknowledged if e.answered < asked - replica_module.STALE_SECONDS
            ]
            least = max(earlier, default=0)
        with _outages(round_):
            replica.freshen(Read(consistency="strong" if strong else "bounded"))
            if replica.trouble is not None:
                least = 0  # it can be read as far as it is whole
            _look(round_, self._name, life, replica, asked, least, "strong" if strong else "bounded")


class BuilderProcess:
    """The builder of a node, with a snapshot at every turn, which also removes what is old."""

    def __init__(self, round_: Round, storage: Storage) -> None:
        self._round = round_
        self._storage = storage
        self._left = 12 if round_.asleep else 4

    def live(self) -> None:
        """From a start to the end, or to a crash."""
        builder = Builder(self._storage, policy=SnapshotPolicy(batches=1))
        dice = self._round.world.random
        while self._left > 0:
            self._left -= 1
            self._round.world.sleep(dice.choice([0.1, 2.0, 20.0, 700.0, 7200.0, DAY, 8 * DAY]))
            self._storage.node.ask(COLLECTION)
            builder.turn()


class Follower:
    """A reader in the region to which objects are replicated in any order."""

    def __init__(self, round_: Round, storage: Storage) -> None:
        self._round = round_
        self._storage = storage
        self._left = 6

    def live(self) -> None:
        """From a start to the end, or to a crash."""
        round_ = self._round
        life = round_.next_life()
        replica = _loaded(round_, self._storage)
        while self._left > 0:
            self._left -= 1
            round_.world.sleep(round_.world.random.choice([0.5, 5.0, 60.0, 400.0]))
            with _outages(round_):
                replica.freshen(Read())
                _look(round_, "far", life, replica, round_.world.seconds, 0, "far")


def _loaded(round_: Round, storage: Storage) -> Replica:
    for _ in range(50):
        replica = storage.replica(COLLECTION)
        try:
            replica.load()
        except Problem as problem:
            expect(problem.status == 503, f"a start ends with {problem}")
            round_.world.sleep(1.0)
        else:
            return replica
    round_.world.sleep(DAY)
    round_.world.weather = Weather()
    return _loaded(round_, storage)


def _look(round_: Round, name: str, life: int, replica: Replica, asked: float, least: int, kind: str) -> None:
    position, content, now = replica.view(lambda state: (state.position, content_of(state), state.now()))
    round_.world.note(f"{name}: {kind} read at {position}")
    round_.seen.append(Seen(name, life, position, content, now, asked, least, kind))


@contextmanager
def _outages(_round: Round) -> Iterator[None]:
    """503 is what a caller has to live with; anything else is a failure."""
    try:
        yield
    except Problem as problem:
        expect(problem.status == 503, f"a read ends with {problem}")


def _uuid(dice: random.Random) -> uuid.UUID:
    return uuid.UUID(int=dice.getrandbits(128), version=4)


@contextmanager
def _determined(seed: int) -> Iterator[None]:
    """Everything that is drawn comes from ``seed``, and limits are small enough to be reached."""
    dice = random.Random(seed)
    before = random.getstate()
    random.seed(seed)
    with (
        mock.patch.object(uuid, "uuid4", partial(_uuid, dice)),
        mock.patch.object(os, "urandom", dice.randbytes),
        mock.patch.object(tiers, "GRAPH_FROM", 4),
        mock.patch.object(tiers, "FRESH_ROWS", 6),
        mock.patch.object(replica_module, "LOAD_SECONDS", 2.0),
        mock.patch.object(snapshots_module, "PART_BYTES", 200),
    ):
        yield
    random.setstate(before)
