"""Thousands of interleavings of leaders and agents in three regions that die, wait, lose answers and come back."""

import os
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from anfl.crypto.agent import LEASE_SECONDS
from anfl.crypto.errors import BusyError, DistributionError, UnknownOutcomeError
from tests.unit.key_distribution.regions import HOME, REGIONS, ROTATION, DiedError, World

SEED = int(os.environ.get("SEED") or random.randrange(2**32))
ROUNDS = 300
LONGEST_REQUEST = 90
"""Seconds: Vault ends what takes longer."""
EXPECTED = (BusyError, UnknownOutcomeError)


@dataclass
class Process:
    """A run in a thread of its own that stands still before and after each of its calls until it is told to go on."""

    name: str
    run: Callable[["Process"], object]
    random: random.Random
    known: frozenset[str]
    """Who took part when it began."""
    dies: bool = False
    error: Exception | None = None
    over: bool = False
    last_lease: float | None = None
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    stands: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def start(self) -> None:
        self._thread = threading.Thread(target=self._body, daemon=True)
        self._thread.start()

    def _body(self) -> None:
        self.go.acquire()
        try:
            if not self.dies:
                self.run(self)
        except DiedError:
            pass
        except Exception as error:
            self.error = error
        self.over = True
        self.stands.release()

    def step(self, what: str, call: Callable[[], Any]) -> Any:
        self._pause()
        answer = call()
        if what == "lease" and answer:
            self.last_lease = 0.0
        if what == "import":
            self.last_lease = None
        if self.random.random() < 0.3:
            self._pause()
        return answer

    def _pause(self) -> None:
        self.stands.release()
        self.go.acquire()
        if self.dies:
            raise DiedError

    def advance(self) -> None:
        """To its next pause, or to its end."""
        self.go.release()
        self.stands.acquire()
        if self.over:
            self._thread.join()


