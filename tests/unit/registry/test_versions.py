"""Versions: their numbers, stages and deletion, also when several processes write at once."""

import json
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from anfl.problems import Problem
from anfl.registry.entities import Model, Stage, Version
from anfl.registry.marks import DOCUMENT, MARKS, marks
from anfl.registry.records import model_in, version_in
from anfl.registry.registry import Registry
from tests.unit.registry.conftest import items, records
from tests.unit.registry.test_models import SOURCE, refused, version


def consistent(dynamodb: Any) -> None:
    """What must hold of the table at any moment."""
    stored = items(dynamodb)
    versions = {item["sk"]["S"] for item in stored if item["pk"]["S"].endswith("#versions")}
    members: dict[str, list[tuple[str, int]]] = {}
    for item in stored:
        if "#model#" in item["pk"]["S"] and item["sk"]["S"].startswith("stage#"):
            _, stage, number = item["sk"]["S"].split("#")
            members.setdefault(item["pk"]["S"].split("#")[2], []).append((stage, int(number)))
    for item in stored:
        if item["pk"]["S"].endswith("#versions"):
            assert item[MARKS]["S"] == marks(version_in(item[DOCUMENT]["S"]))
        if not item["pk"]["S"].endswith("#models"):
            continue
        assert item[MARKS]["S"] == marks(model_in(item[DOCUMENT]["S"]))
        model_id, model = item["id"]["S"], json.loads(item["document"]["S"])
        numbers = {int(key.split("#")[1]) for key in versions if key.startswith(model_id)}
        assert {*model["aliases"].values()} <= numbers
        assert {number for _, number in members.get(model_id, [])} == numbers
        assert len(members.get(model_id, [])) == len(numbers)
        highest: dict[str, int] = {}
        for stage, number in members.get(model_id, []):
            highest[stage] = max(number, highest.get(stage, 0))
        assert model["latest"] == highest
        assert model["last_version"] >= max(numbers, default=0)


def test_sixteen_writers_in_four_processes_get_every_number_once(
    process: Callable[[], Registry], dynamodb: Any
) -> None:
    processes = [process() for _ in range(4)]
    processes[0].models.create("acme", "bert", by="ana")
    start = threading.Barrier(16)

    def write(writer: int) -> list[int]:
        start.wait()
        return [version(processes[writer % 4], "acme", "bert", tags={"writer": str(writer)}) for _ in range(2)]

    with ThreadPoolExecutor(16) as pool:
        numbers = [number for mine in pool.map(write, range(16)) for number in mine]
    assert sorted(numbers) == list(range(1, 33))
    consistent(dynamodb)


def test_numbers_are_never_given_again_while_the_model_exists(registry: Registry) -> None:
    registry.models.create("acme", "bert", by="ana")
    assert [version(registry, "acme", "bert") for _ in range(3)] == [1, 2, 3]
    registry.versions.delete("acme", "bert", 3, by="ana")
    assert version(registry, "acme", "bert") == 4


def test_a_version_is_read_as_it_was_created(registry: Registry) -> None:
    registry.models.create("acme", "bert", by="ana")
    tags = {"small": "s", "large": "x" * 90_000, "empty": ""}
    registry.versions.create(
        "acme",
        "bert",
        source="models:/other/1",
        location=SOURCE,
        run_id="r",
        run_link="https://runs/r",
        description="first",
        tags=tags,
        by="ana",
    )
    found = registry.versions.get("acme", "bert", 1).version
    assert found.tags == tags
    assert (found.source, found.location, found.run_id) == ("models:/other/1", SOURCE, "r")
    assert (found.stage, found.description) == (Stage.NONE, "first")


@pytest.mark.parametrize("number", [0, -1, 2, 10**10, 10**30])
def test_versions_that_do_not_exist_are_not_found(registry: Registry, number: int) -> None:
    registry.models.create("acme", "bert", by="ana")
    version(registry, "acme", "bert")
    for call in (
        lambda: registry.versions.get("acme", "bert", number),
        lambda: registry.versions.delete("acme", "bert", number, by="ana"),
        lambda: registry.versions.describe("acme", "bert", number, "x", by="ana"),
        lambda: registry.version_tags.set("acme", "bert", number, "k", "v", by="ana"),
        lambda: registry.stages.transition("acme", "bert", number, Stage.STAGING, by="ana"),
        lambda: registry.aliases.set("acme", "bert", "a", number, by="ana"),
    ):
        detail = refused("resource_does_not_exist", call)
        assert detail == f"Model Version (name=bert, version={number}) not found"


