"""The registry beside a model of it, while processes die around any of their writes: what a retry finds is whole."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from anfl.registry import audit
from anfl.registry.audit import Entry
from anfl.registry.entities import PROMPT_TAG, Stage
from anfl.registry.registry import Registry
from anfl.registry.verdicts import pending
from tests.unit.registry.conftest import items
from tests.unit.registry.mortality import DEATHS, PLACES, Death, Mortal
from tests.unit.registry.test_artifact_store import register
from tests.unit.registry.test_versions import consistent

NAMES = st.sampled_from(["one", "two"])
NUMBERS = st.integers(1, 4)


@dataclass
class Expected:
    """What the registry should hold of a model."""

    versions: dict[int, tuple[Stage, str]] = field(default_factory=dict)
    """Number → stage and place."""
    last: int = 0
    aliases: dict[str, int] = field(default_factory=dict)
    tags: dict[int, dict[str, str]] = field(default_factory=dict)
    """Of versions."""
    own_tags: dict[str, str] = field(default_factory=dict)
    descriptions: dict[int, str] = field(default_factory=dict)
    """Of versions, and that of the model as 0."""

    def is_prompt(self) -> bool:
        return PROMPT_TAG in self.own_tags


def replayed(entries: list[Entry]) -> tuple[str | None, Expected]:
    """A model as its audit tells of it: its name (None: deleted) and what it holds. Places are not told apart."""
    name, model = None, Expected()
    for entry in entries:
        name = None if entry.action == audit.DELETED else entry.after.get("name", name)
        for alias, number in entry.after.get("aliases", {}).items():
            model.aliases[alias] = number
            if number is None:
                del model.aliases[alias]
        if entry.action == "version.created":
            assert entry.version is not None
            model.last = entry.version
            model.versions[entry.version] = (Stage(entry.after["stage"]), "")
        if entry.action == "version.deleted":
            assert entry.version is not None
            del model.versions[entry.version]
            model.descriptions.pop(entry.version, None)
        if entry.action in ("model.described", "version.described"):
            model.descriptions[entry.version or 0] = entry.after["description"]
        for number, stage in entry.after.get("stages", {}).items():
            model.versions[int(number)] = (Stage(stage), "")
    return name, model


class Crashing(Mortal):
    """Models and prompts, their versions, tags, descriptions, stages and aliases."""

    def __init__(self) -> None:
        super().__init__()
        self.expected: dict[str, Expected] = {}

    @rule(name=NAMES, prompt=st.booleans(), death=DEATHS)
    def create_model(self, name: str, prompt: bool, death: Death) -> None:
        tags = {PROMPT_TAG: "true"} if prompt else {}
        done = self.run(death, lambda r: r.models.create("acme", name, tags=tags, by="ana"))
        assert done.times == (name not in self.expected)
        self.expected.setdefault(name, Expected(own_tags=tags))

    @precondition(lambda self: self.expected)
    @rule(name=NAMES, place=st.sampled_from(PLACES), death=DEATHS)
    def create_version(self, name: str, place: str, death: Death) -> None:
        """No server can know that a request whose answer was lost is meant once: there are two versions then."""
        tags = {PROMPT_TAG: "true"} if self.expected.get(name, Expected()).is_prompt() else {}
        done = self.run(death, lambda r: register(r, place, name=name, check=pending(), tags=tags))
        assert (done.times > 0) == (name in self.expected)
        for _ in range(done.times):
            model = self.expected[name]
            model.last += 1
            model.versions[model.last] = (Stage.NONE, place)
            model.tags[model.last] = dict(tags)

    @precondition(lambda self: self.expected)
    @rule(name=NAMES, number=NUMBERS, death=DEATHS)
    def delete_version(self, name: str, number: int, death: Death) -> None:
        model = self.expected.get(name, Expected())
        done = self.run(death, lambda r: r.versions.delete("acme", name, number, by="ana"))
        assert done.times == (number in model.versions)
        model.versions.pop(number, None)
        model.tags.pop(number, None)
        model.descriptions.pop(number, None)
        model.aliases = {alias: target for alias, target in model.aliases.items() if target != number}

    @precondition(lambda self: self.expected)
    @rule(name=NAMES, number=NUMBERS, value=st.sampled_from([None, "v", "w" * 5000]), death=DEATHS)
    def tag_version(self, name: str, number: int, value: str | None, death: Death) -> None:
        def tag(registry: Registry) -> None:
            if value is None:
                registry.version_tags.delete("acme", name, number, "k", by="ana")
            else:
                registry.version_tags.set("acme", name, number, "k", value, by="ana")

        model = self.expected.get(name, Expected())
        done = self.run(death, tag)
        assert (done.refused is None) == (number in model.versions)
        if done.refused is None:
            others = {key: given for key, given in model.tags.get(number, {}).items() if key != "k"}
            model.tags[number] = others if value is None else others | {"k": value}

    @precondition(lambda self: self.expected)
    @rule(name=NAMES, number=NUMBERS, stage=st.sampled_from(list(Stage)), archive=st.booleans(), death=DEATHS)
    def transition(self, name: str, number: int, stage: Stage, archive: bool, death: Death) -> None:
        archive = archive and stage in (Stage.STAGING, Stage.PRODUCTION)
        done = self.run(
            death, lambda r: r.stages.transition("acme", name, number, stage, archive_existing=archive, by="ana")
        )
        versions = self.expected.get(name, Expected()).versions
        assert (done.refused is None) == (number in versions)
        if done.refused is None:
            for other, (old, place) in versions.items():
                if archive and other != number and old is stage:
                    versions[other] = (Stage.ARCHIVED, place)
            versions[number] = (stage, versions[number][1])

    @precondition(lambda self: self.expected)
    @rule(name=NAMES, number=NUMBERS, alias=st.sampled_from(["a", "b"]), death=DEATHS)
    def set_alias(self, name: str, number: int, alias: str, death: Death) -> None:
        done = self.run(death, lambda r: r.aliases.set("acme", name, alias, number, by="ana"))
        model = self.expected.get(name, Expected())
        assert (done.refused is None) == (number in model.versions)
        assert done.times == (done.refused is None and model.aliases.get(alias) != number)
        if done.refused is None:
            model.aliases[alias] = number

    @precondition(lambda self: self.expected)
    @rule(name=NAMES, alias=st.sampled_from(["a", "b"]), death=DEATHS)
    def delete_alias(self, name: str, alias: str, death: Death) -> None:
        done = self.run(death, lambda r: r.aliases.delete("acme", name, alias, by="ana"))
        model = self.expected.get(name, Expected())
        assert done.times == (alias in model.aliases)
        model.aliases.pop(alias, None)

    @precondition(lambda self: self.expected)
    @rule(name=NAMES, value=st.sampled_from([None, "v", "w" * 5000]), death=DEATHS)
    def tag_model(self, name: str, value: str | None, death: Death) -> None:
        def tag(registry: Registry) -> None:
            if value is None:
                registry.model_tags.delete("acme", name, "k", by="ana")
            else:
                registry.model_tags.set("acme", name, "k", value, by="ana")

        done = self.run(death, tag)
        model = self.expected.get(name)
        assert (done.refused is None) == (model is not None)
        if model is not None:
            model.own_tags.pop("k", None)
            model.own_tags |= {} if value is None else {"k": value}

    @precondition(lambda self: self.expected)
    @rule(name=NAMES, number=st.integers(0, 2), text=st.sampled_from(["first", "second"]), death=DEATHS)
    def describe(self, name: str, number: int, text: str, death: Death) -> None:
        """The model, or one of its versions."""

        def describe(registry: Registry) -> object:
            if number == 0:
                return registry.models.describe("acme", name, text, by="ana")
            return registry.versions.describe("acme", name, number, text, by="ana")

        done = self.run(death, describe)
        model = self.expected.get(name)
        possible = model is not None and number in {0, *model.versions}
        assert (done.times > 0, done.refused is None) == (possible, possible)
        if model is not None and possible:
            model.descriptions[number] = text

    @precondition(lambda self: self.expected)
    @rule(name=NAMES, new=NAMES, death=DEATHS)
    def rename(self, name: str, new: str, death: Death) -> None:
        possible = name in self.expected and (new == name or new not in self.expected)
        done = self.run(death, lambda r: r.models.rename("acme", name, new, by="ana"))
        assert (done.times > 0) == possible
        if possible:
            self.expected[new] = self.expected.pop(name)

    @precondition(lambda self: self.expected)
    @rule(name=NAMES, death=DEATHS)
    def delete_model(self, name: str, death: Death) -> None:
        done = self.run(death, lambda r: r.models.delete("acme", name, by="ana"))
        assert done.times == (name in self.expected)
        self.expected.pop(name, None)

    @invariant()
    def holds_what_is_expected(self) -> None:
        registry = self.another()
        models: dict[str, Any] = {}
        versions: dict[tuple[str, int], Any] = {}
        for where in (None, f"tags.`{PROMPT_TAG}` = 'true'"):
            asked: dict[str, Any] = {"where": where, "order_by": [], "limit": 100, "token": None}
            for model, _ in registry.search.models("acme", **asked).models:
                models[model.name] = (model.aliases, model.tags, model.description)
            for of in registry.search.versions("acme", **asked).versions:
                one = of.version
                versions[of.model.name, one.number] = (one.stage, one.tags, one.description)
        assert models == {
            name: (model.aliases, model.own_tags, model.descriptions.get(0)) for name, model in self.expected.items()
        }
        assert versions == {
            (name, number): (stage, model.tags.get(number, {}), model.descriptions.get(number))
            for name, model in self.expected.items()
            for number, (stage, _) in model.versions.items()
        }
        consistent(self.dynamodb)

    @invariant()
    def the_audit_tells_exactly_what_happened(self) -> None:
        """Its chains hold, and what their entries say, one after the other, is what the registry holds."""
        told: dict[str, Expected] = {}
        for entries in self.chains():
            now, model = replayed(entries)
            if now is not None:
                told[now] = model
        assert told == {
            name: Expected(
                versions={number: (stage, "") for number, (stage, _) in model.versions.items()},
                last=model.last,
                aliases=model.aliases,
                descriptions=model.descriptions,
            )
            for name, model in self.expected.items()
        }

    @invariant()
    def freezes_exactly_the_places_that_versions_name(self) -> None:
        """Nor is anything left of what was deleted."""
        stored = items(self.dynamodb)
        frozen = {item["sk"]["S"] for item in stored if item["pk"]["S"] == "acme#locations"}
        assert frozen == {place for model in self.expected.values() for _, place in model.versions.values()}
        assert not [item for item in stored if item["pk"]["S"] == "acme#deleted"]
        ids = {item["id"]["S"] for item in stored if item["pk"]["S"] == "acme#models"}
        assert {item["sk"]["S"].split("#")[0] for item in stored if item["pk"]["S"] == "acme#versions"} <= ids
        assert {item["pk"]["S"].split("#")[2] for item in stored if "#model#" in item["pk"]["S"]} <= ids


@pytest.fixture(name="crashing")
def _crashing(parts: dict[str, Any]) -> type[Crashing]:
    return type("Machine", (Crashing,), parts)


def test_a_registry_whose_processes_die_is_whole_after_a_retry(crashing: type[Crashing]) -> None:
    run_state_machine_as_test(
        crashing,
        settings=settings(
            max_examples=10,
            stateful_step_count=15,
            deadline=None,
            phases=[Phase.generate],  # to shrink takes minutes, and a run is short
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
        ),
    )