class Round:
    """One history."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.world = World()
        self.processes: list[Process] = []

    def play(self, steps: int = 150) -> None:
        for _ in range(steps):
            known = self._known()
            self._event()
            self.world.check(known)
        for process in self.processes:
            process.dies = True
            while not process.over:
                process.advance()
        self.world.check()

    def _known(self) -> frozenset[str]:
        """Who had registered before any leader began that is still at it."""
        leading = [process.known for process in self.processes if process.name not in REGIONS]
        return frozenset(self.world.state().participants).intersection(*leading)

    def _event(self) -> None:
        chance = self.random.random()
        if chance < 0.12 and len(self.processes) < 6:
            self._begin()
        elif chance < 0.25 and self.world.table.under_way:
            self.world.table.deliver(self.random.randrange(len(self.world.table.under_way)))
        elif chance < 0.31:
            self._wait(self.random.choice([1, 30, 30, 200, ROTATION]))
        elif chance < 0.32:
            self._set_back(self.random.choice(REGIONS))
        elif self.processes:
            self._advance(self.random.choice(self.processes))

    def _begin(self) -> None:
        name = self.random.choice(["leader", "leader", "rotate", *REGIONS])
        if name in REGIONS:
            if name in self.world.behind:
                self._end_all(name)  # a restored Vault was away: nothing that talked to it goes on

            def run(process: Process) -> object:
                state = self.world.agent(name, process.step, self._lose).run()
                self.world.behind.discard(name)
                return state
        else:

            def run(process: Process) -> object:
                leader = self.world.leader(process.step)
                return leader.rotate() if name == "rotate" else leader.run()

        known = frozenset(self.world.state().participants)
        process = Process(name=name, run=run, random=self.random, known=known)
        process.start()
        self.processes.append(process)

    def _advance(self, process: Process) -> None:
        process.dies = self.random.random() < 0.02
        process.advance()
        if process.over:
            self.processes.remove(process)
            if process.error is not None and not isinstance(process.error, EXPECTED):
                raise process.error

    def _wait(self, seconds: float) -> None:
        """No process sleeps longer between the lease and its import than a lease allows for."""
        for process in list(self.processes):
            if process.last_lease is not None:
                process.last_lease += seconds
                if process.last_lease + LONGEST_REQUEST >= LEASE_SECONDS:
                    self._end(process)
        self.world.pass_time(seconds)

    def _set_back(self, region: str) -> None:
        """An operator restores an older snapshot of its Vault."""
        self._end_all(region)
        vault = self.world.vaults[region]
        vault.late.clear()
        del vault.secrets[self.random.randint(0, len(vault.secrets)) :]
        self.world.behind.add(region)

    def _end_all(self, name: str) -> None:
        for process in [one for one in self.processes if one.name == name]:
            self._end(process)

    def _end(self, process: Process) -> None:
        process.dies = True
        process.advance()
        assert process.over
        self.processes.remove(process)

    def _lose(self) -> float | None:
        chance = self.random.random()
        if chance < 0.8:
            return None
        return float("inf") if chance < 0.87 else self.world.now + self.random.uniform(0, LONGEST_REQUEST)


def test_no_version_is_active_before_all_hold_it_and_everything_heals() -> None:
    activated = 0
    for number in range(ROUNDS):
        seed = SEED + number
        try:
            history = Round(seed)
            history.play()
            state = history.world.settle()
            if state.participants:
                assert state.active == max(state.versions)
                assert {one.held for one in state.participants.values()} == {state.active}
                assert {one.problem for one in state.participants.values()} == {None}
                assert {history.world.state(region).active for region in REGIONS} == {state.active}
            activated += len(history.world.activations)
        except Exception as error:
            raise AssertionError(f"SEED={seed}") from error
    assert activated > ROUNDS, "the histories come to something"


@pytest.mark.parametrize("region", REGIONS)
def test_a_region_that_is_away_keeps_a_version_from_becoming_active_and_nothing_else(region: str) -> None:
    world = World()
    for name in REGIONS:
        world.agent(name).run()
    assert world.settle().active == 1
    world.pass_time(ROTATION)
    for name in REGIONS:
        world.leader().run()
        world.table.deliver_all()
        if name != region:
            world.agent(name).run()
            world.table.deliver_all()

    state = world.leader().run()

    assert (state.active, state.pending and state.pending.number) == (1, 2)
    assert world.settle().active == 2


def test_a_new_region_imports_all_versions_in_order_before_it_acknowledges() -> None:
    world = World()
    world.agent(HOME).run()
    for _ in range(3):
        world.settle()
        world.pass_time(ROTATION)
    assert world.settle().active == 4

    world.agent("eu-west-1").run()

    assert world.vaults["eu-west-1"].secrets == world.vaults[HOME].secrets
    assert world.state("eu-west-1").participants["eu-west-1"].held == 4


def test_a_region_without_all_versions_in_its_replica_imports_those_before_the_gap() -> None:
    world = World()
    world.agent(HOME).run()
    for _ in range(2):
        world.settle()
        world.pass_time(ROTATION)
    world.settle()
    del world.table.replicas["eu-west-1"]["version#2"]

    world.agent("eu-west-1").run()

    assert world.state("eu-west-1").participants["eu-west-1"].held == 1


def test_a_version_that_arrives_and_is_imported_during_a_look_is_not_taken_for_somebodys_own() -> None:
    world = World()
    world.agent(HOME).run()
    world.leader().run()

    def overtaken(what: str, call: Callable[[], Any]) -> Any:
        answer = call()
        if what in ("held", "state") and world.table.under_way:
            world.table.deliver_all()
            world.agent("eu-west-1").run()
        return answer

    assert world.agent("eu-west-1", overtaken).run().participants["eu-west-1"].problem is None


def test_a_removed_region_is_not_waited_for() -> None:
    world = World()
    for name in REGIONS:
        world.agent(name).run()
    world.settle()
    world.leader().rotate()
    for name in (HOME, "us-west-1"):
        world.table.deliver_all()
        world.agent(name).run()
    world.table.deliver_all()
    assert world.leader().run().active == 1

    world._versions(HOME, lambda _what, call: call()).remove("eu-west-1")

    assert world.leader().run().active == 2


def test_a_version_by_hand_is_refused_and_nothing_becomes_active() -> None:
    world = World()
    for name in REGIONS:
        world.agent(name).run()
    world.settle()
    world.tampered.add("us-west-1")
    world.vaults["us-west-1"].secrets.append(b"somebody's own".ljust(32))

    with pytest.raises(DistributionError, match="it holds version 2, and the table knows 1"):
        world.agent("us-west-1").run()
    world.leader().rotate()
    world.table.deliver_all()
    with pytest.raises(DistributionError, match="its version 2 is another key than the table's"):
        world.agent("us-west-1").run()

    for name in (HOME, "eu-west-1"):
        world.agent(name).run()
    world.table.deliver_all()
    state = world.leader().run()
    assert state.active == 1
    assert "another key" in str(state.participants["us-west-1"].problem)


def test_a_wrong_import_is_never_acknowledged() -> None:
    world = World()
    for name in REGIONS:
        world.agent(name).run()
    world.settle()
    world.leader().rotate()
    world.table.deliver_all()
    world.tampered.add("eu-west-1")
    vault = world.vaults["eu-west-1"]

    def corrupt(what: str, call: Callable[[], Any]) -> Any:
        answer = call()
        if what == "import":
            vault.secrets[-1] = b"not what was sent".ljust(32)
        return answer

    with pytest.raises(DistributionError, match="another key than the table's"):
        world.agent("eu-west-1", corrupt).run()

    assert world.state("eu-west-1").participants["eu-west-1"].held == 1


def test_regions_that_acknowledge_different_keys_do_not_make_it_active() -> None:
    world = World()
    for name in REGIONS:
        world.agent(name).run()
    world.table.deliver_all()
    world.leader().run()
    for name in REGIONS:
        table = world._versions(name, lambda _what, call: call())
        table.acknowledge(name, held=1, check="one" if name == HOME else "other", now=0)
    world.table.deliver_all()

    with pytest.raises(DistributionError, match="regions hold different keys as version 1"):
        world.leader().run()

    assert world.state().active is None


def test_a_table_that_lost_versions_gets_no_new_one() -> None:
    world = World()
    world.agent(HOME).run()
    world.settle()
    del world.table.replicas[HOME]["version#1"]

    with pytest.raises(DistributionError, match="the auth table has lost versions"):
        world.leader().run()
    with pytest.raises(DistributionError, match="the auth table has lost versions"):
        world.leader().rotate()


def test_rotating_while_a_version_is_under_way_begins_no_other() -> None:
    world = World()
    world.agent(HOME).run()

    for _ in range(3):
        world.leader().rotate()

    assert list(world.state().versions) == [1]


def test_a_version_is_begun_when_the_last_is_old_enough_and_not_before() -> None:
    world = World()
    world.agent(HOME).run()
    world.settle()
    begun = world.state().versions[1].drawn_at
    world.now = begun + ROTATION - 1
    assert world.leader().run().pending is None

    world.now += 1

    assert world.leader().run().pending is not None


def test_versions_that_were_retired_in_vault_prove_nothing_and_stand_in_the_way_of_nothing() -> None:
    world = World()
    world.agent(HOME).run()
    world.settle()
    world.leader().rotate()
    world.settle()
    world.vaults[HOME].least = 2
    world.vaults[HOME].secrets[0] = b"opens nothing any more".ljust(32)
    world.tampered.add(HOME)

    world.leader().rotate()
    world.agent(HOME).run()

    assert world.leader().run().active == 3


def test_a_secret_is_overwritten_after_its_use() -> None:
    world = World()
    world.agent(HOME).run()
    world.leader().run()
    seen: list[bytearray] = []
    agent = world.agent(HOME)
    key = agent._key
    add = key.add

    def keep(secret: bytearray, *, first: bool) -> None:
        seen.append(secret)
        add(secret, first=first)

    key.add = keep  # type: ignore[method-assign]
    agent.run()

    assert seen == [bytearray(32)]
