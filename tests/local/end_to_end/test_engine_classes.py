"""Collections of the engine ``dynamodb`` in the table that the templates declare for dev's class, under each role."""

import uuid
from typing import Any

import pytest

from anfl.resources import engine_class_table
from tests.local.end_to_end.running import Run, operator
from tests.local.end_to_end.test_functions import Invoke, invoker

DIMENSION = 384
FIELDS = {"kind": "string", "rank": "number"}


def axis(number: int) -> list[float]:
    """A vector that is orthogonal to all others."""
    return [float(place == number) for place in range(DIMENSION)]


def rows() -> list[dict[str, Any]]:
    return [
        {
            "id": f"row-{number}",
            "values": axis(number),
            "metadata": {"kind": "odd" if number % 2 else "even", "rank": 7},
        }
        for number in range(4)
    ]


def new() -> dict[str, Any]:
    name = f"c-{uuid.uuid4().hex[:8]}"
    return {"name": name, "dimension": DIMENSION, "metric": "cosine", "engine": "dynamodb", "fields": FIELDS}


def kept_by_the_service(run: Run) -> str:
    """A collection that is made, filled, searched, changed and deleted. Its rows go half a minute later."""
    made = new()
    with run.client("writer") as client:
        created = client.post("/v1/collections", json=made)
        assert (created.status_code, created.json()["engine"]) == (201, "dynamodb")
        own = f"/v1/collections/{made['name']}"
        assert client.put(f"{own}/vectors", json={"vectors": rows()}).json()["upserted"] == 4
        query = {"vector": axis(1), "k": 2, "filter": {"kind": "odd", "rank": 7}}
        matches = client.post(f"{own}/query", json=query).json()["matches"]
        assert [(match["id"], round(match["distance"], 6)) for match in matches] == [("row-1", 0), ("row-3", 1)]
        patch = {"vectors": [{"id": "row-3", "metadata": {"kind": "even"}}]}
        assert client.patch(f"{own}/vectors", json=patch).json()["patched"] == 1
        assert client.post(f"{own}/vectors/delete", json={"ids": ["row-0"]}).json()["deleted"] == 1
        fetched = client.post(f"{own}/vectors/fetch", json={"ids": ["row-0", "row-3"]}).json()["vectors"]
        assert [(row["id"], row["metadata"]["kind"]) for row in fetched] == [("row-3", "even")]
        scrolled = client.get(f"{own}/vectors").json()["vectors"]
        assert [row["id"] for row in scrolled] == ["row-1", "row-2", "row-3"]
        assert client.delete(own).is_success
    return str(made["name"])


def kept_by_the_function(invoke: Invoke) -> str:
    """The same by direct invocation; its rows go at once."""
    made = new()

    def call(operation: str, **members: Any) -> Any:
        answer = invoke("vector-processing", {"operation": operation, "collection": made["name"], **members})
        assert answer["status"] == 200, answer
        return answer["result"]

    assert invoke("vector-processing", {"operation": "create_collection", **made})["status"] == 201
    assert call("upsert", vectors=rows())["upserted"] == 4
    assert [match["id"] for match in call("query", vector=axis(2), k=1)["matches"]] == ["row-2"]
    assert call("delete", ids=["row-0"])["deleted"] == 1
    assert [row["id"] for row in call("scroll")["vectors"]] == ["row-1", "row-2", "row-3"]
    call("delete_collection")
    return str(made["name"])


def test_the_service_keeps_a_collection_in_the_table_of_its_class(run: Run) -> None:
    kept_by_the_service(run)


def test_the_function_does_and_leaves_nothing(run: Run) -> None:
    dynamodb = operator(run, "dynamodb")
    table = engine_class_table(run.document["environment"], "sample")

    def partitions() -> set[str]:
        pages = dynamodb.get_paginator("scan").paginate(TableName=table)
        return {item["pk"]["S"].rpartition("#")[0] for page in pages for item in page["Items"]}

    before = partitions()
    kept_by_the_function(invoker(run))
    assert partitions() <= before


@pytest.mark.parametrize(
    "changed", [{"dimension": 3}, {"metric": "l2"}, {"fields": {f"f{n}": "number" for n in range(5)}}]
)
def test_what_no_class_is_made_for_is_refused_with_those_that_are(run: Run, changed: dict[str, Any]) -> None:
    with run.client("writer") as client:
        refused = client.post("/v1/collections", json=new() | changed)
    assert (refused.status_code, refused.json()["code"]) == (400, "no_engine_class")
    assert "sample (384, cosine, 4 strings, 4 numbers)" in refused.json()["detail"]
