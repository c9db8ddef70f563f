"""One contract for both engines. Whatever a test skips is in the capability matrix, and refused as that says."""

import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from anfl.vectors.dynamodb.capabilities import Capability
from tests.local.dynamodb_engine.contract import DIMENSION, ENGINES, REFUSED, VECTOR, WITHOUT_HTTP, Api, refuses

METRICS = ("cosine", "l2", "ip")
COUNT, K = 400, 10
FILTERS: list[dict[str, Any]] = [
    {},
    {"tag": "a"},
    {"tag": {"$eq": "b"}},
    {"tag": "c", "flag": True},
    {"n": 3},
    {"n": 3.0, "tag": "a"},
    {"flag": False},
    {"tag": {"$in": ["a", "c", "nobody"]}},
    {"$and": [{"tag": {"$in": ["a", "b"]}}, {"n": {"$in": [1, 2, 3]}}]},
    {"$or": [{"tag": "a"}, {"n": 2}, {"flag": True, "n": 4}]},
    {"$and": [{"$or": [{"tag": "a"}, {"tag": "b"}]}, {"flag": True}]},
    {"$and": [{"tag": "a"}, {"tag": "b"}]},
    {"tag": "nobody"},
    {"n": "3"},
]
"""What queries of both engines take."""


def fulfils(metadata: dict[str, Any], condition: dict[str, Any]) -> bool:
    """What a filter means, told once more and as plainly as it goes."""
    return all(_member(metadata, name, wanted) for name, wanted in condition.items())


def _member(metadata: dict[str, Any], name: str, wanted: Any) -> bool:
    if name == "$and":
        return all(fulfils(metadata, each) for each in wanted)
    if name == "$or":
        return any(fulfils(metadata, each) for each in wanted)
    choices = wanted["$in"] if isinstance(wanted, dict) and "$in" in wanted else [_operand(wanted)]
    value = metadata.get(name)
    return any(value == each and isinstance(value, str) == isinstance(each, str) for each in choices)


def _operand(wanted: Any) -> Any:
    return wanted["$eq"] if isinstance(wanted, dict) else wanted


class Data:
    """Rows as they come from an embedding model: no two alike, some without a field."""

    def __init__(self, seed: int) -> None:
        dice = np.random.default_rng(seed)
        self.values: NDArray[np.float32] = dice.normal(size=(COUNT, DIMENSION)).astype(np.float32)
        self.queries: NDArray[np.float32] = dice.normal(size=(3, DIMENSION)).astype(np.float32)
        self.metadata: list[dict[str, Any]] = [
            {
                name: value
                for name, value, is_there in (
                    ("tag", "abc"[int(dice.integers(3))], dice.random() < 0.9),
                    ("n", int(dice.integers(6)), dice.random() < 0.9),
                    ("flag", bool(dice.integers(2)), dice.random() < 0.9),
                )
                if is_there
            }
            for _ in range(COUNT)
        ]
        self.rows = [
            {"id": f"r{number:03}", "values": values.tolist(), "metadata": metadata}
            for number, (values, metadata) in enumerate(zip(self.values, self.metadata, strict=True))
        ]

    def nearest(self, query: NDArray[np.float32], metric: str, condition: dict[str, Any]) -> list[tuple[str, float]]:
        """Exact, in float64."""
        rows, one = self.values.astype(float), query.astype(float)
        if metric == "l2":
            distances = np.linalg.norm(rows - one, axis=1)
        else:
            distances = -(rows @ one)
            if metric == "cosine":
                distances = 1 + distances / np.linalg.norm(rows, axis=1) / np.linalg.norm(one)
        allowed = [number for number in range(COUNT) if fulfils(self.metadata[number], condition)]
        best = sorted(allowed, key=lambda number: distances[number])[:K]
        return [(f"r{number:03}", float(distances[number])) for number in best]


