"""One seeded round: processes of several nodes write and read one collection while everything goes wrong.

Then the model says whether any promise was broken.
"""

import os
import random
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from unittest import mock

import msgspec

from anfl.crypto.data_keys import DataKeys
from anfl.crypto.trouble import key_unavailable
from anfl.vectors import local_copy, request_runs
from anfl.vectors import parts as parts_module
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.elsewhere import Elsewhere, Nowhere
from anfl.vectors.engine import tiers
from anfl.vectors.envelope import DamagedError, Envelope
from anfl.vectors.hints import DynamoHints
from anfl.vectors.manifests import Manifest
from anfl.vectors.model import Collection, CollectionSettings, Metric
from anfl.vectors.node import NodeFolder
from anfl.vectors.node_memory import NodeMemory
from anfl.vectors.repair import Repairs
from anfl.vectors.sealing import Sealing, sealing
from anfl.vectors.storage import Storage
from anfl.vectors.store import VectorStore
from tests.fault.simulation import typed
from tests.fault.simulation.actors import BuilderProcess, Follower, Process, Rewrapper, Sweeper
from tests.fault.simulation.bucket import Bucket
from tests.fault.simulation.copies import Copies
from tests.fault.simulation.judge import Judge
from tests.fault.simulation.keys import Peeked
from tests.fault.simulation.owner import Owner
from tests.fault.simulation.table import Table
from tests.fault.simulation.typed import Declarer, Typist
from tests.fault.simulation.world import Weather, World
from tests.fault.strict import Strict
from tests.unit.crypto.wrapping import FakeTransit

if TYPE_CHECKING:
    from anfl.vectors.changes import Change
    from tests.fault.simulation.seen import Acknowledged, Seen

_SHARED_MEMORY = Path("/dev/shm")
COLLECTION = Collection(
    tenant="demo",
    settings=CollectionSettings(name="words", dimension=2, metric=Metric.L2),
    incarnation="0123456789abcdef0123456789abcdef",
    created_at=1.0,
    epoch=1,
    home="us-west-1",
)


