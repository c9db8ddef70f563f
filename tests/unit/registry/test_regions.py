"""What a registry makes of items that another region wrote: they come one by one, and the later of two stays."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from anfl.registry import audit, clock
from anfl.registry.policies import Requirement
from anfl.registry.registry import Registry
from tests.unit.registry.conftest import TABLE, items, past_the_registry
from tests.unit.registry.test_models import refused, version
from tests.unit.registry.test_versions import consistent

Items = dict[tuple[str, str], dict[str, Any]]


def table(dynamodb: Any) -> Items:
    return {(item["pk"]["S"], item["sk"]["S"]): item for item in items(dynamodb)}


def put_back(dynamodb: Any, wanted: Mapping[tuple[str, str], dict[str, Any]]) -> None:
    """Let the table hold what is ``wanted``, and nothing else."""
    with past_the_registry(dynamodb):
        for pk, sk in table(dynamodb).keys() - wanted.keys():
            dynamodb.delete_item(TableName=TABLE, Key={"pk": {"S": pk}, "sk": {"S": sk}})
        for item in wanted.values():
            dynamodb.put_item(TableName=TABLE, Item=item)


@pytest.fixture(name="slept")
def _slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr("anfl.registry.records.time.sleep", slept.append)
    return slept


def test_a_version_that_comes_later_than_the_record_that_names_it_is_waited_for(
    registry: Registry, dynamodb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.models.create("acme", "bert", by="ana")
    version(registry, "acme", "bert")
    whole = table(dynamodb)
    put_back(dynamodb, {key: item for key, item in whole.items() if key[0] != "acme#versions"})

    def arrive(seconds: float) -> None:
        if seconds:
            put_back(dynamodb, whole)

    monkeypatch.setattr("anfl.registry.records.time.sleep", arrive)
    assert [each.number for each in registry.models.get("acme", "bert")[1]] == [1]


@pytest.mark.parametrize("long_ago", [False, True])
def test_nobody_waits_for_ever_for_what_another_region_has_deleted(
    registry: Registry, dynamodb: Any, slept: list[float], monkeypatch: pytest.MonkeyPatch, long_ago: bool
) -> None:
    registry.models.create("acme", "bert", by="ana")
    for _ in range(2):
        version(registry, "acme", "bert")
    registry.aliases.set("acme", "bert", "prod", 2, by="ana")
    put_back(dynamodb, {key: item for key, item in table(dynamodb).items() if not key[1].endswith("0000000002")})
    if long_ago:
        later = clock.now() + 10**6
        monkeypatch.setattr("anfl.registry.records.now", lambda: later)
    refused("invalid_parameter_value", registry.aliases.version, "acme", "bert", "prod")
    assert registry.models.get("acme", "bert")[1] == []
    assert len(slept) == (2 if long_ago else 10)
    registry.aliases.set("acme", "bert", "prod", 1, by="ana")
    assert registry.aliases.version("acme", "bert", "prod").version.number == 1


@pytest.fixture(name="patience")
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who loses has lost at once for long enough, and what others wrote has been there for long."""
    monkeypatch.setattr("anfl.registry.table._STUCK_SECONDS", 0.0)
    monkeypatch.setattr("anfl.registry.table._RETRY_SECONDS", 1.0)
    later = clock.now() + 10**6
    monkeypatch.setattr("anfl.registry.records.now", lambda: later)


def meet(dynamodb: Any, near: Callable[[], object], far: Callable[[], object]) -> None:
    """Both are done before either hears of the other, and those of ``far`` later."""
    before = table(dynamodb)
    far()
    written = {key: item for key, item in table(dynamodb).items() if before.get(key) != item}
    put_back(dynamodb, before)
    near()
    put_back(dynamodb, table(dynamodb) | written)