@pytest.mark.parametrize("metric", METRICS)
def test_every_supported_filter_finds_exactly_the_nearest(api: Api, metric: str) -> None:
    """Recall 1.0 of both engines, and distances within 1e-5 of the exact ones, hence of each other."""
    data = Data(METRICS.index(metric))
    api.create(metric=metric)
    assert api.upsert(*data.rows)["upserted"] == COUNT
    for condition in FILTERS:
        for query in data.queries:
            expected = data.nearest(query, metric, condition)
            found = api.query(vector=query.tolist(), k=K, filter=condition)
            assert [match["id"] for match in found] == [row_id for row_id, _ in expected], condition
            distances = [match["distance"] for match in found]
            assert np.allclose(distances, [distance for _, distance in expected], rtol=0, atol=1e-5)


def test_a_query_is_by_a_vector_several_or_a_row(api: Api) -> None:
    data = Data(7)
    api.create(metric="l2")
    api.upsert(*data.rows)
    several = api.call("POST", "/query", {"vectors": data.queries.tolist(), "k": 3})["results"]
    assert [each["matches"] for each in several] == [api.query(vector=each.tolist(), k=3) for each in data.queries]
    around = api.query(id="r007", k=5)
    exact = [row_id for row_id, _ in data.nearest(data.values[7], "l2", {})]
    assert [match["id"] for match in around] == exact[1:6]
    assert api.call("POST", "/query", {"id": "nobody"}, status=404)["code"] == "row_not_found"
    farthest = around[2]["distance"]
    near = api.query(id="r007", k=5, max_distance=farthest + 1e-6, include=["values", "metadata"])
    assert [match["id"] for match in near] == exact[1:4]
    for match in near:
        number = int(match["id"][1:])
        assert match["values"] == data.values[number].astype(float).tolist()
        assert match.get("metadata", {}) == data.metadata[number]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({}, "vector"),
        ({"vector": VECTOR, "id": "a"}, "vector"),
        ({"vector": [1.0]}, "vector"),
        ({"vector": VECTOR, "k": 0}, "k"),
        ({"vector": VECTOR, "filter": {"$what": 1}}, "filter.$what"),
        ({"vector": [0.0] * DIMENSION}, "vector"),
    ],
)
def test_a_query_that_is_wrong(api: Api, request_: dict[str, Any], field: str) -> None:
    api.create()
    refused = api.call("POST", "/query", request_, status=400)
    assert (refused["code"], refused["field"]) == ("invalid_request", field)


def test_rows_are_there_as_they_came_and_change_as_they_are_told(api: Api) -> None:
    api.create()
    rows = [{"id": f"r{n}", "values": VECTOR, "metadata": {"n": n, "free": [n, "x", None]}} for n in range(5)]
    assert api.upsert(*rows)["upserted"] == 5
    fetched = api.call("POST", "/vectors/fetch", {"ids": ["r3", "nobody", "r1"]})["vectors"]
    assert [(row["id"], row["values"], row["metadata"]) for row in fetched] == [
        ("r3", VECTOR, rows[3]["metadata"]),
        ("r1", VECTOR, rows[1]["metadata"]),
    ]
    patch = {"vectors": [{"id": "r1", "metadata": {"free": None, "tag": "t"}}, {"id": "nobody", "metadata": {}}]}
    assert api.call("PATCH", "/vectors", patch)["patched"] == 1
    (row,) = api.call("POST", "/vectors/fetch", {"ids": ["r1"]})["vectors"]
    assert row["metadata"] == {"n": 1, "tag": "t"}
    assert row["version"] != fetched[1]["version"]
    assert api.call("POST", "/vectors/delete", {"ids": ["r1", "r2", "nobody"]})["deleted"] == 2
    assert api.call("POST", "/count", {})["count"] == 3
    assert api.call("GET", "/stats")["rows"] == 3


def test_versions_are_demanded(api: Api) -> None:
    api.create()
    new = {"id": "a", "values": VECTOR, "if_version": 0}
    api.upsert(new)
    assert api.call("PUT", "/vectors", {"vectors": [{**new, "id": "b"}, new]}, status=409)["code"] == "version_conflict"
    assert api.call("POST", "/count", {})["count"] == 1
    version = api.call("POST", "/vectors/fetch", {"ids": ["a"]})["vectors"][0]["version"]
    api.upsert({**new, "if_version": version, "metadata": {"n": 1}})
    for method, row in (("PUT", new), ("PATCH", {"id": "a", "metadata": {"n": 2}})):
        refused = api.call(method, "/vectors", {"vectors": [{**row, "if_version": version}]}, status=409)
        assert (refused["code"], refused["field"]) == ("version_conflict", "vectors[0].if_version")
    assert api.call("POST", "/vectors/fetch", {"ids": ["a"]})["vectors"][0]["metadata"] == {"n": 1}


