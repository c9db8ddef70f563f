"""Runs are killed before and after each of their calls, over three regions with a Vault each; the next ones go on."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from anfl.crypto.agent import Agent
from anfl.crypto.transit_key import TransitKey
from anfl.crypto.wrapping_versions import State
from tests.unit.auth.conftest import RunningVault
from tests.unit.key_distribution.conftest import empty
from tests.unit.key_distribution.regions import HOME, REGIONS, DiedError, Step, World, at_once


class Deployment(World):
    """Agents that use real Vaults."""

    def serve(self, vaults: dict[str, RunningVault], type_: str = "aes256-gcm96") -> None:
        """From now on by these, emptied."""
        for vault in vaults.values():
            empty(vault)
        self.keys = {region: TransitKey(vault.client(), key_type=type_) for region, vault in vaults.items()}

    def agent(self, region: str, step: Step = at_once, lose: Any = None) -> Agent:  # noqa: ARG002 - as the base class
        return Agent(
            region=region,
            versions=self._versions(region, step),
            material=self._material(step),
            key=_Stepping(self.keys[region], step),
            clock=lambda: self.now,
        )

    def check(self, known: Any = REGIONS) -> None:  # noqa: ARG002 - as the base class
        """What is active, every participant holds; and nobody holds anything else."""
        state = self.state()
        for region in state.participants:
            held = self.keys[region].held().latest
            assert held <= len(state.versions)
            assert held >= (state.active or 0)
            for number in range(1, held + 1):
                assert self.keys[region].opens(number, bytearray(self.kms.secret(state.versions[number])))

    def life(self, step: Step) -> State:
        """The first version in all regions, then the second."""
        for _ in range(2):
            self.leader(step).rotate()
            self.table.deliver_all()
            for region in REGIONS:
                self.agent(region, step).run()
            self.table.deliver_all()
            self.leader(step).run()
            self.table.deliver_all()
        return self.state()


class _Stepping:
    """A key whose calls are steps."""

    def __init__(self, key: TransitKey, step: Step) -> None:
        self._key = key
        self._step = step

    def held(self) -> Any:
        return self._step("held", self._key.held)

    def add(self, secret: bytearray, *, first: bool) -> None:
        self._step("import", lambda: self._key.add(secret, first=first))

    def opens(self, number: int, secret: bytearray) -> bool:
        return bool(self._step("opens", lambda: self._key.opens(number, secret)))


class Mortal:
    """Dies of one call, which is done and not answered: for the world that is to die before the next one, too."""

    def __init__(self, at: int) -> None:
        self.calls = 0
        self._at = at

    def __call__(self, _what: str, call: Callable[[], Any]) -> Any:
        answer = call()
        self.calls += 1
        if self.calls == self._at:
            raise DiedError
        return answer


def test_a_run_that_is_killed_at_any_call_is_completed_by_the_next(vaults: dict[str, RunningVault]) -> None:
    for at in itertools.count(1):
        world, mortal = Deployment(), Mortal(at)
        world.serve(vaults)
        try:
            state = world.life(mortal)
        except DiedError:
            world.check()
            again = world.settle(*REGIONS, rounds=1)
            assert again.active == max(again.versions), at
            assert {one.held for one in again.participants.values()} == {again.active}, at
        else:
            assert state.active == 2
            break
    assert at > 60


def test_a_vault_that_was_restored_from_an_old_snapshot_imports_again_what_it_lacks(
    vaults: dict[str, RunningVault],
) -> None:
    world = Deployment()
    world.serve(vaults)
    world.life(at_once)
    empty(vaults["eu-west-1"])
    state = world.state("eu-west-1")
    assert state.participants["eu-west-1"].held == 2

    world.agent("eu-west-1").run()

    assert world.keys["eu-west-1"].held().latest == 2
    world.check()


def test_an_unused_key_that_vault_made_stands_in_the_way_until_somebody_deletes_it(
    vaults: dict[str, RunningVault],
) -> None:
    world = Deployment()
    world.serve(vaults)
    vaults[HOME].client().attempt(lambda client: client.secrets.transit.create_key("anfl", derived=True))
    world.leader().run()

    with pytest.raises(Exception, match="was not imported"):
        world.agent(HOME).run()
    problem = world.state().participants[HOME].problem
    assert problem is not None
    assert "delete it with a root token" in problem

    empty(vaults[HOME])
    assert world.settle().active == 1
    assert world.state().participants[HOME].problem is None
