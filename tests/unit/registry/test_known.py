"""Versions that a process has read before: what a search reads again, and that it never shows what was."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from threading import Barrier
from time import sleep
from typing import Any

import pytest

from anfl.registry import glances, ordering, traces
from anfl.registry.candidates import MAX_ENUMERATED
from anfl.registry.entities import PROMPT_TAG
from anfl.registry.families import SETTLE_MILLISECONDS, size_of
from anfl.registry.filters import Filter
from anfl.registry.known import MAX_AGE_MILLISECONDS, Known
from anfl.registry.registry import Registry
from anfl.registry.search import Search
from anfl.registry.table import Revisions
from tests.unit.registry.conftest import TABLE, Time, items, past_the_registry
from tests.unit.registry.test_models import version

SETTLE = SETTLE_MILLISECONDS / 1000
NAMES = [f"m{number:02}" for number in range(8)]
ALL = Filter(comparisons=(), prompts=False)


@pytest.fixture(autouse=True)
def _few_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than these are read all together."""
    monkeypatch.setattr("anfl.registry.known.MAX_CHANGED", len(NAMES) - 1)


def shown(search: Search, where: str = "", tenant: str = "acme") -> list[tuple[str, int]]:
    page = search.versions(tenant, where=where, order_by=["name", "version_number"], limit=1000, token=None)
    return [(of.model.name, of.version.number) for of in page.versions]


@pytest.fixture(name="other")
def _other(process: Callable[[Time], Registry], time: Time) -> Registry:
    """Another process, which has made a model for each name, with one version; a while ago."""
    other = process(time)
    for name in NAMES:
        other.models.create("acme", name, by="ana")
        version(other, "acme", name, tags={"k": name})
    time.now += SETTLE
    return other


@pytest.fixture(name="registry")
def _registry(process: Callable[[Time], Registry], time: Time) -> Registry:
    return process(time)


def test_only_versions_of_models_that_changed_are_read_again(
    registry: Registry, other: Registry, calls: Counter[str], time: Time
) -> None:
    def cost(where: str = "") -> dict[str, int]:
        calls.clear()
        shown(registry.search, where)
        return dict(calls)

    everything = {"Query": 2}
    assert cost() == everything
    assert cost("tags.k LIKE '%'") == {"Query": 1}
    other.version_tags.set("acme", "m03", 1, "k", "v", by="ana")
    for _ in range(2):  # what has just changed is read again
        assert cost() == {"Query": 1, "BatchGetItem": 2}
    time.now += SETTLE
    assert cost() == {"Query": 1, "BatchGetItem": 2}
    assert cost() == {"Query": 1}
    for name in NAMES:
        other.models.describe("acme", name, "changed", by="ana")
    time.now += SETTLE
    assert cost() == {"Query": 3}
    assert cost() == {"Query": 1}
    time.now += MAX_AGE_MILLISECONDS / 1000
    assert cost() == everything


@pytest.mark.usefixtures("other")
def test_all_is_read_from_the_second_search_on(registry: Registry, calls: Counter[str]) -> None:
    """Of the first one's, DynamoDB leaves out what cannot match: where that is everything, models are not read."""
    costs = []
    for _ in range(3):
        calls.clear()
        assert shown(registry.search, "tags.k LIKE '%nothing'") == []
        costs.append(dict(calls))
    assert costs == [{"Query": 1}, {"Query": 2}, {"Query": 1}]