def test_a_request_is_applied_once(api: Api) -> None:
    api.create()
    rows = [{"id": f"r{n:03}", "values": VECTOR} for n in range(150)]
    first = api.upsert(*rows, request_id="one")
    api.call("POST", "/vectors/delete", {"ids": ["r000"]})
    assert api.upsert(*rows, request_id="one") == first
    assert api.call("POST", "/count", {})["count"] == 149
    changed = {"vectors": [{"id": "z", "values": VECTOR}], "request_id": "two"}
    api.call("PUT", "/vectors", changed)
    other = {"vectors": [{"id": "y", "values": VECTOR}], "request_id": "two"}
    assert api.call("PUT", "/vectors", other, status=409)["code"] == "request_id_reused"
    delete = {"ids": ["r001", "r002"], "request_id": "three"}
    for _ in range(2):
        assert api.call("POST", "/vectors/delete", delete)["deleted"] == 2


def test_an_id_is_of_one_request_whatever_that_does(api: Api) -> None:
    api.create()
    rows = {"vectors": [{"id": name, "values": VECTOR, "metadata": {"tag": name}} for name in "ab"]}
    api.call("PUT", "/vectors", {**rows, "request_id": "upsert"})
    assert api.deleted({"tag": "a"}, request_id="deletion") == 1
    reused = [
        ("PUT", "/vectors", {**rows, "request_id": "deletion"}),
        ("POST", "/vectors/delete", {"ids": ["b"], "request_id": "deletion"}),
        ("POST", "/vectors/delete", {"filter": {"tag": "b"}, "request_id": "deletion"}),
        ("POST", "/vectors/delete", {"filter": {"tag": "b"}, "request_id": "upsert"}),
    ]
    for method, path, body in reused:
        assert api.call(method, path, body, status=409)["code"] == "request_id_reused"
    api.upsert(rows["vectors"][0])
    assert api.deleted({"tag": "a"}, request_id="deletion") == 1  # told once more, and not done
    assert api.call("POST", "/count", {})["count"] == 2


def test_a_batch_is_all_or_nothing(api: Api) -> None:
    api.create()
    wrong = [{"id": "a", "values": VECTOR}, {"id": "b", "values": VECTOR, "metadata": {"n": "no number"}}]
    for atomic in (True, False):
        refused = api.call("PUT", "/vectors", {"vectors": wrong, "atomic": atomic}, status=400)
        assert refused["field"] == "vectors[1].metadata.n"
    assert api.call("POST", "/count", {})["count"] == 0


def test_what_has_expired_is_not_there(api: Api) -> None:
    api.create(metric="l2")
    soon = time.time() + 1.5
    api.upsert({"id": "stays", "values": VECTOR}, {"id": "goes", "values": VECTOR, "expires_at": soon})
    assert len(api.query(vector=VECTOR)) == 2
    time.sleep(max(0.0, soon - time.time()) + 0.05)
    assert [match["id"] for match in api.query(vector=VECTOR, k=1)] == ["stays"]
    assert [row["id"] for row in api.call("GET", "/vectors")["vectors"]] == ["stays"]
    assert api.call("POST", "/vectors/fetch", {"ids": ["goes"]})["vectors"] == []
    assert api.call("POST", "/count", {})["count"] == api.call("GET", "/stats")["rows"] == 1
    api.upsert({"id": "goes", "values": VECTOR, "if_version": 0})


