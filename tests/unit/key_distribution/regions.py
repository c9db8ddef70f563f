"""Three regions in memory: a global table with lazy replicas, KMS, and a Vault for each.

Everything that leaves a process passes `World.step`, which the simulation makes a point to stop or to die at.
"""

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from anfl.crypto.agent import Agent
from anfl.crypto.errors import UnknownOutcomeError
from anfl.crypto.leader import Leader
from anfl.crypto.material import Material
from anfl.crypto.transit_key import Held
from anfl.crypto.wrapping_versions import Participant, State, WrappingVersion

HOME = "us-east-1"
REGIONS = (HOME, "us-west-1", "eu-west-1")
ROTATION = 90 * 86_400
KEY = "mrk-wrapping"


class DiedError(BaseException):
    """The process ends here; nothing in it hears of that."""


Step = Callable[[str, Callable[[], Any]], Any]
"""(what, call): makes the call, or dies before or after it."""


def at_once(_what: str, call: Callable[[], Any]) -> Any:
    """Nothing goes wrong."""
    return call()


@dataclass(frozen=True)
class Write:
    """Of one item, on its way to a replica."""

    replica: str
    name: str
    value: Any
    """None: it was deleted."""
    stamp: int


@dataclass
class GlobalTable:
    """Replicas that take writes by themselves and tell one another later, in any order; the last writer wins."""

    replicas: dict[str, dict[str, Any]] = field(default_factory=lambda: {region: {} for region in REGIONS})
    stamps: dict[str, dict[str, int]] = field(default_factory=lambda: {region: {} for region in REGIONS})
    under_way: list[Write] = field(default_factory=list)
    writers: dict[str, set[str]] = field(default_factory=dict)
    """By item, in which regions it was written."""
    clock: int = 0

    def write(self, region: str, name: str, value: Any) -> None:
        self.clock += 1
        self.writers.setdefault(name, set()).add(region)
        for replica in self.replicas:
            write = Write(replica=replica, name=name, value=value, stamp=self.clock)
            if replica == region:
                self._apply(write)
            else:
                self.under_way.append(write)

    def deliver(self, position: int) -> None:
        self._apply(self.under_way.pop(position))

    def deliver_all(self) -> None:
        while self.under_way:
            self.deliver(0)

    def _apply(self, write: Write) -> None:
        if write.stamp <= self.stamps[write.replica].get(write.name, 0):
            return
        self.stamps[write.replica][write.name] = write.stamp
        if write.value is None:
            self.replicas[write.replica].pop(write.name, None)
        else:
            self.replicas[write.replica][write.name] = write.value


class SimulatedVersions:
    """`WrappingVersions` over one replica of a `GlobalTable` (`test_wrapping_versions` holds that they are alike)."""

    def __init__(self, table: GlobalTable, region: str, step: Step = at_once) -> None:
        self._table = table
        self._region = region
        self._step = step

    @property
    def _items(self) -> dict[str, Any]:
        return self._table.replicas[self._region]

    def _write(self, what: str, name: str, value: Any, condition: Callable[[Any], bool]) -> bool:
        def write() -> bool:
            if not condition(self._items.get(name)):
                return False
            self._table.write(self._region, name, value(self._items.get(name)) if callable(value) else value)
            return True

        return bool(self._step(what, write))

    def active(self) -> int | None:
        found: int | None = self._step("active", lambda: self._items.get("active"))
        return found

    def state(self) -> State:
        def read() -> State:
            values = list(self._items.values())
            return State(
                active=self._items.get("active"),
                versions={v.number: v for v in values if isinstance(v, WrappingVersion)},
                participants={p.region: p for p in values if isinstance(p, Participant)},
            )

        found: State = self._step("state", read)
        return found

    def add(self, version: WrappingVersion) -> bool:
        return self._write("add", f"version#{version.number}", version, lambda old: old is None)

    def activate(self, number: int, *, now: int) -> bool:  # noqa: ARG002 - one interface
        return self._write("activate", "active", number, lambda old: old is None or old < number)

    def register(self, region: str, *, now: int) -> bool:
        new = Participant(region=region, seen_at=now)
        return self._write("register", f"region#{region}", new, lambda old: old is None)

    def acknowledge(self, region: str, *, held: int, check: str, now: int) -> bool:
        new = Participant(region=region, held=held, check=check, seen_at=now)
        return self._write("acknowledge", f"region#{region}", new, lambda old: old is not None and old.held <= held)

    def complain(self, region: str, problem: str, *, now: int) -> bool:
        def new(old: Participant) -> Participant:
            return msgspec.structs.replace(old, problem=problem, seen_at=now)

        return self._write("complain", f"region#{region}", new, lambda old: old is not None)

    def lease(self, region: str, *, holder: str, now: int, seconds: int) -> bool:
        return self._write(
            "lease",
            f"lease#{region}",
            (holder, now + seconds),
            lambda old: old is None or old[0] == holder or old[1] <= now,
        )

    def release(self, region: str, *, holder: str) -> bool:
        return self._write("release", f"lease#{region}", None, lambda old: old is not None and old[0] == holder)

    def remove(self, region: str) -> bool:
        return self._write("remove", f"region#{region}", None, lambda old: old is not None)


