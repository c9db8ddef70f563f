"""Registered models: what callers see, what the table is asked, and that nothing is left behind."""

import gc
import tracemalloc
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from anfl.problems import Problem
from anfl.registry import rules
from anfl.registry import tags as arranging
from anfl.registry.entities import PROMPT_TAG, Stage
from anfl.registry.errors import contended
from anfl.registry.leftovers import Leftovers
from anfl.registry.registry import Registry
from tests.unit.registry.conftest import records

SOURCE = "s3://elsewhere/model"


def version(registry: Registry, tenant: str, name: str, **more: Any) -> int:
    return registry.versions.create(tenant, name, source=SOURCE, location=SOURCE, **more, by="ana").version.number


def refused(code: str, call: Callable[..., object], *args: Any, **kwargs: Any) -> str:
    with pytest.raises(Problem) as caught:
        call(*args, **kwargs)
    assert caught.value.code == code
    return caught.value.detail


def test_a_model_is_read_as_it_was_created(registry: Registry) -> None:
    created = registry.models.create("acme", "bert", tags={"team": "nlp", "empty": ""}, description="a model", by="ana")
    read, latest = registry.models.get("acme", "bert")
    assert (read.name, read.tags, read.description) == ("bert", {"team": "nlp", "empty": ""}, "a model")
    assert read.created_at == read.updated_at == created.created_at
    assert latest == []


def test_a_name_is_taken_once_per_tenant(registry: Registry) -> None:
    registry.models.create("acme", "bert", tags={"owner": "acme"}, by="ana")
    detail = refused("resource_already_exists", registry.models.create, "acme", "bert", by="ana")
    assert detail == "Registered Model (name=bert) already exists."
    registry.models.create("other", "bert", by="ana")
    assert registry.models.get("other", "bert")[0].tags == {}


@pytest.mark.parametrize("operation", ["get", "describe", "rename", "delete", "set_tag", "set_alias", "version"])
def test_another_tenants_model_does_not_exist(registry: Registry, operation: str) -> None:
    registry.models.create("acme", "bert", by="ana")
    version(registry, "acme", "bert")
    calls: dict[str, Callable[[], object]] = {
        "get": lambda: registry.models.get("other", "bert"),
        "describe": lambda: registry.models.describe("other", "bert", "mine", by="ana"),
        "rename": lambda: registry.models.rename("other", "bert", "mine", by="ana"),
        "delete": lambda: registry.models.delete("other", "bert", by="ana"),
        "set_tag": lambda: registry.model_tags.set("other", "bert", "k", "v", by="ana"),
        "set_alias": lambda: registry.aliases.set("other", "bert", "mine", 1, by="ana"),
        "version": lambda: registry.versions.get("other", "bert", 1),
    }
    refused("resource_does_not_exist", calls[operation])
    model, _ = registry.models.get("acme", "bert")
    assert (model.description, model.tags, model.aliases) == (None, {}, {})


def test_a_prompt_and_a_model_cannot_share_a_name(registry: Registry) -> None:
    registry.models.create("acme", "bert", by="ana")
    detail = refused(
        "resource_already_exists",
        registry.models.create,
        "acme",
        "bert",
        tags={"mlflow.prompt.is_prompt": "true"},
        by="ana",
    )
    assert "Tried to create a prompt with name 'bert', but the name is already taken by a registered model." in detail


def test_rename_carries_everything_and_touches_no_version(registry: Registry, calls: Counter[str]) -> None:
    registry.models.create("acme", "bert", tags={"team": "nlp", "large": "x" * 50_000}, by="ana")
    for _ in range(5):
        version(registry, "acme", "bert")
    registry.aliases.set("acme", "bert", "champion", 3, by="ana")
    calls.clear()
    renamed = registry.models.rename("acme", "bert", "bert-large", by="ana")
    assert calls["TransactWriteItems"] == 1
    assert sum(calls.values()) <= 4
    assert renamed.tags["large"] == "x" * 50_000
    refused("resource_does_not_exist", registry.models.get, "acme", "bert")
    found = registry.aliases.version("acme", "bert-large", "champion")
    assert (found.version.number, found.model.name) == (3, "bert-large")
    assert found.version.changed_at(found.model) == renamed.updated_at
    assert version(registry, "acme", "bert-large") == 6