def test_deleting_a_version_takes_its_aliases_tags_and_verdict_along(registry: Registry, dynamodb: Any) -> None:
    registry.models.create("acme", "bert", by="ana")
    version(registry, "acme", "bert", tags={"large": "x" * 90_000})
    before = len(records(dynamodb))
    version(registry, "acme", "bert", tags={"large": "x" * 90_000})
    registry.verdicts.request("acme", registry.versions.get("acme", "bert", 2), by="ana")
    registry.aliases.set("acme", "bert", "champion", 2, by="ana")
    registry.versions.delete("acme", "bert", 2, by="ana")
    registry.outbox.deliver()
    assert len(records(dynamodb)) == before
    model, latest = registry.models.get("acme", "bert")
    assert (model.aliases, [v.number for v in latest]) == ({}, [1])
    consistent(dynamodb)


def test_latest_versions_follow_transitions_and_deletions(registry: Registry, dynamodb: Any) -> None:
    registry.models.create("acme", "bert", by="ana")
    for _ in range(4):
        version(registry, "acme", "bert")
    registry.stages.transition("acme", "bert", 4, Stage.PRODUCTION, by="ana")
    registry.stages.transition("acme", "bert", 2, Stage.PRODUCTION, by="ana")

    def latest() -> dict[str, int]:
        return {str(v.stage): v.number for v in registry.models.get("acme", "bert")[1]}

    assert latest() == {"None": 3, "Production": 4}
    registry.versions.delete("acme", "bert", 4, by="ana")
    assert latest() == {"None": 3, "Production": 2}
    registry.stages.transition("acme", "bert", 3, Stage.ARCHIVED, by="ana")
    assert latest() == {"None": 1, "Production": 2, "Archived": 3}
    consistent(dynamodb)


