"""Both functions by direct invocation, as ``aws lambda invoke`` does it."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from local import sample
from tests.local.end_to_end.running import Run, operator

Invoke = Callable[[str, dict[str, Any]], Any]


def invoker(run: Run) -> Invoke:
    client = operator(run, "lambda")

    def call(function: str, event: dict[str, Any]) -> Any:
        name = f"anfl-{run.document['environment']}-{function}"
        response: Any = client.invoke(FunctionName=name, Payload=json.dumps(event).encode())
        payload = json.loads(response["Payload"].read())
        assert "FunctionError" not in response, payload
        return payload

    return call


@pytest.fixture
def invoke(run: Run) -> Invoke:
    return invoker(run)


def test_vector_processing_searches(invoke: Any) -> None:
    answer = invoke(
        "vector-processing", {"operation": "query", "collection": sample.COLLECTION, "id": "happiness", "k": 2}
    )

    assert answer["status"] == 200, answer
    assert [match["id"] for match in answer["result"]["matches"]] == ["joy", "contentment"]


def test_vector_processing_writes_what_the_service_reads(invoke: Any, run: Run) -> None:
    name = f"written-{time.time_ns():x}"
    created = invoke("vector-processing", {"operation": "create_collection", "name": name, "dimension": 2})
    rows = [{"id": "a", "values": [1, 0]}, {"id": "b", "values": [0, 1]}]
    written = invoke("vector-processing", {"operation": "upsert", "collection": name, "vectors": rows})
    with run.client("reader") as client:
        body = {"vector": [0, 1], "k": 1, "min_sequence": written["result"]["sequence"]}
        found = client.post(f"/v1/collections/{name}/query", json=body)

    assert (created["status"], written["status"]) == (201, 200)
    assert [match["id"] for match in found.json()["matches"]] == ["b"]


def test_vector_processing_lists_collections(invoke: Any) -> None:
    answer = invoke("vector-processing", {"operation": "list_collections"})

    assert answer["status"] == 200, answer
    assert sample.COLLECTION in {collection["name"] for collection in answer["result"]["collections"]}


def test_vector_processing_explains_a_wrong_event(invoke: Any) -> None:
    answer = invoke("vector-processing", {"operation": "nonsense"})

    assert answer["status"] == 400
    assert answer["problem"]["field"] == "operation"


def test_model_validation_inspects_a_path(invoke: Any, run: Run) -> None:
    path = f"loose-{time.time_ns():x}/weights.pkl"
    with run.client("registrar") as client:
        stored = client.put(f"/api/2.0/mlflow-artifacts/artifacts/{path}", content=b"cos\nsystem\n(S'true'\ntR.")
        assert stored.status_code == 200, stored.text
    answer = invoke("model-validation", {"operation": "inspect", "path": path})

    assert answer["status"] == 200, answer
    assert answer["result"]["status"] in {"REJECTED", "QUARANTINED"}


def test_model_validation_knows_no_absent_model(invoke: Any) -> None:
    answer = invoke("model-validation", {"operation": "inspect", "name": "absent", "version": "1"})

    assert answer["status"] == 404, answer
