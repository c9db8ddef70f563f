"""The vector-processing function: direct events and messages."""

import importlib.util
import json
import math
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest

from anfl.vectors.due_rewrapping import DueRewrapping, ProgressItem
from anfl.vectors.operations import OPERATIONS
from anfl.vectors.rewrapping import Rewrapping
from anfl.vectors.store import VectorStore
from tests.unit.invocation import Invocation
from tests.unit.vectors.builders import upsert
from tests.unit.vectors.importing import BUCKET, TABLE
from tests.unit.vectors.test_sealing import WORDS, World

SOURCE = Path(__file__).resolve().parents[3] / "lambda_src" / "vector_processing" / "handler.py"

UPSERT = {"operation": "upsert", "collection": "words"}


@pytest.fixture(name="module", scope="session")
def _module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vector_processing_handler", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Carried:
    """What was delivered; bodies that say so fail."""

    def __init__(self) -> None:
        self.bodies: list[str] = []
        self.seconds: set[float] = set()

    def carry_out(self, record: Any, *, seconds: float) -> None:
        """See `anfl.vectors.imports.deliveries.Deliveries`."""
        self.bodies.append(record["body"])
        self.seconds.add(seconds)
        if record["body"] == "bad":
            raise ValueError("bad")


class Called:
    """The function as tests call it."""

    def __init__(
        self,
        module: ModuleType,
        store: VectorStore,
        *,
        default_tenant: str | None = None,
        rewrapping: Rewrapping | None = None,
        due: DueRewrapping | None = None,
    ) -> None:
        self.carried = Carried()
        self._function = module.Function(
            store, self.carried, default_tenant=default_tenant, rewrapping=lambda: rewrapping, due=lambda: due
        )

    def answer(self, event: Any) -> Any:
        """Answer ``event``."""
        return self._function.answer(event, Invocation(seconds=250))


@pytest.fixture(name="function")
def _function(module: ModuleType, store: VectorStore) -> Called:
    return Called(module, store, default_tenant="demo")


