"""What the processes of a round do with its collection."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from anfl.problems import Problem
from anfl.vectors.builder import Builder, SnapshotPolicy
from anfl.vectors.janitor import Janitor
from anfl.vectors.model import Position
from anfl.vectors.replica import STALE_SECONDS, Replica
from anfl.vectors.requests import Read
from anfl.vectors.rewrapping import Rewrapping
from anfl.vectors.storage import Storage
from anfl.vectors.store import VectorStore
from tests.fault.changes import Habits
from tests.fault.oracle import content_of, expect
from tests.fault.simulation.seen import Acknowledged, Seen
from tests.fault.simulation.world import DAY, Weather

if TYPE_CHECKING:
    from tests.fault.simulation.round import Round

T = TypeVar("T")
NAME = "words"
TENANT = "demo"
_HABITS = Habits(
    ids=[f"row{number}" for number in range(8)], dimension=2, versions=10, lifetimes=(-10, 1, 100, 2 * DAY)
)


class Process:
    """A process of a node: writes, and reads what it should find."""

    def __init__(self, round_: "Round", name: str, begin: Callable[[], VectorStore], operations: int) -> None:
        self._round = round_
        self._name = name
        self._begin = begin
        self._left = operations

    def live(self) -> None:
        """From a start to the end, or to a crash."""
        round_ = self._round
        life = round_.next_life()
        store = self._begin()
        _patiently(round_, lambda: level(store, Read()))
        while self._left > 0:
            self._left -= 1
            dice = round_.world.random
            kind = dice.random()
            if kind < 0.6:
                self._write(store)
            elif kind < 0.9:
                self._read(store, life)
            elif kind < 0.95:
                store.hnsw.upkeep.once()
            else:
                round_.world.sleep(dice.choice([0.5, 30.0, 301.0, DAY]))

    def _write(self, store: VectorStore) -> None:
        round_ = self._round
        dice = round_.world.random
        if round_.unfinished and dice.random() < 0.5:
            request_id, first = round_.unfinished.pop(dice.randrange(len(round_.unfinished))), False
        else:
            request_id, first = f"request{len(round_.asked)}", True
            round_.asked[request_id] = _HABITS.draw(dice, request_id, now=round_.world.seconds)
        asked = round_.world.seconds
        done = False
        try:
            written = store.write(TENANT, NAME, round_.asked[request_id])
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

    def _read(self, store: VectorStore, life: int) -> None:
        round_ = self._round
        dice = round_.world.random
        strong = dice.random() < 0.5
        asked = round_.world.seconds
        least = round_.least() if strong else 0
        if not strong:
            earlier = [e.position.sequence for e in round_.acknowledged if e.answered < asked - STALE_SECONDS]
            least = max(earlier, default=0)
        kind = "strong" if strong else "bounded"
        with outages():
            replica = level(store, Read(consistency="strong" if strong else "bounded"))
            if replica.trouble is not None:
                least = 0  # it can be read as far as it is whole
            _look(round_, self._name, life, replica, asked, least, kind)


def level(store: VectorStore, freshness: Read) -> Replica:
    """What a read of the collection looks at."""
    return store.hnsw._level(store._find(TENANT, NAME, freshness)[1], freshness)


class BuilderProcess:
    """The builder of a node, with a snapshot at every turn, which also removes what is old."""

    def __init__(self, round_: "Round", storage: Storage) -> None:
        self._round = round_
        self._storage = storage
        self._left = 12 if round_.asleep else 4

    def live(self) -> None:
        """From a start to the end, or to a crash."""
        builder = Builder(self._round.begun(self._storage), policy=SnapshotPolicy(batches=1))
        dice = self._round.world.random
        while self._left > 0:
            self._left -= 1
            self._round.world.sleep(dice.choice([0.1, 2.0, 20.0, 700.0, 7200.0, DAY, 8 * DAY]))
            self._storage.node.ask(self._round.collection)
            builder.turn()


class Rewrapper:
    """Lets new versions of the wrapping key become active, and moves keys to them."""

    def __init__(self, round_: "Round", storage: Storage) -> None:
        self._round = round_
        self._storage = storage
        self._left = 4

    def live(self) -> None:
        """From a start to the end, or to a crash."""
        round_ = self._round
        while self._left > 0:
            self._left -= 1
            round_.world.sleep(round_.world.random.choice([2.0, 20.0, 700.0, DAY]))
            round_.transit.version += 1
            with outages():
                found = Rewrapping(self._storage.objects, round_.transit, round_.transit).turn()
                round_.world.note(f"{found.moved} keys were moved to version {found.active}")


class Sweeper:
    """What goes through the whole bucket now and then."""

    def __init__(self, round_: "Round", storage: Storage) -> None:
        self._round = round_
        self._storage = storage
        self._left = 4

    def live(self) -> None:
        """From a start to the end, or to a crash."""
        world = self._round.world
        janitor = Janitor(self._round.begun(self._storage), self._round.catalogue)
        while self._left > 0:
            self._left -= 1
            world.sleep(world.random.choice([20.0, 700.0, 7200.0, DAY, 8 * DAY]))
            with outages():
                removed = janitor.sweep(now=self._storage.clock.wall())
                world.note(f"{removed} incarnations were removed")


class Follower:
    """A reader in the region to which objects are replicated in any order."""

    def __init__(self, round_: "Round", storage: Storage) -> None:
        self._round = round_
        self._storage = storage
        self._left = 6

    def live(self) -> None:
        """From a start to the end, or to a crash."""
        round_ = self._round
        life = round_.next_life()
        replica = _patiently(round_, self._load)
        while self._left > 0:
            self._left -= 1
            round_.world.sleep(round_.world.random.choice([0.5, 5.0, 60.0, 400.0]))
            with outages():
                replica.freshen(Read())
                _look(round_, "far", life, replica, round_.world.seconds, 0, "far")

    def _load(self) -> Replica:
        replica = self._round.begun(self._storage).replica(self._round.collection)
        replica.load()
        return replica


def _patiently(round_: "Round", load: Callable[[], T]) -> T:
    """Try until it works; in the end nothing goes wrong any more."""
    while True:
        for _ in range(50):
            try:
                return load()
            except Problem as problem:
                expect(problem.status == 503, f"a start ends with {problem}")
                round_.world.sleep(1.0)
        round_.world.sleep(DAY)
        round_.world.weather = Weather()


def _look(round_: "Round", name: str, life: int, replica: Replica, asked: float, least: int, kind: str) -> None:
    position, content, now = replica.view(lambda state: (state.position, content_of(state), state.now()))
    round_.world.note(f"{name}: {kind} read at {position}")
    round_.seen.append(Seen(name, life, position, content, now, asked, least, kind))


@contextmanager
def outages() -> Iterator[None]:
    """503 is what a caller has to live with; anything else is a failure."""
    try:
        yield
    except Problem as problem:
        expect(problem.status == 503, f"a read ends with {problem}")