def test_archiving_moves_every_other_version_of_the_stage_however_many(
    registry: Registry, dynamodb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anfl.registry.stages._MOVES_AT_ONCE", 3)
    registry.models.create("acme", "bert", by="ana")
    for _ in range(9):
        number = version(registry, "acme", "bert")
        if number < 9:
            registry.stages.transition("acme", "bert", number, Stage.STAGING, by="ana")
    moved = registry.stages.transition("acme", "bert", 9, Stage.STAGING, archive_existing=True, by="ana")
    assert moved.version.stage is Stage.STAGING
    found = [registry.versions.get("acme", "bert", number).version for number in range(1, 10)]
    assert [v.stage for v in found] == [Stage.ARCHIVED] * 8 + [Stage.STAGING]
    assert len({v.updated_at for v in found}) == 1
    consistent(dynamodb)


@pytest.mark.parametrize("stage", [Stage.NONE, Stage.ARCHIVED])
def test_archiving_makes_sense_for_active_stages_only(registry: Registry, stage: Stage) -> None:
    registry.models.create("acme", "bert", by="ana")
    version(registry, "acme", "bert")
    detail = refused(
        "invalid_parameter_value",
        registry.stages.transition,
        "acme",
        "bert",
        1,
        stage,
        archive_existing=True,
        by="ana",
    )
    assert f"cannot archive existing model versions because '{stage}' is not an Active stage" in detail


def change(registry: Registry, chance: random.Random, number: int) -> None:
    """Something that happens to versions."""
    match chance.randrange(7):
        case 0:
            version(registry, "acme", "bert", tags={"large": "x" * 9_000})
        case 1:
            registry.versions.delete("acme", "bert", number, by="ana")
        case 2:
            registry.stages.transition("acme", "bert", number, chance.choice(list(Stage)), by="ana")
        case 3:
            registry.stages.transition("acme", "bert", number, Stage.STAGING, archive_existing=True, by="ana")
        case 4:
            registry.aliases.set("acme", "bert", f"a{number}", number, by="ana")
        case 5:
            registry.version_tags.set("acme", "bert", number, "k", "y" * chance.choice([1, 9_000]), by="ana")
        case _:
            registry.models.get("acme", "bert")


def test_concurrent_changes_of_all_kinds_leave_a_consistent_table(
    process: Callable[[], Registry], dynamodb: Any
) -> None:
    processes = [process() for _ in range(3)]
    processes[0].models.create("acme", "bert", by="ana")
    for _ in range(4):
        version(processes[0], "acme", "bert")

    def work(seed: int) -> None:
        chance, registry = random.Random(seed), processes[seed % 3]
        for _ in range(8):
            try:
                change(registry, chance, chance.randint(1, 8))
            except Problem as problem:
                if problem.code != "resource_does_not_exist":
                    raise

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    consistent(dynamodb)
    model, latest = processes[0].models.get("acme", "bert")
    assert isinstance(model, Model)
    assert all(isinstance(v, Version) for v in latest)


OPERATIONS: dict[str, Callable[[Registry], object]] = {
    "create version": lambda registry: version(registry, "acme", "bert", tags={"large": "x" * 9_000}),
    "transition": lambda registry: registry.stages.transition(
        "acme", "bert", 2, Stage.PRODUCTION, archive_existing=True, by="ana"
    ),
    "delete version": lambda registry: registry.versions.delete("acme", "bert", 7, by="ana"),
    "rename": lambda registry: registry.models.rename("acme", "bert", "bert", by="ana"),
    "alias": lambda registry: registry.aliases.set("acme", "bert", "champion", 2, by="ana"),
    "large tag": lambda registry: registry.model_tags.set("acme", "bert", "large", "x" * 9_000, by="ana"),
    "delete model": lambda registry: registry.models.delete("acme", "bert", by="ana"),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_process_that_dies_between_two_writes_leaves_a_consistent_table(
    process: Callable[[], Registry], dynamodb: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anfl.registry.stages._MOVES_AT_ONCE", 2)
    monkeypatch.setattr("anfl.registry.table._BATCH_WRITE", 4)

    class DiedError(Exception):
        pass

    registry = process()
    registry.models.create("acme", "bert", by="ana")
    for number in range(1, 8):
        version(registry, "acme", "bert")
        if number > 3:
            registry.stages.transition("acme", "bert", number, Stage.PRODUCTION, by="ana")
    for survived in range(20):
        writes = 0

        def die(model: Any, survived: int = survived, **_: Any) -> None:
            nonlocal writes
            if model.name in ("PutItem", "TransactWriteItems", "BatchWriteItem"):
                writes += 1
                if writes > survived:
                    raise DiedError

        dynamodb.meta.events.register("before-call.dynamodb", die, unique_id="die")
        try:
            OPERATIONS[name](process())
        except DiedError:
            continue
        except Problem as problem:  # the part that decides had been done before the process died
            assert (name, problem.code) == ("delete model", "resource_does_not_exist")  # noqa: PT017
        finally:
            dynamodb.meta.events.unregister("before-call.dynamodb", unique_id="die")
            consistent(dynamodb)
        break
    else:
        pytest.fail("the operation never finished")
    assert survived > 0
    if name == "delete model":
        assert records(dynamodb) == []


def test_archiving_versions_of_large_descriptions_takes_no_more_than_a_transaction_holds(
    registry: Registry, dynamodb: Any
) -> None:
    """4 MB."""
    registry.models.create("acme", "bert", by="ana")
    for number in range(1, 31):
        version(registry, "acme", "bert", description="x" * 150_000)
        registry.stages.transition("acme", "bert", number, Stage.STAGING, by="ana")
    sizes: list[int] = []

    def weigh(params: dict[str, Any], **_: Any) -> None:
        sizes.append(sum(len(str(next(iter(action.values())).get("Item", ""))) for action in params["TransactItems"]))

    event = "before-parameter-build.dynamodb.TransactWriteItems"
    dynamodb.meta.events.register(event, weigh, unique_id="weigh")
    try:
        registry.stages.transition("acme", "bert", 30, Stage.STAGING, archive_existing=True, by="ana")
    finally:
        dynamodb.meta.events.unregister(event, unique_id="weigh")
    assert max(sizes) < 4_000_000
    assert len(sizes) == 2
    stages = [registry.versions.get("acme", "bert", number).version.stage for number in range(1, 31)]
    assert stages == [Stage.ARCHIVED] * 29 + [Stage.STAGING]
    consistent(dynamodb)