def test_an_answer_that_lambda_does_not_pass_on_is_refused(
    module: ModuleType, function: Called, store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create("demo", WORDS)
    store.write("demo", WORDS.name, upsert(*((f"{n}", (1, n)) for n in range(20))))
    monkeypatch.setattr(module, "ANSWER_BYTES", 500)
    event = {"operation": "scroll", "collection": WORDS.name, "include": ["values"]}
    assert function.answer(event | {"limit": 5})["status"] == 200
    refused = function.answer(event)
    assert (refused["status"], refused["problem"]["code"]) == (400, "answer_too_large")


def test_keys_are_moved_to_the_active_version_by_direct_event(
    module: ModuleType, session: boto3.session.Session, store: VectorStore
) -> None:
    world = World(session)
    node = world.node()
    node.create("acme", WORDS)
    node.write("acme", "words", upsert(("a", (1, 1))))
    world.transit.version = 2
    function = Called(module, store, rewrapping=Rewrapping(world.objects, world.transit, world.transit))
    found = {"active": 2, "moved": 1, "kept": 0, "remaining": 0, "damaged": [], "after": None, "sealed": 0}
    assert function.answer({"operation": "rewrap_keys"}) == {"status": 200, "result": found}
    refused = function.answer({"operation": "rewrap_keys", "tenant": "acme"})
    assert (refused["status"], refused["problem"]["code"]) == (400, "invalid_request")
    away = Called(module, store).answer({"operation": "rewrap_keys"})
    assert (away["status"], away["problem"]["code"]) == (503, "key_unavailable")


def test_a_schedule_moves_keys_and_says_how_many_are_behind(
    module: ModuleType, session: boto3.session.Session, store: VectorStore, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World(session)
    node = world.node()
    node.create("acme", WORDS)
    node.write("acme", "words", upsert(("a", (1, 1))))
    item = ProgressItem(session.client("dynamodb"), table=TABLE, region="us-east-1")
    due = DueRewrapping(Rewrapping(world.objects, world.transit, world.transit), world.transit, item)
    function = Called(module, store, due=due)
    world.transit.version = 2
    answer = function.answer({"operation": "rewrap_due"})
    assert (answer["status"], answer["result"]["version"], answer["result"]["left"]) == (200, 2, 0)
    assert '"WrappedKeysBehind": 1.0' in capsys.readouterr().out, "an hour must pass before it is certain"
    world.transit.away = True
    world.transit.version = 3
    refused = function.answer({"operation": "rewrap_due"})
    assert (refused["status"], refused["problem"]["code"]) == (503, "key_unavailable")
    assert '"WrappedKeysBehind": 1.0' in capsys.readouterr().out, "which must be feared"
    away = Called(module, store).answer({"operation": "rewrap_due"})
    assert (away["status"], away["problem"]["code"]) == (503, "key_unavailable")


def test_every_operation_by_direct_event(function: Called) -> None:
    steps: list[tuple[str, dict[str, Any]]] = [
        ("create_collection", {"name": "words", "dimension": 2}),
        ("list_collections", {}),
        ("describe_collection", {"collection": "words"}),
        ("update_collection", {"collection": "words", "index": {"ef_search": 10}}),
        (
            "upsert",
            {"collection": "words", "vectors": [{"id": "a", "values": [1, 1]}, {"id": "b", "values": [1, 0]}]},
        ),
        ("patch", {"collection": "words", "vectors": [{"id": "a", "metadata": {"x": 1}}]}),
        ("stats", {"collection": "words"}),
        ("fetch", {"collection": "words", "ids": ["a"]}),
        ("scroll", {"collection": "words", "limit": 1}),
        ("query", {"collection": "words", "vector": [1, 1], "k": 1}),
        ("count", {"collection": "words"}),
        ("warm", {"collection": "words"}),
        ("set_alias", {"alias": "live", "collection": "words"}),
        ("list_aliases", {}),
        ("move_collection", {"collection": "live", "engine": "hnsw"}),
        ("undo_move", {"collection": "live"}),
        ("delete_alias", {"alias": "live"}),
        ("create_snapshot", {"collection": "words", "snapshot": "monday"}),
        ("list_snapshots", {"collection": "words"}),
        ("restore", {"collection": "words", "snapshot": "monday", "into": "again"}),
        ("delete_snapshot", {"collection": "words", "snapshot": "monday"}),
        ("delete", {"collection": "words", "ids": ["a"]}),
        ("show_deletion", {"collection": "words", "id": "0" * 32}),
        ("delete_collection", {"collection": "words"}),
    ]
    answers: dict[str, Any] = {name: function.answer({"operation": name, **rest}) for name, rest in steps}
    assert set(answers) == {operation.name for operation in OPERATIONS}
    assert answers.pop("show_deletion")["problem"]["code"] == "deletion_not_found"
    assert answers["set_alias"]["result"] == {"alias": "live", "collection": "words"}
    made = {"create_collection", "create_snapshot", "restore"}
    assert {answers[name]["status"] for name in made} == {201}
    assert {answer["status"] for name, answer in answers.items() if name not in made} == {200}
    assert answers["move_collection"]["result"]["stage"] == "done", "it is there already"
    assert answers["query"]["result"]["matches"][0]["id"] == "a"
    assert answers["fetch"]["result"]["vectors"] == [
        {"id": "a", "version": 2, "values": [1.0, 1.0], "metadata": {"x": 1}}
    ]
    json.dumps(answers)


@pytest.mark.parametrize(
    ("event", "status", "field"),
    [
        ({}, 400, "operation"),
        ({"operation": 7}, 400, "operation"),
        ({"operation": "drop"}, 400, "operation"),
        ({"operation": "query", "vector": [1]}, 400, "collection"),
        ({"operation": "list_collections", "collection": "words"}, 400, "collection"),
        ({"operation": "set_alias", "alias": "live"}, 400, "collection"),
        ({"operation": "delete_snapshot", "collection": "words", "snapshot": "a/b"}, 400, "snapshot"),
        ({"operation": "stats", "collection": "words", "verbose": True}, 400, "verbose"),
        ({"operation": "query", "collection": "words", "k": "5"}, 400, "k"),
        ({"operation": "stats", "collection": "words", "tenant": "No Tenant"}, 400, "tenant"),
        ({"operation": "stats", "collection": "absent"}, 404, None),
        ({"operation": "stats", "collection": "words", "tenant": "demo\n"}, 400, "tenant"),
        ({**UPSERT, "vectors": [{"id": "\ud800", "values": [1]}]}, 400, None),
        ({**UPSERT, "vectors": [{"id": "a", "values": [1], "metadata": {"x": math.nan}}]}, 400, None),
        ({**UPSERT, "\ud800": 1}, 400, None),
        ({"operation": "query", "collection": "words", "vector": [1], "max_distance": math.inf}, 400, None),
        ({"operation": "stats", "collection": "\ud800"}, 400, None),
        (["operation"], 400, None),
        (7, 400, None),
    ],
)
def test_wrong_events_are_problems(function: Called, event: Any, status: int, field: str | None) -> None:
    answer = function.answer(event)
    assert (answer["status"], answer["problem"].get("field")) == (status, field)


def test_without_a_default_the_tenant_must_be_named(module: ModuleType, store: VectorStore) -> None:
    function = Called(module, store)
    assert function.answer({"operation": "list_collections"})["problem"]["field"] == "tenant"
    assert function.answer({"operation": "list_collections", "tenant": "demo"})["status"] == 200


def test_messages_that_fail_return_to_the_queue(function: Called) -> None:
    records = [{"messageId": str(number), "body": body} for number, body in enumerate(["good", "bad", "good"])]
    assert function.answer({"Records": records}) == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert function.carried.bodies == ["good", "bad", "good"]
    assert function.carried.seconds == {250.0}


def test_it_is_assembled_from_its_environment_and_leaves_nothing_of_a_process_that_was_killed(
    module: ModuleType, session: boto3.session.Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    killed = tmp_path / "anfl-vector-processing" / "anfl-vectors-x" / "rows"
    killed.parent.mkdir(parents=True)
    killed.touch()
    url = session.client("sqs").create_queue(QueueName="chunks")["QueueUrl"]
    for name, value in {
        "ANFL_ENVIRONMENT": "dev",
        "CATALOGUE_TABLE": TABLE,
        "VECTORS_BUCKET": BUCKET,
        "CHUNKS_QUEUE_URL": url,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("anfl.aws.session", lambda: session)
    answer = module.handler({"operation": "list_collections", "tenant": "demo"}, Invocation(seconds=250))
    assert answer == {"status": 200, "result": {"collections": []}}
    (folder,) = (tmp_path / "anfl-vector-processing").iterdir()
    assert folder != killed.parent
    assert [path.name for path in tmp_path.iterdir()] == ["anfl-vector-processing"]


def test_each_event_is_measured_by_its_operation(function: Called, capsys: pytest.CaptureFixture[str]) -> None:
    function.answer({"operation": "list_collections"})
    function.answer({"operation": "describe_collection", "collection": "nothing"})
    function.answer({"operation": "made-up-by-a-caller"})
    function.answer({"Records": [{"messageId": "1", "body": "good"}, {"messageId": "2", "body": "bad"}]})
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["Operation"], line["Outcome"]) for line in lines] == [
        ("list_collections", "ok"),
        ("describe_collection", "refused"),
        ("unknown", "refused"),
        ("import_chunk", "ok"),
        ("import_chunk", "failed"),
    ]
    assert {line["Function"] for line in lines} == {"vector-processing"}