@dataclass
class SimulatedKms:
    """KMS with one multi-region key: what it has wrapped opens everywhere, with the same context only."""

    wrapped: dict[bytes, tuple[bytes, Mapping[str, str]]] = field(default_factory=dict)

    def generate_data_key_without_plaintext(self, **given: Any) -> dict[str, bytes]:
        assert given["KeyId"] == KEY
        blob = os.urandom(16)
        self.wrapped[blob] = (os.urandom(given["NumberOfBytes"]), given["EncryptionContext"])
        return {"CiphertextBlob": blob}

    def decrypt(self, **given: Any) -> dict[str, bytes]:
        assert given["KeyId"] == KEY
        secret, context = self.wrapped[given["CiphertextBlob"]]
        assert context == given["EncryptionContext"]
        return {"Plaintext": secret}

    def secret(self, version: WrappingVersion) -> bytes:
        return self.wrapped[version.material][0]


@dataclass
class SimulatedVault:
    """Versions of the key, in order; whoever imports adds one."""

    secrets: list[bytes] = field(default_factory=list)
    late: list[tuple[float, bytes]] = field(default_factory=list)
    """Imports nobody waits for any more, and when they will be done."""
    least: int = 1

    def catch_up(self, now: float) -> None:
        for moment, secret in [one for one in self.late if one[0] <= now]:
            self.late.remove((moment, secret))
            self.secrets.append(secret)


class SimulatedKey:
    """`TransitKey` of a simulated Vault."""

    def __init__(
        self, vault: SimulatedVault, step: Step = at_once, lose: Callable[[], float | None] = lambda: None
    ) -> None:
        """:param lose: None: an import is answered; else when it is done without an answer, in the world's time."""
        self._vault = vault
        self._step = step
        self._lose = lose

    def held(self) -> Held:
        found: Held = self._step("held", lambda: Held(latest=len(self._vault.secrets), least=self._vault.least))
        return found

    def add(self, secret: bytearray, *, first: bool) -> None:
        def add() -> None:
            assert first == (not self._vault.secrets)
            moment = self._lose()
            if moment is None:
                self._vault.secrets.append(bytes(secret))
                return
            self._vault.late.append((moment, bytes(secret)))
            raise UnknownOutcomeError("no answer")

        self._step("import", add)

    def opens(self, number: int, secret: bytearray) -> bool:
        return bool(self._step("opens", lambda: self._vault.secrets[number - 1] == bytes(secret)))


@dataclass
class World:
    """All of it, and the invariants."""

    table: GlobalTable = field(default_factory=GlobalTable)
    kms: SimulatedKms = field(default_factory=SimulatedKms)
    vaults: dict[str, SimulatedVault] = field(default_factory=lambda: {region: SimulatedVault() for region in REGIONS})
    now: float = 1_000_000_000.0
    tampered: set[str] = field(default_factory=set)
    """Regions whose Vault somebody has laid hands on."""
    behind: set[str] = field(default_factory=set)
    """Regions whose Vault was set back and has not been looked after since."""
    activations: list[int] = field(default_factory=list)

    def leader(self, step: Step = at_once) -> Leader:
        return Leader(
            versions=self._versions(HOME, step),
            material=self._material(step),
            rotation_seconds=ROTATION,
            clock=lambda: self.now,
        )

    def agent(self, region: str, step: Step = at_once, lose: Callable[[], float | None] = lambda: None) -> Agent:
        return Agent(
            region=region,
            versions=self._versions(region, step),
            material=self._material(step),
            key=SimulatedKey(self.vaults[region], step, lose),
            clock=lambda: self.now,
        )

    def _versions(self, region: str, step: Step) -> Any:
        return SimulatedVersions(self.table, region, step)

    def _material(self, step: Step) -> Material:
        kms = self.kms

        class Stepping:
            def generate_data_key_without_plaintext(self, **given: Any) -> Any:
                return step("draw", lambda: kms.generate_data_key_without_plaintext(**given))

            def decrypt(self, **given: Any) -> Any:
                return step("decrypt", lambda: kms.decrypt(**given))

        client: Any = Stepping()
        return Material(client, key_id=KEY, environment="test")

    def state(self, region: str = HOME) -> State:
        return SimulatedVersions(self.table, region).state()

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for vault in self.vaults.values():
            vault.catch_up(self.now)

    def check(self, known: Collection[str] = REGIONS) -> None:
        """What must hold at every moment.

        :param known: regions that took part when whoever leads now looked. One that joins in the very moment of an
            activation catches up in its first runs, before anything there relies on it.
        """
        home = self.state()
        secrets = [self.kms.secret(home.versions[number]) for number in sorted(home.versions)]
        for region, vault in self.vaults.items():
            if region not in self.tampered:
                assert vault.secrets == secrets[: len(vault.secrets)], f"{region} holds other keys than the table"
        for name, regions in self.table.writers.items():
            owner = name.partition("#")[2] if name.startswith(("region#", "lease#")) else HOME
            assert regions == {owner}, f"{name} was written in {regions}"
        if home.active is not None and self.activations[-1:] != [home.active]:
            assert home.active > max(self.activations, default=0), "active went back"
            self.activations.append(home.active)
            for region in (home.participants.keys() & set(known)) - self.behind:
                held = self.vaults[region].secrets[: home.active]
                assert held == secrets[: home.active], f"{region} lacks {home.active}, which is active"

    def settle(self, *regions: str, rounds: int = 2) -> State:
        """Everybody runs until nothing changes, and nothing goes wrong.

        :param regions: that run beside those that take part already.
        """
        self.pass_time(1000)
        for _ in range(rounds):
            self.leader().run()
            self.table.deliver_all()
            for region in {*regions, *self.state().participants}:
                self.agent(region).run()
                self.behind.discard(region)
            self.table.deliver_all()
            self.leader().run()
            self.table.deliver_all()
        self.check()
        return self.state()