def test_of_no_wanted_name_no_version_is_read(
    registry: Registry, other: Registry, calls: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names stand in the keys of models, of which a search reads all anyway: no document is needed for them."""

    def cost(where: str) -> dict[str, int]:
        calls.clear()
        assert shown(registry.search, where) == []
        return dict(calls)

    for _ in range(4):
        assert cost("name ILIKE '%nothing'") == {"Query": 1}
    shown(registry.search)
    for name in NAMES:
        other.version_tags.set("acme", name, 1, "k", "changed", by="ana")
    read: list[str] = []

    def reading(documents: Sequence[str]) -> dict[str, Any]:
        read.extend(documents)
        return {}

    with monkeypatch.context() as patched:
        for reader in ("standings", "owners", "versions"):
            patched.setattr(glances, reader, reading)
        for where in ("name LIKE '%nothing'", "name ILIKE '%nothing' AND tags.k = 'changed'"):
            assert cost(where) == {"Query": 1}
    assert read == []
    assert shown(registry.search, "name ILIKE '%3' AND tags.k = 'changed'") == [("m03", 1)]
    other.models.rename("acme", "m03", "nothing", by="ana")
    assert shown(registry.search, "name LIKE '%nothing'") == [("nothing", 1)]


def test_only_documents_that_can_match_are_read(
    registry: Registry, other: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    versions = glances.versions

    def counted(documents: Sequence[str]) -> list[glances.Glance]:
        read.append(len(documents))
        return versions(documents)

    monkeypatch.setattr(glances, "versions", counted)
    search = registry.search
    shown(search, "name ILIKE '%nothing'")
    for change in ("a", "b"):
        for where in (
            "tags.k LIKE '%nothing'",
            "tags.k ILIKE '%NOTHING'",
            "name LIKE 'nothing%'",
            "version_number > 1",
            "version_number < 1",
            "tags.none != 'a'",
        ):
            assert shown(search, where) == []
        other.version_tags.set("acme", "m03", 1, "k", change, by="ana")
    assert sum(read) == 0
    assert shown(search, "tags.k = 'b'") == [("m03", 1)]


def test_texts_are_looked_for_in_what_changed_alone(
    registry: Registry, other: Registry, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(20):
        version(other, "acme", "m07")
    time.now += SETTLE
    asked: list[int] = []
    holding = traces.holding

    def counted(documents: Sequence[str], condition: Filter) -> Sequence[str]:
        asked.append(len(documents))
        return holding(documents, condition)

    where = "tags.k ILIKE '%NEW'"
    for _ in range(2):
        assert shown(registry.search, where) == []
    monkeypatch.setattr(traces, "holding", counted)
    for number in range(2, 13):
        version(other, "acme", "m03", tags={"k": "new"})
        assert shown(registry.search, where) == [("m03", each) for each in range(2, number + 1)]
    other.versions.delete("acme", "m03", 11, by="ana")
    other.version_tags.set("acme", "m03", 2, "k", "old", by="ana")
    other.models.rename("acme", "m03", "z", by="ana")
    version(other, "acme", "m00", tags={"k": "new"})
    other.models.create("acme", "m", by="ana")
    version(other, "acme", "m", tags={"k": "new"})
    left = [("z", number) for number in (*range(3, 11), 12)]
    assert shown(registry.search, where) == [("m", 1), ("m00", 2), *left]
    other.models.delete("acme", "z", by="ana")
    assert shown(registry.search, where) == [("m", 1), ("m00", 2)]
    assert 0 < max(asked) < 20


def test_a_model_of_many_versions_is_asked_for_them(
    registry: Registry, other: Registry, calls: Counter[str], time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anfl.registry.known.FEW", 2)
    monkeypatch.setattr("anfl.registry.known.MAX_ASKED", 2)
    shown(registry.search)

    def cost(*many: str) -> dict[str, int]:
        for name in many:
            for _ in range(3):
                version(other, "acme", name)
        other.versions.delete("acme", many[0], 2, by="ana")
        time.now += SETTLE
        calls.clear()
        found = shown(registry.search)
        cost = dict(calls)
        assert found == shown(Search(registry.records))
        assert [number for name, number in found if name == many[0]] == [1, 3, 4]
        return cost

    assert cost("m00", "m01") == {"Query": 3, "BatchGetItem": 1}
    assert cost("m02", "m03", "m04") == {"Query": 3, "BatchGetItem": 1}, "that they are too many it learns first"


def test_versions_read_by_number_leave_out_those_that_are_gone(registry: Registry, other: Registry) -> None:
    shown(registry.search)
    for _ in range(2):
        version(other, "acme", "m03")
    other.versions.delete("acme", "m03", 2, by="ana")
    assert [number for name, number in shown(registry.search) if name == "m03"] == [1, 3]


def test_what_is_read_again_and_is_the_same_need_not_be_put_in_order_again(
    registry: Registry, other: Registry, time: Time
) -> None:
    known = Known(registry.records, max_bytes=10**6, clock=time.milliseconds)
    known.families("acme", ALL)
    other.version_tags.set("acme", "m03", 1, "k", "v", by="ana")
    first = known.families("acme", ALL)
    assert known.families("acme", ALL) is first
    time.now += SETTLE
    assert known.families("acme", ALL) is first
    other.version_tags.set("acme", "m03", 1, "k", "w", by="ana")
    assert known.families("acme", ALL) is not first


@pytest.mark.parametrize("late", [SETTLE / 2, MAX_AGE_MILLISECONDS / 1000])
def test_a_version_that_arrives_after_its_model_from_another_region_is_seen(
    registry: Registry, other: Registry, dynamodb: Any, time: Time, late: float
) -> None:
    """Global tables replicate item by item; at the latest, all is read again."""
    (place,) = (item for item in items(dynamodb) if item["pk"]["S"] == "acme#versions" and '"k":"m03"' in str(item))
    other.version_tags.set("acme", "m03", 1, "k", "new", by="ana")
    (arrived,) = (item for item in items(dynamodb) if item["sk"] == place["sk"] and item["pk"] == place["pk"])
    with past_the_registry(dynamodb):
        dynamodb.put_item(TableName=TABLE, Item=place)
        assert shown(registry.search, "tags.k = 'new'") == []
        time.now += late
        shown(registry.search)
        dynamodb.put_item(TableName=TABLE, Item=arrived)
    time.now += 0 if late < SETTLE else late + 1
    assert shown(registry.search, "tags.k = 'new'") == [("m03", 1)]


def test_of_a_model_that_stands_in_two_pages_the_later_one_counts() -> None:
    """It was renamed after the first of them was read."""
    pages = [("a", "x", 1), ("b", "y", 1), ("z", "x", 2)]
    stored = [{"sk": {"S": name}, "id": {"S": key}, "revision": {"N": str(number)}} for name, key, number in pages]
    revisions = Revisions(stored)
    assert revisions.by_id == {"x": "2", "y": "1"}
    assert revisions.sort_keys({"x", "y"}) == {"x": "z", "y": "b"}


def test_what_others_change_is_seen_at_once(registry: Registry, other: Registry) -> None:
    assert shown(registry.search) == [(name, 1) for name in NAMES]
    other.models.rename("acme", "m03", "z", by="ana")
    assert shown(registry.search)[-1] == ("z", 1)
    assert ("m03", 1) not in shown(registry.search)
    other.models.delete("acme", "m04", by="ana")
    other.models.create("acme", "m04", by="ana")
    assert "m04" not in [name for name, _ in shown(registry.search)]
    version(other, "acme", "m04")
    version(other, "acme", "m04")
    other.versions.delete("acme", "m04", 1, by="ana")
    assert [(name, number) for name, number in shown(registry.search) if name == "m04"] == [("m04", 2)]
    other.version_tags.set("acme", "m05", 1, "k", "x" * 9_000 + "y", by="ana")
    assert shown(registry.search, "tags.k LIKE '%y'") == [("m05", 1)]
    other.version_tags.set("acme", "m06", 1, PROMPT_TAG, "true", by="ana")
    assert "m06" not in [name for name, _ in shown(registry.search)]
    assert shown(registry.search, f"tags.`{PROMPT_TAG}` = 'true'") == [("m06", 1)]
    other.version_tags.delete("acme", "m06", 1, PROMPT_TAG, by="ana")
    assert ("m06", 1) in shown(registry.search)


def test_a_tenant_of_too_many_versions_is_read_each_time(
    registry: Registry, other: Registry, calls: Counter[str]
) -> None:
    search = Search(registry.records, max_bytes=2000)
    for _ in range(2):
        assert shown(search) == [(name, 1) for name in NAMES]
    calls.clear()
    other.models.delete("acme", "m00", by="ana")
    calls.clear()
    assert shown(search) == [(name, 1) for name in NAMES[1:]]
    assert dict(calls) == {"Query": 2}


def test_a_tenant_that_has_fewer_again_is_kept_again(
    registry: Registry, other: Registry, calls: Counter[str], time: Time
) -> None:
    search = Search(registry.records, max_bytes=8000, clock=time.milliseconds)
    shown(search)
    for name in NAMES[2:]:
        other.models.delete("acme", name, by="ana")
    time.now += MAX_AGE_MILLISECONDS / 1000
    shown(search)
    time.now += 1
    calls.clear()
    assert shown(search) == [(name, 1) for name in NAMES[:2]]
    assert dict(calls) == {"Query": 1}


@pytest.mark.parametrize("large", ["models", "versions"])
def test_of_what_changed_no_more_is_read_than_is_kept(
    registry: Registry, other: Registry, calls: Counter[str], time: Time, large: str
) -> None:
    """However large records have become meanwhile."""
    search = Search(registry.records, max_bytes=100_000, clock=time.milliseconds)
    shown(search)
    for name in NAMES[:5]:
        if large == "models":
            other.models.describe("acme", name, "x" * 100_000, by="ana")
        else:
            other.versions.describe("acme", name, 1, "x" * 100_000, by="ana")
    calls.clear()
    assert shown(search) == [(name, 1) for name in NAMES]
    calls.clear()
    shown(search)
    assert dict(calls) == {"Query": 2}


def test_tenants_that_did_not_search_for_long_make_way(
    registry: Registry, other: Registry, calls: Counter[str], time: Time
) -> None:
    for tenant in ("b", "c"):
        other.models.create(tenant, "m", by="ana")
        other.versions.create(tenant, "m", source="s", location="s", description="x" * 10_000, by="ana")
    time.now += SETTLE
    search = Search(registry.records, max_bytes=32_000, clock=time.milliseconds)
    for tenant, versions in (("b", 1), ("acme", len(NAMES)), ("c", 1)):
        assert len(shown(search, tenant=tenant)) == versions
    costs = {}
    for tenant in ("c", "acme", "b"):
        calls.clear()
        shown(search, tenant=tenant)
        costs[tenant] = calls["Query"]
    assert costs == {"c": 1, "acme": 1, "b": 2}


def test_searches_at_the_same_time_find_the_same(registry: Registry, other: Registry) -> None:
    with ThreadPoolExecutor(8) as pool:
        expected = [(name, 1) for name in NAMES]
        assert all(found == expected for found in pool.map(lambda _: shown(registry.search), range(16)))
        for name in NAMES:
            version(other, "acme", name)
        expected = [(name, number) for name in NAMES for number in (1, 2)]
        assert all(found == expected for found in pool.map(lambda _: shown(registry.search), range(16)))


@pytest.mark.parametrize("reason", ["first", "old", "changed"])
def test_who_comes_while_all_is_read_waits_for_it(
    registry: Registry, other: Registry, time: Time, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    """Each by itself would hold all there is, and ask the table for it."""
    if reason != "first":
        shown(registry.search)
    if reason == "old":
        time.now += MAX_AGE_MILLISECONDS / 1000
    if reason == "changed":
        for name in NAMES:
            other.models.describe("acme", name, "changed", by="ana")
    time.now += SETTLE
    together, read = Barrier(6), list[str]()
    really = Known._anew

    def anew(self: Known, tenant: str, named: Filter) -> Any:
        read.append(tenant)
        sleep(0.3)
        return really(self, tenant, named)

    def search(_: int) -> list[tuple[str, int]]:
        together.wait()
        return shown(registry.search)

    monkeypatch.setattr(Known, "_anew", anew)
    with ThreadPoolExecutor(6) as pool:
        assert all(found == [(name, 1) for name in NAMES] for found in pool.map(search, range(6)))
    assert read == ["acme"]


def test_a_filter_that_names_very_many_models_or_runs_costs_no_call_for_each(
    registry: Registry, other: Registry, calls: Counter[str], time: Time
) -> None:
    for number in range(2, 4):
        version(other, "acme", "m00", run_id=f"r{number}")
    time.now += SETTLE
    shown(registry.search)
    calls.clear()
    many = [*NAMES, *(f"no{number}" for number in range(MAX_ENUMERATED))]
    for attribute, listed in {"name": many, "run_id": [f"r{number}" for number in range(3 * MAX_ENUMERATED)]}.items():
        found = shown(registry.search, f"{attribute} IN ({', '.join(map(repr, listed))})")
        assert found == {"name": [("m00", 1), ("m00", 2), ("m00", 3), *((n, 1) for n in NAMES[1:])]}.get(
            attribute, [("m00", 2), ("m00", 3)]
        )
    assert dict(calls) == {"Query": 2}


def test_a_run_that_made_versions_of_very_many_models_costs_no_call_for_each(
    registry: Registry, other: Registry, calls: Counter[str], time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anfl.registry.candidates.MAX_ENUMERATED", 3)
    for name in NAMES[:4]:
        version(other, "acme", name, run_id="r")
    time.now += SETTLE
    expected = [(name, 2) for name in NAMES[:4]]
    for search in (registry.search, registry.search, Search(registry.records, max_bytes=0)):
        assert shown(search, "run_id = 'r'") == expected
    calls.clear()
    assert shown(registry.search, "run_id = 'r'") == expected
    assert dict(calls) == {"Query": 2}


@pytest.mark.usefixtures("other")
def test_callers_cannot_have_a_process_remember_ever_more(registry: Registry) -> None:
    """Each order and each set of values takes memory, and there are hundreds of orders."""
    fields = ["name", "version_number", "creation_timestamp", "last_updated_timestamp"]
    families = Known(registry.records, max_bytes=10**6)
    for _ in range(2):
        for order in permutations(fields):
            page = registry.search.versions("acme", where="tags.k != 'x'", order_by=order, limit=99, token=None)
            assert len(page.versions) == len(NAMES)
            kept = families.families("acme", ALL)
            assert kept is not None
            kept.in_order(ordering.parse(order, keys=ordering.VERSION_KEYS, ties=()), prompts=False)
    assert kept is not None
    assert kept.remembered() <= 12


def test_what_is_kept_after_changes_is_weighed_as_what_is_read_anew(
    registry: Registry, other: Registry, time: Time
) -> None:
    def weight(kept: Known) -> int:
        families = kept.families("acme", ALL)
        assert families is not None
        return families.size

    known = Known(registry.records, max_bytes=10**9, clock=time.milliseconds)
    weight(known)
    for number in range(3):
        other.models.describe("acme", f"m0{number}", "changed", by="ana")
        version(other, "acme", f"m0{number}")
        time.now += SETTLE
        weight(known)
    other.models.delete("acme", "m07", by="ana")
    again = Known(registry.records, max_bytes=10**9, clock=time.milliseconds)
    assert weight(known) == weight(again)


def test_a_document_is_weighed_by_its_widest_character() -> None:
    assert size_of(["x" * 1000 + "\U0001f600"]) > 4000 > size_of(["x" * 1000])


def test_tenants_that_searched_long_ago_are_forgotten(
    registry: Registry, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those that have nothing."""
    monkeypatch.setattr("anfl.registry.known._REMEMBERED", 3)
    known = Known(registry.records, max_bytes=10**9, clock=time.milliseconds)
    for number in range(5):
        known.families(f"t{number}", ALL)
    assert [known.is_met(f"t{number}") for number in (2, 3, 4, 0)] == [True, True, True, False]
