"""A process that stood still knows afterwards how long."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from valkey.exceptions import ValkeyError

from anfl import elapsed
from anfl.auth.breaker import OPEN_SECONDS, Breaker
from anfl.auth.decisions import DECISION_SECONDS, Decisions
from anfl.auth.keys import KEYS_REFRESH_SECONDS, REVOCATION_LAG_SECONDS, DenyList, KeySet
from anfl.auth.principal import Principal, Role
from anfl.auth.throttle import CallThrottle
from anfl.auth.vault import Login, VaultClient
from anfl.buckets import Settings as Limits
from anfl.cache import PAUSE_SECONDS, SharedMarks
from anfl.crypto.data_keys import KEPT_SECONDS, DataKeys
from anfl.crypto.trouble import TamperedError
from anfl.elapsed import Elapsed
from anfl.vectors import clock as clock_module
from anfl.vectors.clock import Clock
from tests.unit.crypto.wrapping import DictKeys, FakeTransit

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Machine:
    """Its clocks."""

    counted: float = 1000.0
    of_the_wall: float = 1_800_000_000.0

    def passes(self, seconds: float) -> None:
        self.counted += seconds
        self.of_the_wall += seconds

    def freezes(self, seconds: float) -> None:
        self.of_the_wall += seconds


def shown_by(machine: Machine, clock: Elapsed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "monotonic", lambda: machine.counted)
    monkeypatch.setattr(clock, "wall", lambda: machine.of_the_wall)
    monkeypatch.setattr(clock, "_ahead", float("-inf"))


@pytest.fixture(name="machine")
def _machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    for clock in (elapsed.seconds, clock_module.elapsed):
        shown_by(machine, clock, monkeypatch)
    return machine


def test_it_goes_on_with_whichever_clock_does() -> None:
    machine = Machine()
    clock = Elapsed(monotonic=lambda: machine.counted, wall=lambda: machine.of_the_wall)
    began = clock()
    machine.passes(1)
    assert clock() - began == 1
    machine.freezes(600)
    assert clock() - began == 601
    machine.of_the_wall -= 3600  # somebody sets it right
    assert clock() - began == 601
    machine.passes(2)
    assert clock() - began == 603


def test_a_revocation_is_heard_of_by_a_function_that_was_frozen_when_it_came(machine: Machine) -> None:
    revoked = set[str]()
    denied = DenyList(lambda: frozenset(revoked))
    bearer = Principal(subject="s", tenant="acme", roles=frozenset({Role.READER}), token_id="login", expires_at=2**37)
    assert not denied.contains(bearer)
    assert denied.contains_cached(bearer) is False
    revoked.add(bearer.deny_entry)
    machine.freezes(REVOCATION_LAG_SECONDS + 1)
    assert denied.contains_cached(bearer) is None
    assert denied.contains(bearer)


def test_keys_are_read_again_by_a_function_that_was_frozen(machine: Machine) -> None:
    reads = 0

    def read() -> tuple[()]:
        nonlocal reads
        reads += 1
        return ()

    keys = KeySet(read)
    keys.find("a")
    machine.passes(10)
    before = reads
    machine.freezes(KEYS_REFRESH_SECONDS)
    keys.find("a")
    assert reads == before + 1


def test_vaults_agreement_ends_while_a_function_is_frozen(machine: Machine) -> None:
    decisions = Decisions(None)
    decisions.note("token", asked=elapsed.seconds(), seconds=900)
    assert decisions.stands("token")
    machine.freezes(DECISION_SECONDS)
    assert not decisions.stands("token")


def test_a_data_key_leaves_memory_while_a_function_is_frozen(machine: Machine) -> None:
    wrapped = DictKeys()
    keys = DataKeys(FakeTransit(), wrapped)
    keys.to_seal("place")
    wrapped.standing.clear()
    machine.freezes(KEPT_SECONDS)
    with pytest.raises(TamperedError, match="missing"):
        keys.to_open("place")


def test_vault_is_asked_again_by_a_function_that_was_frozen_after_an_outage(machine: Machine) -> None:
    """Else each process would go on refusing for as many calls as run a second."""
    breaker = Breaker()
    breaker.failed()
    machine.passes(0.01)
    assert not breaker.lets_pass()
    machine.freezes(OPEN_SECONDS)
    assert breaker.lets_pass()


def test_a_token_of_vault_is_renewed_that_ran_out_while_a_function_was_frozen(machine: Machine) -> None:
    """Else its next call is refused, and stands so in Vault's audit."""
    logins = 0

    class Iam:
        def login(self, _vault: VaultClient) -> Login:
            nonlocal logins
            logins += 1
            return Login(token=f"t{logins}", lifetime=60, renewable=False, metadata={})

    vault = VaultClient(address="http://127.0.0.1:1", credentials=Iam())
    assert vault.attempt(lambda client: client.token) == "t1"
    machine.passes(30)
    assert vault.attempt(lambda client: client.token) == "t1"
    machine.freezes(30)
    assert vault.attempt(lambda client: client.token) == "t2"


def test_the_cache_is_asked_again_by_a_function_that_was_frozen(machine: Machine) -> None:
    client = MagicMock()
    client.pttl.side_effect = ValkeyError
    marks = SharedMarks(client)
    assert marks.seconds_left("key") == 0
    client.pttl.side_effect, client.pttl.return_value = None, 1000
    assert marks.seconds_left("key") == 0
    machine.freezes(PAUSE_SECONDS)
    assert marks.seconds_left("key") == 1


def test_a_callers_bucket_fills_while_a_function_is_frozen(machine: Machine) -> None:
    """It asks for a fifth of its rate, call by call; of each second the process runs a twentieth."""
    throttle = CallThrottle(Limits(rate=50, burst=500), region=None)
    bearer = Principal(subject="s", tenant="acme", roles=frozenset({Role.READER}), token_id="login", expires_at=2**37)
    for _ in range(2000):
        throttle.spend(bearer)
        machine.passes(0.005)
        machine.freezes(0.095)


def test_what_a_function_had_looked_at_before_it_was_frozen_is_not_a_moment_old(machine: Machine) -> None:
    """Queries go by what was looked at a second ago (`anfl.vectors.replica`)."""
    clock = Clock()
    looked_at = clock.monotonic()
    machine.freezes(600)
    assert clock.monotonic() - looked_at == 600


@pytest.mark.parametrize(
    ("environment", "frozen"), [({}, False), ({"AWS_LAMBDA_FUNCTION_NAME": "anfl-dev-auth"}, True)]
)
def test_functions_are_frozen_and_services_are_not(environment: dict[str, str], frozen: bool) -> None:
    program = "from anfl.elapsed import seconds; from anfl.vectors.clock import elapsed; "
    program += "print([clock.wall is not None for clock in (seconds, elapsed)])"
    told = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert told == f"{[frozen] * 2}\n"