ANY_FILTERS: list[tuple[dict[str, Any], int]] = [
    ({"n": {"$gte": 50}}, 50),
    ({"$not": {"tag": "a"}}, 50),
    ({"free": {"$contains": 3}}, 10),
    ({"tag": "a", "n": {"$lt": 10}}, 5),
    ({"free": {"$exists": False}}, 0),
    ({"$and": [{"n": {"$lt": 2**70}}, {"n": {"$gte": 40}}], "tag": {"$nin": [-(2**70), 10**400]}}, 60),
]
"""What every other read of both engines takes."""


@pytest.mark.parametrize(("condition", "count"), ANY_FILTERS)
def test_scrolling_counting_exporting_and_deleting_take_any_filter(
    api: Api, condition: dict[str, Any], count: int
) -> None:
    api.create()
    rows = [
        {"id": f"r{n:02}", "values": VECTOR, "metadata": {"n": n, "tag": "ab"[n % 2], "free": [n % 10]}}
        for n in range(100)
    ]
    api.upsert(*rows)
    assert api.call("POST", "/count", {"filter": condition})["count"] == count
    found: list[str] = []
    cursor: dict[str, Any] = {}
    while True:
        page = api.call("GET", "/vectors", limit=7, filter=condition, include="values", **cursor)
        found += [row["id"] for row in page["vectors"]]
        assert all(row["values"] == VECTOR and "metadata" not in row for row in page["vectors"])
        if "cursor" not in page:
            break
        cursor = {"cursor": page["cursor"]}
    assert len(found) == count
    assert found == sorted(set(found))
    exported = api.client.get(f"/v1/collections/{api.name}/export").text.splitlines()
    assert len(exported) == 100
    assert api.deleted(condition) == count
    assert api.call("POST", "/count", {})["count"] == 100 - count
    assert api.call("POST", "/count", {"filter": condition})["count"] == 0


def test_an_import_and_an_export(api: Api) -> None:
    api.create()
    rows = [{"id": f"r{n:04}", "values": VECTOR, "metadata": {"n": n}} for n in range(1_200)]
    done = api.imported(*rows, {"id": "short", "values": [1.0]})
    assert (done["state"], done["stored"], done["refused"]) == ("DONE", 1_200, 1)
    lines = api.client.get(f"/v1/collections/{api.name}/export", params={"include": "metadata"}).text.splitlines()
    assert len(lines) == 1_200
    assert '"id":"r0007"' in lines[7]


def test_a_collection_is_listed_named_described_warmed_and_deleted(api: Api) -> None:
    api.create()
    api.upsert({"id": "a", "values": VECTOR})
    alias = f"{api.name}-live"
    assert api.client.post("/v1/aliases", json={"alias": alias, "collection": api.name}).status_code == 200
    assert api.client.post(f"/v1/collections/{alias}/count", json={}).json()["count"] == 1
    described = api.call("GET", "")
    assert (described["engine"], "index" in described) == (api.engine, api.engine == "hnsw")
    assert api.name in [each["name"] for each in api.client.get("/v1/collections").json()["collections"]]
    assert api.call("POST", "/warm")["status"] == "loaded"
    api.call("DELETE", "")
    assert api.call("POST", "/count", {}, status=404)["code"] == "collection_not_found"
    assert api.client.post(f"/v1/collections/{alias}/count", json={}).status_code == 404
    api.work()
    api.create()
    assert api.call("POST", "/count", {})["count"] == 0


def test_another_tenants_collection_is_not_there(api: Api) -> None:
    api.create()
    api.upsert({"id": "a", "values": VECTOR})
    stranger = {"authorization": "Bearer other.admin"}
    address = f"/v1/collections/{api.name}"
    for method, path, body in (("POST", "/query", {"vector": VECTOR}), ("GET", "/vectors", None), ("DELETE", "", None)):
        assert api.client.request(method, address + path, json=body, headers=stranger).status_code == 404
    mine = {"name": api.name, "dimension": DIMENSION, "fields": {}, "engine": api.engine}
    assert api.client.post("/v1/collections", json=mine, headers=stranger).status_code == 201
    empty = api.client.post(f"{address}/query", json={"vector": VECTOR}, headers=stranger)
    assert empty.json()["matches"] == []
    assert len(api.query(vector=VECTOR)) == 1


# What one engine has only


