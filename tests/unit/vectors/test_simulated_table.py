"""The simulator's table answers as DynamoDB does, where nothing goes wrong: both are asked the same."""

import random
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import boto3
import pytest

from anfl.problems import Problem
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.declarations import patched
from anfl.vectors.hints import DynamoHints
from anfl.vectors.model import Collection, CollectionSettings
from anfl.vectors.requests import CollectionPatch, IndexPatch
from tests.fault.simulation.table import Table
from tests.fault.simulation.world import Weather, World
from tests.unit.vectors.builders import collection
from tests.unit.vectors.importing import TABLE

NAMES = ["a", "b", "c", "d"]


def answer(call: Callable[[], Any]) -> Any:
    """What a caller sees, but for what is drawn at random."""
    try:
        found = call()
    except Problem as problem:
        return problem.status, problem.code
    if isinstance(found, tuple):
        return found[0].settings, found[1]
    if isinstance(found, Collection):
        return found.settings
    return [each.settings if isinstance(each, Collection) else each for each in found or ()]


def drawn(dice: random.Random) -> Callable[[Catalogue], Any]:
    """A call."""
    name, other = dice.choice(NAMES), dice.choice(NAMES)
    size = dice.randint(1, 4)
    patch = CollectionPatch(index=IndexPatch(ef_search=dice.randint(10, 500)))
    calls: list[Callable[[Catalogue], Any]] = [
        lambda at: at.create("demo", CollectionSettings(name=name, dimension=size)),
        lambda at: at.get("demo", name),
        lambda at: at.find("demo", name),
        lambda at: [at.set_alias("demo", name, other)],
        lambda at: at.delete_alias("demo", name),
        lambda at: at.aliases("demo", limit=size)[0],
        lambda at: at.collections("demo", limit=size, after=name)[0],
        lambda at: at.change("demo", name, lambda before: patched(before, patch)),
        lambda at: at.delete(at.find("demo", name)),
        lambda at: at.aliases_of(at.find("demo", name)),
        lambda at: at.take_alias(at.find("demo", name), other),
        lambda at: at.add(collection(name=name)),
    ]
    return dice.choice(calls)


def test_it_is_asked_and_answers_as_the_real_one(session: boto3.session.Session) -> None:
    world = World(1, Weather())
    simulated = Table(world)
    real = session.resource("dynamodb").Table(TABLE)
    dice = random.Random(5)
    for number in range(300):
        call = drawn(dice)
        answers = [answer(partial(call, Catalogue(cast("Any", table)))) for table in (simulated, real)]
        assert answers[0] == answers[1], number
    hints = [DynamoHints(cast("Any", table), now=iter(range(0, 1000, 10)).__next__) for table in (simulated, real)]
    for sequence in (3, 7, 5):
        for each in hints:
            each.note(collection(), sequence)
    world.sleep(60.0)  # hints are read as they were a moment ago
    assert [each.last(collection()) for each in hints] == [7, 7]


@pytest.mark.parametrize("fault", ["failed", "is late", "is sent twice", "has no answer"])
def test_every_way_to_fail_is_seen(fault: str) -> None:
    world = World(3, Weather(outages=0.5))
    catalogue = Catalogue(cast("Any", Table(world)))
    for number in range(200):
        answer(partial(catalogue.add, collection(name=f"c{number}")))
    assert any(fault in line for line in world.trace)
