"""The short form of `make fault`'s killed processes."""

from tests.fault.processes.command import kill


def test_nothing_is_lost_when_writers_readers_and_builders_are_killed() -> None:
    outcome = kill(seed=4, rounds=8)
    assert not outcome.failed, outcome.text
    assert outcome.acknowledged > 0


def test_writers_that_overwrite_each_other_are_noticed() -> None:
    outcome = kill(seed=4, rounds=40, careless=True)
    assert outcome.failed, "40 rounds noticed nothing"
