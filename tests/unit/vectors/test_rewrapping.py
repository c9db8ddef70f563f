"""Wrapped keys that move to another version of the wrapping key, while nobody notices."""

from collections.abc import Callable

import pytest

from anfl.problems import Problem
from anfl.vectors.model import Collection
from anfl.vectors.rewrapping import Rewrapping
from anfl.vectors.sealing import packed, unpacked
from tests.unit.vectors.builders import upsert
from tests.unit.vectors.test_sealing import NAMES, WORDS, World, alter, forge, ids
from tests.unit.vectors.test_store import code_of


@pytest.fixture(name="world")
def _world(session: object) -> World:
    return World(session)  # type: ignore[arg-type]


@pytest.fixture(name="collections")
def _collections(world: World) -> list[Collection]:
    """Three, each with a key."""
    store = world.node()
    made = [store.create(*each)[0] for each in (("demo", WORDS), ("demo", NAMES), ("acme", WORDS))]
    for each in made:
        store.write(each.tenant, each.name, upsert(("a", (1, 1))))
    return made


def rewrapping(world: World) -> Rewrapping:
    return Rewrapping(world.objects, world.transit, world.transit)


def versions(world: World) -> list[str]:
    keys = [key for key in world.objects.objects if "/keys/" in key]
    return [unpacked(key, world.objects.objects[key]).split(":")[1] for key in keys]


@pytest.mark.usefixtures("collections")
def test_all_keys_move_and_nothing_else_is_touched(world: World) -> None:
    before = {key: body for key, body in world.objects.objects.items() if "/keys/" not in key}
    world.transit.version = 2
    world.transit.calls.clear()
    found = rewrapping(world).turn()
    assert (found.active, found.moved, found.kept, found.remaining, found.damaged) == (2, 3, 0, 0, [])
    assert found.after is None
    assert versions(world) == ["v2"] * 3
    assert set(world.transit.calls) == {"rewrap"}, "nobody but Vault sees a key"
    assert before.items() <= world.objects.objects.items()
    again = rewrapping(world).turn()
    assert (again.moved, again.kept) == (0, 3)


@pytest.mark.usefixtures("collections")
def test_then_earlier_versions_can_be_retired(world: World) -> None:
    world.transit.version = 2
    rewrapping(world).turn()
    world.transit.forget(1)
    node = world.node()
    assert ids(node) == ids(node, "names") == ids(node, "words", "acme") == ["a"]
    assert node.write("demo", "words", upsert(("b", (2, 2)))).upserted == 1


@pytest.mark.usefixtures("collections")
@pytest.mark.parametrize("retired", [False, True])
def test_a_damaged_key_comes_back_under_the_version_to_which_it_was_moved(world: World, *, retired: bool) -> None:
    """Vault may not open the one from before any more, and nobody would look again whether it was moved."""
    world.transit.version = 2
    rewrapping(world).turn()
    if retired:
        world.transit.forget(1)
    for key in [key for key in world.objects.objects if "/keys/" in key]:
        world.objects.put(key, b"damaged")
    node = world.node()
    assert ids(node) == ids(node, "names") == ids(node, "words", "acme") == ["a"]
    assert versions(world) == ["v2"] * 3


@pytest.mark.usefixtures("collections")
def test_before_it_is_done_they_cannot(world: World) -> None:
    world.transit.version = 2
    rewrapping(world).turn(enough=lambda: True)
    world.transit.forget(1)
    assert sorted(versions(world)) == ["v1", "v1", "v2"]
    assert code_of(lambda: ids(world.node(), "names")) == (503, "key_unavailable")


@pytest.mark.usefixtures("collections")
def test_a_turn_goes_on_where_the_one_before_ended(world: World) -> None:
    world.transit.version = 2
    after: str | None = ""
    turns = []
    while after is not None:
        turns.append(rewrapping(world).turn(after=after, enough=lambda: True))
        after = turns[-1].after
    assert [turn.moved for turn in turns] == [1, 1, 1]
    assert versions(world) == ["v2"] * 3


@pytest.mark.usefixtures("collections")
@pytest.mark.parametrize("calls", range(1, 9))
def test_killed_anywhere_nothing_is_lost_and_the_next_one_ends_it(world: World, calls: int) -> None:
    world.transit.version = 2
    left = iter(range(calls))

    def dies(method: Callable[..., object]) -> Callable[..., object]:
        def call(*given: object, **named: object) -> object:
            if next(left, None) is None:
                raise KeyboardInterrupt
            return method(*given, **named)

        return call

    one = rewrapping(world)
    for name in ("list", "get_tagged", "put_if_same"):
        setattr(world.objects, name, dies(getattr(world.objects, name)))
    with pytest.raises(KeyboardInterrupt):
        one.turn()
    for name in ("list", "get_tagged", "put_if_same"):
        delattr(world.objects, name)
    assert ids(world.node()) == ["a"]
    rewrapping(world).turn()
    assert versions(world) == ["v2"] * 3


@pytest.mark.parametrize("befall", [alter, forge])
def test_a_damaged_key_is_told_and_left_alone(
    world: World, collections: list[Collection], befall: Callable[[World, str], None]
) -> None:
    (key,) = world.keys(collections[0], "keys")
    befall(world, key)
    damaged = world.objects.objects[key]
    world.transit.version = 2
    found = rewrapping(world).turn()
    assert (found.moved, found.damaged) == (2, [key])
    assert world.objects.objects[key] == damaged


def test_who_changed_a_key_meanwhile_is_not_overwritten(world: World, collections: list[Collection]) -> None:
    (key,) = world.keys(collections[0], "keys")
    rewrap = world.transit.rewrap
    other = packed(key, rewrap(unpacked(key, world.objects.objects[key]), key, version=3))

    def slowly(wrapped: str, context: str, *, version: int) -> str:
        if context == key:
            world.objects.objects[key] = other
        return rewrap(wrapped, context, version=version)

    world.transit.rewrap = slowly  # type: ignore[method-assign]
    world.transit.version = 2
    found = rewrapping(world).turn()
    assert (found.moved, found.kept, found.remaining) == (2, 1, 0)
    assert world.objects.objects[key] == other


@pytest.mark.usefixtures("collections")
def test_without_vault_it_is_503_and_nothing_has_changed(world: World) -> None:
    world.transit.version = 2
    world.transit.away = True
    before = dict(world.objects.objects)
    with pytest.raises(Problem, match="key_unavailable"):
        rewrapping(world).turn()
    assert world.objects.objects == before


def test_a_collection_that_is_deleted_meanwhile_is_no_error(world: World, collections: list[Collection]) -> None:
    store = world.node()
    rewrap = world.transit.rewrap

    def slowly(wrapped: str, context: str, *, version: int) -> str:
        if "names" in context:
            store.delete("demo", "names")
        return rewrap(wrapped, context, version=version)

    world.transit.rewrap = slowly  # type: ignore[method-assign]
    world.transit.version = 2
    found = rewrapping(world).turn()
    assert (found.moved, found.remaining, found.damaged) == (2, 0, [])
    assert not [key for key in world.objects.objects if key.startswith(collections[1].prefix)]
