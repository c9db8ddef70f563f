"""Keys that move to the active version by themselves, a part at each call, until none is left; then little is asked."""

from collections.abc import Callable
from typing import Any

import boto3
import pytest

from anfl.problems import Problem
from anfl.vectors.due_rewrapping import AGAIN_SECONDS, SETTLING_SECONDS, DueRewrapping, Progress, ProgressItem
from anfl.vectors.model import Collection
from anfl.vectors.rewrapping import Rewrapping
from tests.unit.vectors.importing import TABLE
from tests.unit.vectors.test_rewrapping import _collections, _world, versions  # noqa: F401 - fixtures
from tests.unit.vectors.test_sealing import World, forge


class Region:
    """One whose schedule calls."""

    def __init__(self, world: World, session: boto3.session.Session) -> None:
        self.world = world
        self.client = session.client("dynamodb")

    def call(self, *, enough: Callable[[], bool] = bool) -> Progress:
        item = ProgressItem(self.client, table=TABLE, region="us-east-1")
        moved = Rewrapping(self.world.objects, self.world.transit, self.world.transit)
        return DueRewrapping(moved, self.world.transit, item, now=lambda: self.world.time.seconds).run(enough=enough)

    def settled(self) -> Progress:
        """Until the active version is done with."""
        self.call()
        self.world.time.advance(SETTLING_SECONDS)
        return self.call()


@pytest.fixture(name="region")
def _region(world: World, collections: list[Collection], session: boto3.session.Session) -> Region:  # noqa: ARG001
    return Region(world, session)


def test_after_a_rotation_all_keys_move_a_part_at_a_time(world: World, region: Region) -> None:
    assert region.settled().behind == 0
    world.transit.version = 2
    for moved in (1, 2, 3):
        assert region.call(enough=lambda: True).behind == 1
        assert versions(world).count("v2") == moved
    assert region.settled().done


def test_a_version_is_done_with_only_by_a_pass_that_began_when_nobody_wraps_by_the_last_one(
    world: World, region: Region, collections: list[Collection]
) -> None:
    region.settled()
    world.transit.version = 2
    assert not region.call().done
    late = world.keys(collections[0], "keys")[0]
    world.transit.version = 1  # a process that has not heard of it
    world.objects.put(late, packed_anew(world, late))
    world.transit.version = 2
    world.time.advance(SETTLING_SECONDS - 1)
    assert not region.call().done
    world.time.advance(1)
    assert region.call().done
    assert versions(world) == ["v2"] * 3


def packed_anew(world: World, place: str) -> bytes:
    from anfl.vectors.sealing import packed

    return packed(place, world.transit.generate(place).wrapped)


def test_then_nothing_is_listed_or_read_until_the_next_rotation(
    world: World, region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    region.settled()

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("the bucket was asked")

    with monkeypatch.context() as patch:
        for name in ("list", "get_tagged", "put_if_same"):
            patch.setattr(world.objects, name, never, raising=False)
        assert region.call() == region.call()
    world.transit.version = 2
    region.call()
    assert versions(world) == ["v2"] * 3


def test_a_damaged_key_keeps_a_version_from_being_done_with_and_is_looked_at_hourly(
    world: World, region: Region, collections: list[Collection]
) -> None:
    region.settled()
    (key,) = world.keys(collections[0], "keys")
    whole = world.objects.objects[key]
    forge(world, key)
    world.transit.version = 2
    assert region.settled().behind == 1
    gets = world.objects.gets
    world.time.advance(AGAIN_SECONDS - 1)
    assert region.call().behind == 1
    assert world.objects.gets == gets, "not yet"
    world.objects.put(key, whole)
    world.time.advance(1)
    assert region.call().done
    assert versions(world) == ["v2"] * 3


def test_without_vault_it_is_503_and_goes_on_where_it_was(world: World, region: Region) -> None:
    region.settled()
    world.transit.version = 2
    region.call(enough=lambda: True)
    world.transit.away = True
    with pytest.raises(Problem, match="key_unavailable"):
        region.call()
    world.transit.away = False
    world.transit.calls.clear()
    region.call()
    assert len(world.transit.calls) == 2


def test_of_two_calls_at_once_neither_undoes_the_other(world: World, region: Region) -> None:
    region.settled()
    world.transit.version = 2
    inner: list[Progress] = []

    def meanwhile() -> bool:
        if not inner:
            inner.append(region.call())
        return False

    region.call(enough=meanwhile)
    assert versions(world) == ["v2"] * 3
    assert region.settled().done