def test_many_matches(api: Api) -> None:
    api.create()
    api.upsert(*({"id": f"r{n}", "values": VECTOR} for n in range(150)))
    assert len(api.query(vector=VECTOR, k=100)) == 100
    assert len(api.query(id="r0", k=99)) == 99
    by_row = api.client.post(f"/v1/collections/{api.name}/query", json={"id": "r0", "k": 100})
    assert by_row.status_code == (400 if api.engine == "dynamodb" else 200)
    api.needs(Capability.MANY_MATCHES)
    assert len(api.query(vector=VECTOR, k=150)) == 150
    assert len(api.query(id="r0", k=100)) == 100


def test_strong_queries(api: Api) -> None:
    api.create()
    api.needs(Capability.FRESH_QUERY)
    api.upsert({"id": "a", "values": VECTOR})
    assert len(api.query(vector=VECTOR, consistency="strong")) == 1


def test_ef(api: Api) -> None:
    api.create()
    api.needs(Capability.EF)
    assert api.query(vector=VECTOR, ef=100) == []


def test_ordered_conditions_in_queries(api: Api) -> None:
    api.create()
    api.needs(Capability.OTHER_CONDITIONS)
    api.upsert({"id": "a", "values": VECTOR, "metadata": {"n": 1}}, {"id": "b", "values": VECTOR, "metadata": {"n": 3}})
    assert [match["id"] for match in api.query(vector=VECTOR, filter={"n": {"$gt": 2}})] == ["b"]


def test_many_alternatives(api: Api) -> None:
    api.create()
    api.upsert(*({"id": f"r{n}", "values": VECTOR, "metadata": {"n": n}} for n in range(12)))
    assert len(api.query(vector=VECTOR, filter={"n": {"$in": list(range(8))}})) == 8
    api.needs(Capability.MANY_SEARCHES)
    assert len(api.query(vector=VECTOR, filter={"n": {"$in": list(range(9))}})) == 9


def test_filters_on_undeclared_fields(api: Api) -> None:
    api.create()
    api.needs(Capability.UNDECLARED_FIELDS)
    api.upsert({"id": "a", "values": VECTOR, "metadata": {"free": 1}})
    assert len(api.query(vector=VECTOR, filter={"free": 1})) == 1


def test_declared_lists(api: Api) -> None:
    api.needs(Capability.LIST_FIELDS)
    api.create(fields={"tags": "string[]"})


def test_extreme_numbers(api: Api) -> None:
    api.create()
    api.needs(Capability.EXTREME_NUMBERS)
    api.upsert({"id": "a", "values": VECTOR, "metadata": {"n": 1e200}})
    assert len(api.query(vector=VECTOR, filter={"n": 1e200})) == 1


def test_a_changed_index(api: Api) -> None:
    api.create()
    api.needs(Capability.INDEX)
    assert api.call("PATCH", "", {"index": {"ef_search": 100}})["index"]["ef_search"] == 100


def test_new_fields(api: Api) -> None:
    api.create()
    api.needs(Capability.NEW_FIELDS)
    assert api.call("PATCH", "", {"fields": {"more": "string"}})["fields"] == {"more": "string"}


def test_named_snapshots(api: Api) -> None:
    api.create()
    for method, path, body in (
        ("GET", "/snapshots", None),
        ("POST", "/snapshots/delete", {"snapshot": "monday"}),
        ("POST", "/restore", {"snapshot": "monday", "into": "elsewhere"}),
    ):
        answer = api.client.request(method, f"/v1/collections/{api.name}{path}", json=body)
        refused = answer.json().get("code") == "not_supported_by_engine"
        assert refused == (api.engine == "dynamodb")
    api.needs(Capability.SNAPSHOTS)
    assert api.call("POST", "/snapshots", {"snapshot": "monday"}, status=201)["rows"] == 0


def test_every_refusal_of_the_matrix_is_made_over_http(api: Api) -> None:
    for capability in set(Capability) - WITHOUT_HTTP:
        assert REFUSED[capability].keys() == set(capability.value.operations)
    if api.engine == ENGINES[1]:
        api.create()
        for capability in REFUSED:
            refuses(api, capability)
