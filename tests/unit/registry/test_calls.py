"""What each operation asks of DynamoDB, as `anfl.registry.keys` states it."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from anfl.registry import signing
from anfl.registry.entities import Stage, Verdict, VerdictStatus
from anfl.registry.policies import Requirement
from anfl.registry.registry import Registry
from anfl.registry.search import Search
from tests.unit.registry.conftest import Time
from tests.unit.registry.test_artifact_store import register, upload
from tests.unit.registry.test_models import version

READS = {"GetItem", "BatchGetItem", "Query"}
Operation = Callable[[Registry], object]

ONE_READ: dict[str, Operation] = {
    "get model": lambda r: r.models.get("acme", "bert"),
    "get version": lambda r: r.versions.get("acme", "bert", 2),
    "by alias": lambda r: r.aliases.version("acme", "bert", "champion"),
    "by latest": lambda r: r.aliases.version("acme", "bert", "latest"),
    "latest versions": lambda r: r.models.latest("acme", "bert", [Stage.NONE]),
}
READ_AND_WRITE: dict[str, Operation] = {
    "update model": lambda r: r.models.describe("acme", "bert", "d", by="ana"),
    "tag model": lambda r: r.model_tags.set("acme", "bert", "k", "v", by="ana"),
    "untag model": lambda r: r.model_tags.delete("acme", "bert", "team", by="ana"),
    "unalias": lambda r: r.aliases.delete("acme", "bert", "champion", by="ana"),
    "create version": lambda r: version(r, "acme", "bert"),
    "update version": lambda r: r.versions.describe("acme", "bert", 2, "d", by="ana"),
    "tag version": lambda r: r.version_tags.set("acme", "bert", 2, "k", "v", by="ana"),
    "delete version": lambda r: r.versions.delete("acme", "bert", 1, by="ana"),
}


@pytest.fixture(name="seen")
def _seen(registry: Registry, calls: Counter[str]) -> Registry:
    """A registry whose process has seen its one model before."""
    registry.models.create("acme", "bert", tags={"team": "nlp"}, by="ana")
    for _ in range(3):
        version(registry, "acme", "bert")
    registry.aliases.set("acme", "bert", "champion", 1, by="ana")
    registry.models.get("acme", "bert")
    calls.clear()
    return registry


def reads_and_writes(calls: Counter[str]) -> tuple[int, int]:
    reads = sum(count for name, count in calls.items() if name in READS)
    return reads, calls.total() - reads


@pytest.mark.parametrize("name", ONE_READ)
def test_reading_is_one_call(seen: Registry, calls: Counter[str], name: str) -> None:
    ONE_READ[name](seen)
    assert reads_and_writes(calls) == (1, 0)


@pytest.mark.parametrize("name", READ_AND_WRITE)
def test_changing_is_a_read_and_a_write(seen: Registry, calls: Counter[str], name: str) -> None:
    READ_AND_WRITE[name](seen)
    assert reads_and_writes(calls) == (1, 1)


def test_an_alias_reads_its_policy_and_moves_in_one_transaction(seen: Registry, calls: Counter[str]) -> None:
    seen.aliases.set("acme", "bert", "champion", 2, by="ana")
    assert reads_and_writes(calls) == (2, 1)


def test_creating_a_model_is_one_write(registry: Registry, calls: Counter[str]) -> None:
    registry.models.create("acme", "first", by="ana")
    assert reads_and_writes(calls) == (1, 1), "a process asks for the tenant's webhooks, once in ten seconds"
    calls.clear()
    registry.models.create("acme", "bert", by="ana")
    assert reads_and_writes(calls) == (0, 1)


@pytest.mark.usefixtures("seen")
def test_a_process_that_never_saw_the_model_reads_once_more(
    process: Callable[[], Registry], calls: Counter[str]
) -> None:
    process().models.get("acme", "bert")
    assert reads_and_writes(calls) == (2, 0)


def test_a_transition_is_one_transaction(seen: Registry, calls: Counter[str]) -> None:
    seen.stages.transition("acme", "bert", 3, Stage.PRODUCTION, by="ana")
    reads, writes = reads_and_writes(calls)
    assert (reads <= 4, writes) == (True, 1)


def test_a_rename_is_one_transaction_however_many_versions(seen: Registry, calls: Counter[str]) -> None:
    for _ in range(20):
        version(seen, "acme", "bert")
    calls.clear()
    seen.models.rename("acme", "bert", "renamed", by="ana")
    assert reads_and_writes(calls) == (2, 1)


def test_deleting_a_model_is_decided_by_one_transaction(seen: Registry, calls: Counter[str]) -> None:
    seen.models.delete("acme", "bert", by="ana")
    assert calls["TransactWriteItems"] == 1
    assert calls["BatchWriteItem"] == 3  # its versions, what else hung off it, the tombstone


def test_a_page_of_models_is_one_query_and_one_batch(registry: Registry, calls: Counter[str]) -> None:
    for number in range(30):
        registry.models.create("acme", f"m{number:02}", by="ana")
        version(registry, "acme", f"m{number:02}")
    calls.clear()
    page = registry.search.models("acme", where="name LIKE 'm%'", order_by=[], limit=10, token=None)
    assert len(page.models) == 10
    assert calls == {"Query": 1, "BatchGetItem": 1}


def test_versions_of_one_model_are_a_batch_and_a_query(seen: Registry, calls: Counter[str]) -> None:
    page = seen.search.versions("acme", where="name = 'bert'", order_by=[], limit=10, token=None)
    assert len(page.versions) == 3
    assert calls == {"BatchGetItem": 1, "Query": 1}


def test_a_search_over_all_versions_is_two_queries_and_then_one(
    seen: Registry, process: Callable[[Time], Registry], time: Time, calls: Counter[str]
) -> None:
    time.now = 2**40
    seen = process(time)
    for where, queries in {"": 2, "source_path LIKE 's3://%'": 1}.items():
        calls.clear()
        assert len(seen.search.versions("acme", where=where, order_by=[], limit=10, token=None).versions) == 3
        assert calls == {"Query": queries}


def test_a_search_over_more_versions_than_are_kept_is_two_queries_each_time(
    seen: Registry, calls: Counter[str]
) -> None:
    search = Search(seen.records, max_bytes=0)
    for queries in (3, 2):  # that they are too many it learns first
        calls.clear()
        assert len(search.versions("acme", where="", order_by=[], limit=10, token=None).versions) == 3
        assert calls == {"Query": queries}
    calls.clear()
    search.versions("acme", where="tags.a = 'r'", order_by=[], limit=10, token=None)
    assert calls == {"Query": 1}, "where no version can match, no model is read"


def test_versions_of_a_run_are_a_query_and_those_of_each_of_its_models(seen: Registry, calls: Counter[str]) -> None:
    seen.models.create("acme", "gpt", by="ana")
    for name in ("bert", "gpt"):
        version(seen, "acme", name, run_id="r")
    calls.clear()
    page = seen.search.versions("acme", where="run_id = 'r'", order_by=[], limit=10, token=None)
    assert len(page.versions) == 2
    assert calls == {"Query": 3, "BatchGetItem": 1}
    calls.clear()
    seen.search.versions("acme", where="run_id = 'unknown'", order_by=[], limit=10, token=None)
    assert calls == {"Query": 1}


def _pem() -> str:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


REQUEST: list[str] = []
"""The id of the request for approval that is open."""
PEM, OLD_PEM = _pem(), _pem()
KEY = signing.public_key(OLD_PEM)[1]
DONE = Verdict(status=VerdictStatus.VALIDATED, requested_at="r", inspected_at="i")
WEBHOOK: dict[str, Any] = {"name": "h", "url": "https://hooks.example.com/", "events": [("MODEL_VERSION", "CREATED")]}
GOVERNED: dict[str, tuple[Operation, tuple[int, int]]] = {
    "ask for approval": (lambda r: r.approvals.request("acme", "bert", 2, by="ben", alias="prod"), (2, 1)),
    "approve": (lambda r: r.approvals.approve("acme", "bert", REQUEST[0], by="cy"), (3, 1)),
    "reject": (lambda r: r.approvals.reject("acme", "bert", REQUEST[0], by="cy"), (2, 1)),
    "withdraw": (lambda r: r.approvals.withdraw("acme", "bert", REQUEST[0], by="ana"), (2, 1)),
    "list approvals": (lambda r: r.approvals.page("acme", "bert"), (2, 0)),
    "set a policy": (lambda r: r.policies.put("acme", "prod", by="ana", require=[Requirement.APPROVED]), (2, 1)),
    "delete a policy": (lambda r: r.policies.delete("acme", "canary", by="ana"), (1, 1)),
    "list policies": (lambda r: r.policies.all("acme"), (1, 0)),
    "add a key": (lambda r: r.signing_keys.add("acme", by="ana", name="new", pem=PEM), (2, 1)),
    "remove a key": (lambda r: r.signing_keys.remove("acme", KEY, by="ana"), (2, 1)),
    "list keys": (lambda r: r.signing_keys.all("acme"), (1, 0)),
    "ask for a validation": (lambda r: r.verdicts.request("acme", r.versions.get("acme", "bert", 2), by="ana"), (2, 1)),
    "record a verdict": (lambda r: r.verdicts.put("acme", r.versions.get("acme", "bert", 2), DONE, by="v"), (2, 1)),
    "get a verdict": (lambda r: r.verdicts.get("acme", "bert", 2), (2, 0)),
    "get a webhook": (lambda r: r.webhooks.get("acme", r.webhooks.all("acme")[0].id), (2, 0)),
    "create a webhook": (lambda r: r.webhooks.create("acme", by="ana", **WEBHOOK), (2, 1)),
    "update a webhook": (lambda r: r.webhooks.update("acme", r.webhooks.all("acme")[0].id, by="a", name="n"), (2, 1)),
    "delete a webhook": (lambda r: r.webhooks.delete("acme", r.webhooks.all("acme")[0].id, by="ana"), (2, 1)),
    "read a model's audit": (lambda r: r.trails.of_model("acme", "bert"), (3, 0)),
    "read the tenant's audit": (lambda r: r.trails.of_tenant("acme"), (2, 0)),
    "upload": (lambda r: upload(r, "m/new", b"x"), (2, 1)),
    "version of an uploaded model": (lambda r: register(r, "m/1"), (6, 1)),
    "another version of it": (lambda r: register(r, "m/2"), (2, 1)),
    "download": (lambda r: r.store.open("acme", "m/2/weights"), (1, 0)),
    "delete an artefact": (lambda r: r.store.delete("acme", "m/1/weights"), (4, 1)),
}
"""Reads and writes. One of the reads lists the webhooks, or reads the version, where the operation needs one."""


@pytest.mark.parametrize("name", GOVERNED)
def test_what_else_changes_or_is_read_costs_what_is_stated(seen: Registry, calls: Counter[str], name: str) -> None:
    operation, expected = GOVERNED[name]
    REQUEST[:] = [seen.approvals.request("acme", "bert", 1, by="ana", alias="prod").id]
    seen.policies.put("acme", "canary", by="ana", require=[Requirement.VALIDATED])
    seen.signing_keys.add("acme", by="ana", name="old", pem=OLD_PEM)
    seen.webhooks.create("acme", by="ana", **WEBHOOK)
    for place in ("m/1", "m/2"):
        upload(seen, f"{place}/weights", b"x")
    register(seen, "m/2")
    calls.clear()
    operation(seen)
    assert reads_and_writes(calls) == expected
