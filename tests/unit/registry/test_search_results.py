"""Searches beside a plain look at everything that there is: what is found, in which order, over all pages."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from anfl.registry import filters, marks
from anfl.registry.entities import PROMPT_TAG, Model, VersionOf
from anfl.registry.filters import Filter
from anfl.registry.marks import DOCUMENT
from anfl.registry.records import model_in, version_in
from anfl.registry.registry import Registry
from anfl.registry.search import Search
from tests.unit.registry.conftest import TABLE, Time, items, past_the_registry

LARGE = "x" * 5000
KEYS = ["k", "l", PROMPT_TAG]
NAMES = st.sampled_from(["bert", "gpt", "Bär", "b%"])
TAGS = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(["a", "b", "true", LARGE]), max_size=3)
Step = tuple[str, str, int, dict[str, str], int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["version", "version", "tag model", "tag version", "untag", "rename", "delete version"]),
        NAMES,
        st.integers(1, 3),
        TAGS,
        st.integers(0, 1),
    ),
    min_size=5,
    max_size=20,
)
_ON_TAGS = st.builds(
    "tags.`{}` {} '{}'".format,
    st.sampled_from(KEYS),
    st.sampled_from(["=", "=", "=", "!=", "LIKE", "ILIKE"]),
    st.sampled_from(["a", "b", "true", "%", LARGE]),
)
_ON_NAMES = st.sampled_from(["name LIKE 'b%'", "name = 'gpt'", "name IN ('bert', 'Bär', 'no')", "name != 'gpt'"])
_ON_VERSIONS = st.sampled_from(
    ["run_id = 'r1'", "run_id IN ('r1', 'r2')", "run_id != 'r1'", "source_path = 's3://bucket/2'", "version_number > 1"]
)
MODEL_FILTERS = st.lists(_ON_TAGS | _ON_NAMES, max_size=3).map(" AND ".join)
VERSION_FILTERS = st.lists(_ON_TAGS | _ON_NAMES | _ON_VERSIONS, max_size=3).map(" AND ".join)
MODEL_ORDERS = st.sampled_from([[], ["name DESC"], ["timestamp"], ["last_updated_timestamp DESC", "name DESC"]])
VERSION_ORDERS = st.sampled_from(
    [[], ["name DESC"], ["name", "version_number ASC"], ["name", "last_updated_timestamp"], ["creation_timestamp DESC"]]
)
SEARCHES = st.lists(
    st.tuples(MODEL_FILTERS, MODEL_ORDERS, VERSION_FILTERS, VERSION_ORDERS, st.integers(1, 4)), min_size=8, max_size=8
)


def carry_out(registry: Registry, time: Time, steps: Sequence[Step], there: dict[str, set[int]]) -> None:
    """What of the steps is possible, given the numbers of the versions of each model."""
    for kind, name, number, tags, later in steps:
        time.now += later
        numbers = there.get(name)
        if numbers is None:
            registry.models.create("acme", name, tags=tags, by="ana")
            there[name] = set()
        elif kind == "version":
            source = f"s3://bucket/{number}"
            made = registry.versions.create(
                "acme", name, source=source, location=source, run_id=f"r{number}", tags=tags, by="ana"
            )
            numbers.add(made.version.number)
        elif kind == "rename" and f"{name} {number}" not in there:
            registry.models.rename("acme", name, f"{name} {number}", by="ana")
            there[f"{name} {number}"] = there.pop(name)
        elif kind == "tag model":
            for key, value in tags.items():
                registry.model_tags.set("acme", name, key, value, by="ana")
        elif kind == "untag":
            for key in tags:
                registry.model_tags.delete("acme", name, key, by="ana")
                if number in numbers:
                    registry.version_tags.delete("acme", name, number, key, by="ana")
        elif number in numbers and kind == "tag version":
            for key, value in tags.items():
                registry.version_tags.set("acme", name, number, key, value, by="ana")
        elif number in numbers and kind == "delete version":
            registry.versions.delete("acme", name, number, by="ana")
            numbers.remove(number)


def everything(registry: Registry, dynamodb: Any) -> tuple[list[Model], list[VersionOf]]:
    """By the records, one by one."""
    stored = items(dynamodb)
    models = {
        item["id"]["S"]: registry.records.all_tags("acme", model_in(item[DOCUMENT]["S"]))
        for item in stored
        if item["pk"]["S"] == "acme#models"
    }
    versions = [
        registry.records.all_tags("acme", version_in(item[DOCUMENT]["S"]))
        for item in stored
        if item["pk"]["S"] == "acme#versions"
    ]
    return [*models.values()], [VersionOf(model=models[one.model_id], version=one) for one in versions]


class Row(NamedTuple):
    """A model (number 0) or a version, by what it may be ordered by."""

    name: str
    number: int
    creation: int
    updated: int


def expected_models(models: list[Model], where: Filter, orders: Sequence[str]) -> list[str]:
    found = [
        Row(model.name, 0, model.created_at, model.updated_at)
        for model in models
        if where.holds({"name": model.name}, model.tags) and (where.prompts or model.tags.get(PROMPT_TAG) != "true")
    ]
    return [row.name for row in ordered(found, [*orders, "name"])]


def expected_versions(versions: list[VersionOf], where: Filter, orders: Sequence[str]) -> list[tuple[str, int]]:
    prompts = {of.model.id for of in versions if of.version.tags.get(PROMPT_TAG) == "true"}
    found = [
        Row(of.model.name, of.version.number, of.version.created_at, of.version.changed_at(of.model))
        for of in versions
        if where.holds(
            {
                "name": of.model.name,
                "run_id": of.version.run_id,
                "source_path": of.version.source,
                "version_number": of.version.number,
            },
            of.version.tags,
        )
        and (where.prompts or of.model.id not in prompts)
    ]
    ties = ["name", "version_number DESC"]
    return [row[:2] for row in ordered(found, [*(orders or ["last_updated_timestamp DESC"]), *ties])]


def ordered(rows: list[Row], orders: Sequence[str]) -> list[Row]:
    """Sorted by MLflow's keys, the first of which counts most."""
    fields = {"version_number": "number", "creation_timestamp": "creation", "name": "name"}
    for order in reversed(orders):
        key, _, direction = order.partition(" ")
        rows = sorted(rows, key=attrgetter(fields.get(key, "updated")), reverse=direction == "DESC")
    return rows


