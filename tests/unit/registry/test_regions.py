"""What a registry makes of items that another region wrote: they come one by one, and the later of two stays."""

from collections.abc import Mapping
from typing import Any

import pytest

from anfl.registry import clock
from anfl.registry.registry import Registry
from tests.unit.registry.conftest import TABLE, items, past_the_registry
from tests.unit.registry.test_models import refused, version

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
