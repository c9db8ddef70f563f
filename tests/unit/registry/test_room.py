"""What the searches of a process hold at a time, however many records a tenant has."""

from collections import Counter
from collections.abc import Callable

import pytest

from anfl.problems import Problem
from anfl.registry.registry import Registry
from anfl.registry.room import Room
from anfl.registry.search import ModelPage, Search, VersionPage
from tests.unit.registry.test_models import version

NAMES = [f"m{number}" for number in range(8)]
Find = Callable[[Search], ModelPage | VersionPage]


def versions(search: Search, *, where: str = "", order_by: str = "last_updated_timestamp DESC") -> VersionPage:
    return search.versions("acme", where=where, order_by=[order_by], limit=2, token=None)


def models(search: Search, *, where: str = "", order_by: str = "timestamp") -> ModelPage:
    return search.models("acme", where=where, order_by=[order_by], limit=2, token=None)


HOLD_ALL: dict[str, Find] = {
    "models by time": models,
    "versions": versions,
    "versions in the order of names": lambda search: versions(search, order_by="name"),
    "versions by a tag": lambda search: versions(search, where="tags.k LIKE 'm%'"),
    "versions of models of which few are named": lambda search: versions(search, where="name LIKE 'm%'"),
    "versions of named models": lambda search: versions(search, where=f"name IN ({str(NAMES)[1:-1]})"),
}
HOLD_FEW: dict[str, Find] = {
    "models by name": lambda search: models(search, order_by="name"),
    "one model": lambda search: models(search, where="name = 'm3'"),
    "versions of one": lambda search: versions(search, where="name = 'm3'"),
    "versions of a run": lambda search: versions(search, where="run_id = 'm3'"),
}


@pytest.fixture(name="filled")
def _filled(registry: Registry) -> Registry:
    for name in NAMES:
        registry.models.create("acme", name, by="ana", description="x" * 1000)
        version(registry, "acme", name, tags={"k": name}, run_id=name, description="x" * 1000)
    return registry


@pytest.mark.parametrize("kept", [0, 10**6])
@pytest.mark.parametrize("name", HOLD_ALL)
def test_a_search_that_would_hold_too_much_is_refused(filled: Registry, name: str, kept: int) -> None:
    search = Search(filled.records, max_bytes=kept, room=Room(most_of_one=10_000))
    for _ in range(2):
        with pytest.raises(Problem) as caught:
            HOLD_ALL[name](search)
        assert (caught.value.status, caught.value.code) == (400, "invalid_parameter_value")
    for find in HOLD_FEW.values():
        find(search)


@pytest.mark.parametrize("kept", [0, 10**6])
@pytest.mark.parametrize("name", HOLD_ALL)
def test_what_searches_hold_they_give_back(filled: Registry, name: str, kept: int) -> None:
    room = Room(most=10_000, small=5_000)
    search = Search(filled.records, max_bytes=kept, room=room)
    for _ in range(2):
        with pytest.raises(Problem) as caught:
            HOLD_ALL[name](search)
        assert (caught.value.status, caught.value.retry_after) == (503, 1)
    assert not room._taken
    wide = Room(most=60_000)
    search = Search(filled.records, max_bytes=kept, room=wide)
    for _ in range(5):
        HOLD_ALL[name](search)
    assert not wide._taken


def test_small_searches_find_room_beside_large_ones(filled: Registry) -> None:
    room = Room(most=10_000, small=5_000)
    search = Search(filled.records, max_bytes=0, room=room)
    with room.share("other") as large:
        large.hold(["x" * 9000])
        for find in HOLD_FEW.values():
            find(search)


def test_a_tenant_that_keeps_large_searches_running_leaves_room_to_others(filled: Registry) -> None:
    room = Room(most=40_000, most_of_tenant=20_000, small=1_000)
    search = Search(filled.records, max_bytes=0, room=room)
    with room.share("other") as one, room.share("other") as two:
        one.hold(["x" * 15_000])
        with pytest.raises(Problem) as caught:
            two.hold(["x" * 15_000])
        assert (caught.value.status, caught.value.retry_after) == (429, 1)
        two.hold(["x" * 100])
        assert [model.name for model, _ in models(search).models]
    assert not room._taken


def test_of_listed_names_no_more_are_read_than_are_shown(registry: Registry, calls: Counter[str]) -> None:
    listed = ", ".join(f"'n{number:03}'" for number in range(250))
    for number in range(3):
        registry.models.create("acme", f"n{number:03}", by="ana")
    calls.clear()
    page = registry.search.models("acme", where=f"name IN ({listed})", order_by=[], limit=2, token=None)
    assert [model.name for model, _ in page.models] == ["n000", "n001"]
    assert dict(calls) == {"BatchGetItem": 1}