def paged(search: Callable[..., Any], rows: str, where: str, orders: Sequence[str], limit: int) -> list[Any]:
    """What the pages hold, all but the last full."""
    found: list[Any] = []
    token = None
    while True:
        page = search("acme", where=where, order_by=orders, limit=limit, token=token)
        found += getattr(page, rows)
        token = page.next_token
        if token is None:
            return found
        assert len(getattr(page, rows)) == limit


@settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.generate],  # to shrink takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS, searches=SEARCHES)
def test_searches_find_what_a_plain_look_at_everything_finds(
    process: Callable[[Time], Registry], dynamodb: Any, steps: list[Step], searches: list[Any]
) -> None:
    emptied(dynamodb)
    time = Time()
    there: dict[str, set[int]] = {}
    registry, other = process(time), process(time)
    for start in range(0, len(steps), 4):  # what one process has read, another one changes
        carry_out(other, time, steps[start : start + 4], there)
        assert shown_versions(registry.search, "", [], 3) == expected_of(registry, dynamodb, "", [])
    models, versions = everything(registry, dynamodb)
    stored = [of.version for of in versions]
    for of_models, model_orders, of_versions, version_orders, limit in searches:
        found = paged(registry.search.models, "models", of_models, model_orders, limit)
        where = filters.parse(of_models, filters.MODEL_ATTRIBUTES)
        assert [model.name for model, _ in found] == expected_models(models, where, model_orders), of_models
        for search in (registry.search, Search(registry.records, max_bytes=0)):
            shown = paged(search.versions, "versions", of_versions, version_orders, limit)
            where = filters.parse(of_versions, filters.VERSION_ATTRIBUTES)
            expected = expected_versions(versions, where, version_orders)
            assert [(of.model.name, of.version.number) for of in shown] == expected, of_versions
            assert all(of.version in stored for of in shown)


