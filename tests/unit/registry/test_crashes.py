"""The registry beside a model of it, while processes die before any of their writes: what a retry finds is whole."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.awsrequest import AWSResponse
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from anfl.problems import Problem
from anfl.registry import audit
from anfl.registry.audit import Entry
from anfl.registry.entities import Stage
from anfl.registry.registry import Registry
from tests.unit.registry.conftest import items, past_the_registry
from tests.unit.registry.test_artifact_store import register, upload
from tests.unit.registry.test_versions import consistent

WRITES = ("PutItem", "TransactWriteItems", "BatchWriteItem")
NAMES = st.sampled_from(["one", "two"])
NUMBERS = st.integers(1, 4)
PLACES = st.sampled_from(["m/1", "m/2"])
DIES_AFTER = st.integers(0, 3)
"""Writes that a process survives; most operations need fewer."""


class DiedError(BaseException):
    """The process is gone: nothing of it runs on, no handler either."""


@dataclass
class Expected:
    """What the registry should hold of a model."""

    versions: dict[int, tuple[Stage, str]] = field(default_factory=dict)
    """Number → stage and place."""
    last: int = 0
    aliases: dict[str, int] = field(default_factory=dict)


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
        for number, stage in entry.after.get("stages", {}).items():
            model.versions[int(number)] = (Stage(stage), "")
    return name, model


class Crashing(RuleBasedStateMachine):
    """Each step runs an operation in a process that may die, then finishes it in another, as a client retries."""

    process: Callable[[], Registry]
    dynamodb: Any

    def __init__(self) -> None:
        super().__init__()
        with past_the_registry(self.dynamodb):
            for item in items(self.dynamodb):
                self.dynamodb.delete_item(TableName="registry", Key={"pk": item["pk"], "sk": item["sk"]})
        self.expected: dict[str, Expected] = {}
        for place in ("m/1", "m/2"):
            registry = self.process()
            registry.artifacts.delete("acme", place)
            upload(registry, f"{place}/weights", b"x")

    def run(self, survives: int, operation: Callable[[Registry], object], *, done: str | None = None) -> bool:
        """Whether the operation was carried out; ``done``: the refusal by which a retry learns that it was."""
        writes = 0

        def die(model: Any, **_: Any) -> AWSResponse | None:
            nonlocal writes
            if model.name in WRITES:
                writes += 1
                if writes > survives:
                    raise DiedError
            return None

        self.dynamodb.meta.events.register("before-call.dynamodb", die, unique_id="die")
        died = False
        try:
            operation(self.process())
        except DiedError:
            died = True
        except Problem:
            return False
        finally:
            self.dynamodb.meta.events.unregister("before-call.dynamodb", unique_id="die")
        if not died:
            return True
        try:
            operation(self.process())
        except Problem as problem:
            return problem.code == done
        return True

    @rule(name=NAMES, survives=DIES_AFTER)
    def create_model(self, name: str, survives: int) -> None:
        existed = name in self.expected
        done = self.run(survives, lambda r: r.models.create("acme", name, by="ana"), done="resource_already_exists")
        if not existed:
            assert done
            self.expected[name] = Expected()

    @precondition(lambda self: self.expected)
    @rule(name=NAMES, place=PLACES, survives=DIES_AFTER)
    def create_version(self, name: str, place: str, survives: int) -> None:
        if name in self.expected:
            assert self.run(survives, lambda r: register(r, place, name=name))
            model = self.expected[name]
            model.last += 1
            model.versions[model.last] = (Stage.NONE, place)

    @precondition(lambda self: self.expected)
    @rule(name=NAMES, number=NUMBERS, survives=DIES_AFTER)
    def delete_version(self, name: str, number: int, survives: int) -> None:
        model = self.expected.get(name, Expected())
        done = self.run(
            survives, lambda r: r.versions.delete("acme", name, number, by="ana"), done="resource_does_not_exist"
        )
        assert done or number not in model.versions
        model.versions.pop(number, None)
        model.aliases = {alias: target for alias, target in model.aliases.items() if target != number}

    @precondition(lambda self: self.expected)
    @rule(name=NAMES, number=NUMBERS, stage=st.sampled_from(list(Stage)), archive=st.booleans(), survives=DIES_AFTER)
    def transition(self, name: str, number: int, stage: Stage, archive: bool, survives: int) -> None:
        archive = archive and stage in (Stage.STAGING, Stage.PRODUCTION)
        done = self.run(
            survives, lambda r: r.stages.transition("acme", name, number, stage, archive_existing=archive, by="ana")
        )
        versions = self.expected.get(name, Expected()).versions
        assert done == (number in versions)
        if done:
            for other, (old, place) in versions.items():
                if archive and other != number and old is stage:
                    versions[other] = (Stage.ARCHIVED, place)
            versions[number] = (stage, versions[number][1])

    @precondition(lambda self: self.expected)
    @rule(name=NAMES, number=NUMBERS, alias=st.sampled_from(["a", "b"]), survives=DIES_AFTER)
    def set_alias(self, name: str, number: int, alias: str, survives: int) -> None:
        done = self.run(survives, lambda r: r.aliases.set("acme", name, alias, number, by="ana"))
        model = self.expected.get(name, Expected())
        assert done == (number in model.versions)
        if done:
            model.aliases[alias] = number

    @precondition(lambda self: self.expected)
    @rule(name=NAMES, new=NAMES, survives=DIES_AFTER)
    def rename(self, name: str, new: str, survives: int) -> None:
        possible = name in self.expected and (new == name or new not in self.expected)
        done = self.run(survives, lambda r: r.models.rename("acme", name, new, by="ana"))
        assert done == possible
        if done:
            self.expected[new] = self.expected.pop(name)

    @precondition(lambda self: self.expected)
    @rule(name=NAMES, survives=DIES_AFTER)
    def delete_model(self, name: str, survives: int) -> None:
        existed = name in self.expected
        done = self.run(survives, lambda r: r.models.delete("acme", name, by="ana"), done="resource_does_not_exist")
        assert done or not existed
        self.expected.pop(name, None)

    @invariant()
    def holds_what_is_expected(self) -> None:
        registry = self.process()
        page = registry.search.models("acme", where=None, order_by=[], limit=100, token=None)
        assert {model.name: model.aliases for model, _ in page.models} == {
            name: model.aliases for name, model in self.expected.items()
        }
        found = registry.search.versions("acme", where=None, order_by=[], limit=100, token=None).versions
        assert {(of.model.name, of.version.number, of.version.stage) for of in found} == {
            (name, number, stage)
            for name, model in self.expected.items()
            for number, (stage, _) in model.versions.items()
        }
        consistent(self.dynamodb)

    @invariant()
    def the_audit_tells_exactly_what_happened(self) -> None:
        """Its chains hold, and what their entries say, one after the other, is what the registry holds."""
        registry = self.process()
        bearers = {bearer.id: bearer.name for bearer in registry.trails.bearers("acme")}
        told: dict[str, Expected] = {}
        for model_id, name in bearers.items():
            page = registry.trails.of_model("acme", name, model_id=model_id, limit=1000)
            assert audit.verify(model_id, page.entries, page.head) is None
            now, model = replayed(page.entries)
            if now is not None:
                told[now] = model
        assert told == {
            name: Expected(
                versions={number: (stage, "") for number, (stage, _) in model.versions.items()},
                last=model.last,
                aliases=model.aliases,
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


def test_a_registry_whose_processes_die_is_whole_after_a_retry(process: Callable[[], Registry], dynamodb: Any) -> None:
    machine = type("Machine", (Crashing,), {"process": staticmethod(process), "dynamodb": dynamodb})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=12,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
        ),
    )