def test_rename_to_a_taken_name_changes_nothing(registry: Registry) -> None:
    registry.models.create("acme", "one", by="ana")
    registry.models.create("acme", "two", tags={"second": "yes"}, by="ana")
    detail = refused("resource_already_exists", registry.models.rename, "acme", "one", "two", by="ana")
    assert detail.startswith("Registered Model (name=two) already exists")
    assert registry.models.get("acme", "one")[0].name == "one"
    assert registry.models.get("acme", "two")[0].tags == {"second": "yes"}


def test_a_deleted_model_leaves_nothing_and_its_numbers_start_again(registry: Registry, dynamodb: Any) -> None:
    registry.models.create("acme", "bert", tags={"large": "x" * 50_000}, by="ana")
    for _ in range(9):
        version(registry, "acme", "bert", tags={"large": "y" * 50_000})
    registry.stages.transition("acme", "bert", 7, Stage.PRODUCTION, by="ana")
    registry.models.delete("acme", "bert", by="ana")
    assert records(dynamodb) == []
    registry.models.create("acme", "bert", by="ana")
    assert version(registry, "acme", "bert") == 1


def test_an_interrupted_deletion_is_invisible_and_finished_by_the_next(
    registry: Registry, dynamodb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.models.create("acme", "bert", by="ana")
    version(registry, "acme", "bert")
    with monkeypatch.context() as patched:
        patched.setattr(Leftovers, "remove", lambda _self, _tenant: None)  # the process dies here
        registry.models.delete("acme", "bert", by="ana")
    assert records(dynamodb) != []
    registry.models.create("acme", "bert", by="ana")
    assert registry.models.get("acme", "bert")[1] == []
    page = registry.search.versions("acme", where=None, order_by=[], limit=10, token=None)
    assert page.versions == []
    registry.models.delete("acme", "bert", by="ana")
    assert records(dynamodb) == []


def test_a_deletion_that_could_not_finish_is_finished_by_the_same_request(
    registry: Registry, dynamodb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.models.create("acme", "bert", by="ana")
    version(registry, "acme", "bert")

    def busy(*_: object) -> None:
        raise contended("others keep changing it")

    with monkeypatch.context() as patched:
        patched.setattr(Leftovers, "_release", busy)
        for _ in range(2):
            refused("temporarily_unavailable", registry.models.delete, "acme", "bert", by="ana")
    registry.models.delete("acme", "bert", by="ana")
    assert records(dynamodb) == []
    refused("resource_does_not_exist", registry.models.delete, "acme", "bert", by="ana")


def test_of_what_a_model_leaves_few_versions_are_held(
    registry: Registry, dynamodb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.models.create("acme", "bert", by="ana")
    for _ in range(12):
        version(registry, "acme", "bert", description="x" * 150_000, run_id="r")
    monkeypatch.setattr("anfl.registry.leftovers.AT_ONCE", 2)
    removed: list[int] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        removed.extend(map(len, params["RequestItems"].values()))

    dynamodb.meta.events.register("before-parameter-build.dynamodb.BatchWriteItem", note, unique_id="note")
    registry.models.delete("acme", "bert", by="ana")
    dynamodb.meta.events.unregister("before-parameter-build.dynamodb.BatchWriteItem", unique_id="note")
    assert removed[:12] == [2] * 12
    assert records(dynamodb) == []


def test_a_write_that_read_a_model_since_replaced_by_another_starts_again(
    registry: Registry, process: Callable[[], Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Revisions alone could agree by chance: the new model has its own."""
    registry.models.create("acme", "bert", tags={"generation": "first"}, by="ana")
    other = process()
    read = registry.records.model

    def read_then_lose(tenant: str, name: str) -> Any:
        model = read(tenant, name)
        monkeypatch.setattr(registry.records, "model", read)
        other.models.delete("acme", "bert", by="ana")
        other.models.create("acme", "bert", tags={"generation": "second"}, by="ana")
        return model

    monkeypatch.setattr(registry.records, "model", read_then_lose)
    registry.model_tags.set("acme", "bert", "by", "late writer", by="ana")
    assert registry.models.get("acme", "bert")[0].tags == {"generation": "second", "by": "late writer"}


def test_tags_are_set_replaced_and_removed_whatever_their_size(registry: Registry, dynamodb: Any) -> None:
    registry.models.create("acme", "bert", by="ana")
    for value in ("small", "x" * 100_000, "small again", "", "\u00e9" * 100_000):
        registry.model_tags.set("acme", "bert", "note", value, by="ana")
        assert registry.models.get("acme", "bert")[0].tags == {"note": value}
    registry.model_tags.delete("acme", "bert", "note", by="ana")
    registry.model_tags.delete("acme", "bert", "note", by="ana")
    assert registry.models.get("acme", "bert")[0].tags == {}
    assert len(records(dynamodb)) == 1


def test_many_tags_never_outgrow_an_item(registry: Registry) -> None:
    registry.models.create("acme", "bert", by="ana")
    expected = {f"key {n}": chr(97 + n % 26) * 4_000 for n in range(60)}
    for key, value in expected.items():
        registry.model_tags.set("acme", "bert", key, value, by="ana")
    assert registry.models.get("acme", "bert")[0].tags == expected


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "Missing value for required parameter 'name'"),
        ("   ", "Missing value for required parameter 'name'"),
        ("a/b", "Names cannot contain '/' or ':'"),
        ("a:b", "Names cannot contain '/' or ':'"),
        ("..", "must not resolve to other names"),
        (".", "must not resolve to other names"),
        ("x" * (rules.MAX_NAME_BYTES + 1), "exceeds the maximum length"),
        ("\ud800", "not valid Unicode"),
    ],
)
def test_impossible_names_are_refused(registry: Registry, name: str, message: str) -> None:
    assert message in refused("invalid_parameter_value", registry.models.create, "acme", name, by="ana")


@pytest.mark.parametrize("name", ["a b", "ünï", "x" * 300, "it's", "100%", "#hash", "a\nb"])
def test_unusual_names_work(registry: Registry, name: str) -> None:
    registry.models.create("acme", name, by="ana")
    assert version(registry, "acme", name) == 1
    assert registry.models.get("acme", name)[0].name == name


@pytest.mark.parametrize("alias", ["latest", "LATEST", "v1", "V12"])
def test_reserved_aliases_are_refused(registry: Registry, alias: str) -> None:
    registry.models.create("acme", "bert", by="ana")
    version(registry, "acme", "bert")
    assert "reserved" in refused("invalid_parameter_value", registry.aliases.set, "acme", "bert", alias, 1, by="ana")


def test_an_alias_moves_and_names_existing_versions_only(registry: Registry) -> None:
    registry.models.create("acme", "bert", by="ana")
    for _ in range(2):
        version(registry, "acme", "bert")
    registry.aliases.set("acme", "bert", "champion", 1, by="ana")
    registry.aliases.set("acme", "bert", "champion", 2, by="ana")
    assert registry.models.get("acme", "bert")[0].aliases == {"champion": 2}
    refused("resource_does_not_exist", registry.aliases.set, "acme", "bert", "champion", 3, by="ana")
    assert registry.aliases.version("acme", "bert", "champion").version.number == 2
    registry.aliases.delete("acme", "bert", "champion", by="ana")
    registry.aliases.delete("acme", "bert", "champion", by="ana")
    detail = refused("invalid_parameter_value", registry.aliases.version, "acme", "bert", "champion")
    assert detail == "Registered model alias champion not found."


def test_latest_as_an_alias_is_the_highest_version_of_any_stage(registry: Registry) -> None:
    registry.models.create("acme", "bert", by="ana")
    refused("resource_does_not_exist", registry.aliases.version, "acme", "bert", "latest")
    for _ in range(3):
        version(registry, "acme", "bert")
    registry.stages.transition("acme", "bert", 3, Stage.ARCHIVED, by="ana")
    assert registry.aliases.version("acme", "bert", "Latest").version.number == 3


def test_a_known_model_is_read_in_one_call(registry: Registry, calls: Counter[str]) -> None:
    registry.models.create("acme", "bert", by="ana")
    version(registry, "acme", "bert")
    registry.aliases.set("acme", "bert", "champion", 1, by="ana")
    registry.models.get("acme", "bert")
    reads: dict[str, Callable[[], object]] = {
        "model": lambda: registry.models.get("acme", "bert"),
        "version": lambda: registry.versions.get("acme", "bert", 1),
        "alias": lambda: registry.aliases.version("acme", "bert", "champion"),
    }
    for name, read in reads.items():
        calls.clear()
        read()
        assert sum(calls.values()) == 1, name


def test_what_another_process_changed_is_seen_at_once(registry: Registry, process: Callable[[], Registry]) -> None:
    registry.models.create("acme", "bert", by="ana")
    version(registry, "acme", "bert")
    registry.models.get("acme", "bert")
    other = process()
    other.models.delete("acme", "bert", by="ana")
    refused("resource_does_not_exist", registry.models.get, "acme", "bert")
    other.models.create("acme", "bert", by="ana")
    assert registry.models.get("acme", "bert")[1] == []
    assert version(other, "acme", "bert") == 1
    assert [v.number for v in registry.models.get("acme", "bert")[1]] == [1]


def test_a_taken_name_says_by_what(registry: Registry) -> None:
    prompt = {PROMPT_TAG: "true"}
    registry.models.create("acme", "model", by="ana")
    registry.models.create("acme", "prompt", tags=prompt, by="ana")
    for name, tags, reason in (
        ("model", {}, r"Registered Model \(name=model\) already exists"),
        ("prompt", prompt, r"Prompt \(name=prompt\) already exists"),
        ("model", prompt, "Tried to create a prompt with name 'model', but"),
        ("prompt", {}, "Tried to create a registered model with name 'prompt', but"),
    ):
        with pytest.raises(Problem, match=reason):
            registry.models.create("acme", name, tags=tags, by="ana")


@pytest.mark.parametrize("text", ["\n" * 150_000, "\x01" * 50_000])
def test_what_json_spells_longer_fits_an_item_too(registry: Registry, text: str) -> None:
    tags = {f"k{number}": text[:1000] for number in range(80)}
    registry.models.create("acme", "bert", description=text, tags=tags, by="ana")
    version(registry, "acme", "bert", description=text, tags=tags)
    model, (found,) = registry.models.get("acme", "bert")
    assert (model.description, model.tags) == (found.description, found.tags) == (text, tags)


def test_what_no_item_holds_is_refused(registry: Registry) -> None:
    text = "\x01" * 100_000
    detail = refused("invalid_parameter_value", registry.models.create, "acme", "bert", description=text, by="ana")
    assert "as JSON" in detail
    registry.models.create("acme", "bert", by="ana")
    refused("invalid_parameter_value", registry.models.describe, "acme", "bert", text, by="ana")
    refused("invalid_parameter_value", version, registry, "acme", "bert", description=text)
    assert version(registry, "acme", "bert") == 1
    refused("invalid_parameter_value", registry.versions.describe, "acme", "bert", 1, text, by="ana")


def test_each_of_many_tags_is_weighed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request holds a hundred thousand: to weigh all of them for each kept a process busy for minutes."""
    weighed: list[str] = []
    size = arranging._size

    def weigh(key: str, value: str) -> int:
        weighed.append(key)
        return size(key, value)

    monkeypatch.setattr(arranging, "_size", weigh)
    arranging.arrange({f"{number}": "" for number in range(2000)})
    refused("invalid_parameter_value", arranging.arrange, {f"{number:04}": "x" * 1000 for number in range(2000)})
    assert len(weighed) <= 4000


def test_models_that_were_seen_take_little_memory(registry: Registry, process: Callable[[], Registry]) -> None:
    for number in range(20):
        registry.models.create("acme", f"m{number}", description="x" * 150_000, tags={"k": "x" * 4000}, by="ana")
    other = process()
    other.models.get("acme", "m0")
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(20):
        other.models.get("acme", f"m{number}")
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 1_000_000


def test_a_model_may_be_given_the_name_that_it_has(registry: Registry) -> None:
    registry.models.create("acme", "bert", by="ana")
    assert version(registry, "acme", "bert") == 1
    assert registry.models.rename("acme", "bert", "bert", by="ben").name == "bert"
    assert version(registry, "acme", "bert") == 2


def test_a_large_tag_that_becomes_small_leaves_nothing(registry: Registry, dynamodb: Any) -> None:
    registry.models.create("acme", "bert", by="ana")
    version(registry, "acme", "bert")
    before = len(records(dynamodb))
    for value in ("x" * 90_000, "small"):
        registry.model_tags.set("acme", "bert", "note", value, by="ana")
        registry.version_tags.set("acme", "bert", 1, "note", value, by="ana")
    assert len(records(dynamodb)) == before


def test_large_tags_are_no_more_than_a_transaction_takes_away(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anfl.registry.tags.MAX_SPILLED", 2)
    registry.models.create("acme", "bert", by="ana")
    version(registry, "acme", "bert")
    for key in "ab":
        registry.model_tags.set("acme", "bert", key, "x" * 5000, by="ana")
        registry.version_tags.set("acme", "bert", 1, key, "x" * 5000, by="ana")
    refused("invalid_parameter_value", registry.model_tags.set, "acme", "bert", "c", "x" * 5000, by="ana")
    refused("invalid_parameter_value", registry.version_tags.set, "acme", "bert", 1, "c", "x" * 5000, by="ana")
    registry.version_tags.set("acme", "bert", 1, "a", "y" * 5000, by="ana")
    assert registry.versions.get("acme", "bert", 1).version.tags == {"a": "y" * 5000, "b": "x" * 5000}