@pytest.mark.usefixtures("patience")
def test_a_model_that_two_regions_have_changed_at_the_same_time_can_be_changed(
    registry: Registry, dynamodb: Any
) -> None:
    registry.models.create("acme", "bert", by="ana")
    version(registry, "acme", "bert")

    def near() -> None:
        for _ in range(3):
            version(registry, "acme", "bert")

    meet(dynamodb, near, lambda: registry.models.describe("acme", "bert", "from afar", by="eve"))
    assert registry.models.get("acme", "bert")[0].last_version == 1
    assert registry.models.describe("acme", "bert", "at last", by="ana").description == "at last"
    model, latest = registry.models.get("acme", "bert")
    assert (model.last_version, [each.number for each in latest]) == (4, [4])
    assert version(registry, "acme", "bert") == 5
    consistent(dynamodb)
    page = registry.trails.of_model("acme", "bert")
    assert [entry.sequence for entry in page.entries] == list(range(1, len(page.entries) + 1))
    assert page.head is not None
    assert page.head.sequence == len(page.entries)
    assert page.entries[5].action == "model.rejoined"
    broken = audit.verify(page.chain, page.entries, page.head)
    assert broken is not None
    assert broken.sequence == 4, "the entry that follows the one that was lost"


@pytest.mark.usefixtures("patience")
def test_a_version_of_another_region_that_the_record_does_not_know_keeps_its_number(
    registry: Registry, dynamodb: Any
) -> None:
    registry.models.create("acme", "bert", by="ana")
    meet(
        dynamodb,
        lambda: version(registry, "acme", "bert"),
        lambda: registry.models.describe("acme", "bert", "from afar", by="eve"),
    )
    assert version(registry, "acme", "bert") == 2
    consistent(dynamodb)


@pytest.mark.usefixtures("patience")
def test_a_change_that_is_on_its_way_is_waited_for(
    registry: Registry, dynamodb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.models.create("acme", "bert", by="ana")
    before = table(dynamodb)
    for _ in range(2):
        version(registry, "acme", "bert")
    whole = table(dynamodb)
    monkeypatch.setattr("anfl.registry.records.now", clock.now)
    put_back(
        dynamodb,
        {key: item for key, item in whole.items() if key in before or "#audit#" in key[0]}
        | {key: item for key, item in before.items() if "#audit#" not in key[0]},
    )
    refused("temporarily_unavailable", registry.models.describe, "acme", "bert", "text", by="ana")
    put_back(dynamodb, whole)
    registry.models.describe("acme", "bert", "text", by="ana")
    assert audit.verify((page := registry.trails.of_model("acme", "bert")).chain, page.entries, page.head) is None


@pytest.mark.usefixtures("patience")
def test_the_same_for_what_concerns_no_single_model(registry: Registry, dynamodb: Any) -> None:
    def near() -> None:
        for alias in "ab":
            registry.policies.put("acme", alias, require=[Requirement.SIGNED], approvals=1, by="ana")

    meet(
        dynamodb,
        near,
        lambda: registry.policies.put("acme", "c", require=[Requirement.SIGNED], approvals=1, by="eve"),
    )
    with past_the_registry(dynamodb):
        registry.policies.delete("acme", "a", by="ana")
    page = registry.trails.of_tenant("acme")
    assert [entry.action for entry in page.entries][-2:] == ["tenant.rejoined", "policy.deleted"]
    assert page.head is not None
    assert page.head.sequence == len(page.entries) == 4


def test_a_version_that_an_alias_names_is_waited_for(
    registry: Registry, dynamodb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It need not be the latest of its stage."""
    registry.models.create("acme", "bert", by="ana")
    for _ in range(2):
        version(registry, "acme", "bert")
    registry.aliases.set("acme", "bert", "prod", 1, by="ana")
    whole = table(dynamodb)
    put_back(dynamodb, {key: item for key, item in whole.items() if not key[1].endswith("#0000000001")})
    monkeypatch.setattr("anfl.registry.records.time.sleep", lambda _: put_back(dynamodb, whole))
    assert registry.aliases.version("acme", "bert", "prod").version.number == 1


@pytest.mark.usefixtures("patience")
def test_a_version_whose_change_is_on_its_way_is_not_taken_into_the_record(
    registry: Registry, dynamodb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.models.create("acme", "bert", by="ana")
    before = table(dynamodb)
    version(registry, "acme", "bert")
    whole = table(dynamodb)
    monkeypatch.setattr("anfl.registry.records.now", clock.now)
    put_back(dynamodb, before | {key: item for key, item in whole.items() if key[0] == "acme#versions"})
    refused("temporarily_unavailable", version, registry, "acme", "bert")
    model, _ = registry.models.get("acme", "bert")
    assert (model.last_version, model.revision) == (0, 1)
    put_back(dynamodb, whole)
    assert version(registry, "acme", "bert") == 2
    assert audit.verify((page := registry.trails.of_model("acme", "bert")).chain, page.entries, page.head) is None