def shown_versions(search: Search, where: str, orders: Sequence[str], limit: int) -> list[tuple[str, int]]:
    shown = paged(search.versions, "versions", where, orders, limit)
    return [(of.model.name, of.version.number) for of in shown]


def expected_of(registry: Registry, dynamodb: Any, where: str, orders: Sequence[str]) -> list[tuple[str, int]]:
    _, versions = everything(registry, dynamodb)
    return expected_versions(versions, filters.parse(where, filters.VERSION_ATTRIBUTES), orders)


def emptied(dynamodb: Any) -> None:
    with past_the_registry(dynamodb):
        for item in items(dynamodb):
            dynamodb.delete_item(TableName=TABLE, Key={"pk": item["pk"], "sk": item["sk"]})


def handed_over(registry: Registry, where: str) -> list[str]:
    """Sort keys of the models that DynamoDB gives for a filter."""
    only = marks.wanted(filters.parse(where, filters.MODEL_ATTRIBUTES))
    return [sort for sort, _ in registry.records.table.texts("acme#models", DOCUMENT, only=only)]


@pytest.fixture(name="tagged")
def _tagged(registry: Registry) -> Registry:
    for name, tags in {"a": {"k": "a", "l": "a"}, "b": {"k": "zy"}, "c": {"k": LARGE}, "d": {}}.items():
        registry.models.create("acme", name, tags=tags, by="ana")
    return registry


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("tags.k = 'a'", "ac"),  # a large value is read to see whether it is that one
        ("tags.k = 'a' AND tags.l = 'a'", "a"),
        ("tags.k LIKE '%'", "abc"),
        ("tags.k LIKE '__'", "abc"),
        ("tags.k LIKE 'a'", "ac"),
        ("tags.k LIKE 'z%'", "bc"),
        ("tags.k ILIKE 'Z%'", "abc"),
        ("tags.k LIKE '%zy'", "bc"),
        ("tags.l != 'b'", "a"),
        ("tags.none = 'a'", ""),
        ("name != 'a'", "abcd"),
        ("", "abcd"),
    ],
)
def test_dynamodb_hands_over_only_what_can_match(tagged: Registry, where: str, expected: str) -> None:
    assert handed_over(tagged, where) == list(expected)


def test_records_of_an_earlier_release_and_of_very_many_tags_are_found(registry: Registry, dynamodb: Any) -> None:
    """They have no marks: all of them are read, as before."""
    registry.models.create("acme", "old", tags={"k": "v"}, by="ana")
    registry.models.create("acme", "many", tags={f"k{n}": "" for n in range(marks.MAX_TAGS)} | {"k": "v"}, by="ana")
    registry.versions.create("acme", "old", source="s", location="s", tags={"k": "v"}, by="ana")
    with past_the_registry(dynamodb):
        for item in items(dynamodb):
            if item["pk"]["S"].endswith(("#models", "#versions")) and item["sk"]["S"] != "many":
                del item[marks.MARKS]
                dynamodb.put_item(TableName=TABLE, Item=item)
    assert marks.MARKS not in next(item for item in items(dynamodb) if item["sk"]["S"] == "many")
    assert [model.name for model, _ in paged(registry.search.models, "models", "tags.k = 'v'", [], 9)] == [
        "many",
        "old",
    ]
    assert len(paged(registry.search.versions, "versions", "tags.k = 'v' AND source_path = 's'", [], 9)) == 1


def test_a_filter_of_very_many_conditions_is_answered(tagged: Registry) -> None:
    """DynamoDB takes 4 KB of an expression; the rest is decided by the documents."""
    wanted = marks.wanted(filters.parse(conditions := " AND ".join(["tags.k = 'a'"] * 60), filters.MODEL_ATTRIBUTES))
    assert wanted is not None
    assert len(wanted.clause({DOCUMENT: "#t", marks.MARKS: "#f"})[0]) < 4096
    assert [model.name for model, _ in paged(tagged.search.models, "models", conditions, [], 9)] == ["a"]