class Round:
    """Everything about one seed."""

    def __init__(self, seed: int, *, only: Weather | None = None) -> None:
        """:param only: what may go wrong at calls and turns, in place of what ``seed`` says."""
        dice = random.Random(seed)
        self.seed = seed
        self.damage = dice.random() < 0.25
        self.asleep = dice.random() < 0.5
        """Whether this round is about processes that sleep while the log is cut off."""
        self.typed = random.Random(f"{seed} typed").random() < 0.15
        """Whether somebody declares a field of another collection. Drawn apart: other rounds are what they were."""
        self.sealed = random.Random(f"{seed} sealed").random() < 0.3
        """Whether collections are sealed. Drawn apart, too."""
        self.rewrapped = self.sealed and random.Random(f"{seed} rewrapped").random() < 0.5
        """Whether the wrapping key is rotated, and keys are moved to new versions."""
        weather = Weather(
            faults=dice.choice([0.0, 0.05, 0.3]),
            outages=dice.choice([0.0, 0.05, 0.3]),
            crashes=dice.choice([0.0, 0.005, 0.02]),
            suspensions=dice.choice([0.0, 0.002, 0.01]),
            late_days=dice.random() < 0.3,
        )
        if self.asleep:
            few = [0.0, 0.05]
            weather = Weather(
                faults=dice.choice(few), outages=dice.choice(few), suspensions=dice.choice([0.02, 0.06]), late_days=True
            )
        self.world = World(seed, Weather())
        self.table = Table(self.world)
        self.transit = FakeTransit(called=self._ask_vault)
        self.collection = msgspec.structs.replace(COLLECTION, sealed=self.sealed)
        self.catalogue = Catalogue(cast("Any", self.table), seals=self.sealed)
        self.catalogue.add(self.collection)
        if self.typed:
            self.catalogue.add(msgspec.structs.replace(typed.COLLECTION, sealed=self.sealed))
        self.world.weather = only or weather
        versioned = dice.random() < 0.7
        self.far = Bucket(self.world, versioned=versioned) if dice.random() < 0.5 else None
        self.home = Bucket(self.world, versioned=versioned, replica=self.far)
        self.nodes = dice.randint(1, 3)
        self.swept = dice.random() < 0.5
        self.owner: Owner | None = None
        self._owned = not self.asleep and dice.random() < 0.4
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
                Judge(self, folder).judge()
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def storage(self, folder: Path, *, skew: float = 0.0, bucket: Bucket | None = None) -> Storage:
        """What a process of a node works with; ``skew`` of its clock in seconds."""
        world = self.world
        clock = Clock(wall=lambda: world.seconds + skew, monotonic=lambda: world.seconds, sleep=world.sleep)
        return Storage(
            objects=bucket or self.home,
            node=NodeFolder(folder, sleep=world.sleep),
            hints=DynamoHints(cast("Any", self.table), now=clock.monotonic),
            elsewhere=Nowhere() if bucket else self._elsewhere(),
            clock=clock,
            threads=False,
            events=Strict(),
        )

    def envelope(self, history: Mapping[str, bytes] | None = None) -> Envelope:
        """Opens objects of the collection without being of this world.

        :param history: what was first put under each key; None: what stands there now.
        """
        held = {key: each.body for key, each in self.home.objects.items()} if history is None else history
        return Sealing(DataKeys(self.transit, Peeked(held, self.transit))).of(self.collection)

    def store(self, storage: Storage, memory: NodeMemory | None = None) -> VectorStore:
        """The store of a process that begins."""
        return VectorStore(self.catalogue, self.begun(storage), builds=True, memory=memory)

    def begun(self, storage: Storage) -> Storage:
        """``storage`` for a process that begins: it has no key in its memory yet."""
        return replace(storage, envelopes=self._envelopes(cast("Bucket", storage.objects)))

    def _envelopes(self, bucket: Bucket) -> Sealing:
        elsewhere = self._elsewhere() if bucket is self.home else Nowhere()
        repairs = Repairs(bucket, elsewhere=elsewhere, events=Strict(), monotonic=lambda: self.world.seconds)
        return sealing(bucket, self.transit, repairs=repairs, monotonic=lambda: self.world.seconds)

    def _elsewhere(self) -> Elsewhere:
        return Nowhere() if self.far is None else Copies(self.world, self.home, self.far)

    def _ask_vault(self) -> None:
        self.world.pause()
        if self.world.random.random() < self.world.weather.outages / 2:
            self.world.note(f"{self.world.name}: Vault does not answer")
            raise key_unavailable("Vault does not answer")

    def has(self, name: str) -> bool:
        """Whether the catalogue has something under a name."""
        return ("T#demo", f"C#{name}") in self.table.items

    def registered(self, name: str) -> Collection | None:
        """What the catalogue has under the name of a collection."""
        item = self.table.items.get(("T#demo", f"C#{name}"))
        return None if item is None else msgspec.json.decode(item["document"], type=Collection)

    def _start(self, folder: Path) -> None:
        dice = self.world.random
        begins: list[Callable[[], VectorStore]] = []
        for node in range(self.nodes):
            skew = dice.uniform(-300, 300)
            memory = NodeMemory.shared()
            storage = self.storage(folder / f"node{node}", skew=skew)
            for process in range(self.processes):
                begins.append(partial(self.store, storage, memory))
                name = f"process {node}.{process}"
                self.world.spawn(name, Process(self, name, begins[-1], self.operations).live)
            if self.asleep or dice.random() < 0.6:
                self.world.spawn(f"builder {node}", BuilderProcess(self, storage).live)
            if node == 0 and self.rewrapped:
                self.world.spawn("rewrapper", Rewrapper(self, storage).live)
            if node == 0 and self.swept:
                self.world.spawn("sweeper", Sweeper(self, storage).live)
        if self._owned:
            self.owner = Owner(self, [begins[0], begins[-1]])
            self.world.spawn("owner", self.owner.live)
        if self.typed:
            self.world.spawn("declarer", Declarer(self, begins[0]).live)
            for number, begin in enumerate([begins[0], begins[-1]]):
                self.world.spawn(f"typist {number}", Typist(self, begin).live)
        if self.far is not None:
            far = replace(self.storage(folder / "far", bucket=self.far), here="eu-west-1")
            self.world.spawn("far", Follower(self, far).live)
        if self.damage:
            self.world.spawn("damage", self._do_damage, killable=False)

    def _do_damage(self) -> None:
        """Once or twice, an object is overwritten, truncated or rots."""
        dice = self.world.random
        spoiled = False
        for _ in range(dice.randint(1, 2)):
            self.world.sleep(dice.choice([0.5, 5.0, 20.0]))
            log = [key for key in self.home.objects if key.startswith(f"{COLLECTION.prefix}log/")]
            # One snapshot, and that the newest: the loss of two nobody promises to survive.
            snapshot = [] if spoiled else self._newest_snapshot()
            keys = sorted(log) + 3 * snapshot + self._wrapped_keys()
            if not keys:
                continue
            key = dice.choice(keys)
            spoiled = spoiled or key in snapshot
            lost = key in log + snapshot  # a key opens more than one thing: its loss nobody promises to survive
            body = self.home.objects[key].body
            place = dice.randrange(max(1, len(body)))
            rotten = body[:place] + bytes(byte ^ 1 for byte in body[place : place + 1]) + body[place + 1 :]
            broken = dice.choice([body[: len(body) // 2], b"", rotten, rotten])
            self.world.note(f"{key} is damaged")
            self.home.damage(key, broken, keep_version=dice.random() < 0.5 or not lost)

    def _wrapped_keys(self) -> list[str]:
        """Keys of wrapped keys that come back whatever befalls them."""
        prefix = f"{COLLECTION.prefix}keys/"
        return sorted(key for key in self.home.objects if key.startswith(prefix)) if self.home.versioned else []

    def _newest_snapshot(self) -> list[str]:
        """Keys of its manifest and of what only it holds."""
        prefix = f"{COLLECTION.prefix}snapshots/"
        manifests: dict[str, Manifest] = {}
        for key in sorted(key for key in self.home.objects if key.startswith(prefix)):
            with suppress(DamagedError):
                body = self.envelope().open(key, self.home.objects[key].body)
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
        mock.patch.object(request_runs, "MOST_RECENT", 3),
        mock.patch.object(local_copy, "LOAD_SECONDS", 2.0),
        mock.patch.object(parts_module, "PART_BYTES", 200),
    ):
        yield
    random.setstate(before)
