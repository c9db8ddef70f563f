"""The vector API over both engines, which both keep what they have in the embedded AWS."""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
import httpx
import msgspec
import pytest

from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.dynamodb.build import engine_over
from anfl.vectors.dynamodb.capabilities import Capability
from anfl.vectors.imports.requests import Uploads
from anfl.vectors.objects import S3ObjectStore
from anfl.vectors.store import VectorStore
from local.tables import create_table
from services.vector_store.app import assemble
from tests.local.aws.conftest import REGION, Aws
from tests.local.dynamodb_engine.classes import CLASSES, table_of
from tests.unit.vectors.builders import storage
from tests.unit.vectors.importing import BUCKET, TABLE, MemoryQueue, Place, carry_out_all
from tests.unit.vectors.serving import PlainTokens, served

ENGINES = ("hnsw", "dynamodb")
DIMENSION = 8
FIELDS = {"tag": "string", "n": "number", "flag": "boolean"}
VECTOR = [1.0] * DIMENSION
LISTED = {"dimension": DIMENSION, "fields": {"tags": "string[]"}}
REFUSED: dict[Capability, dict[str, tuple[str, str, dict[str, Any], str | None]]] = {
    Capability.MANY_MATCHES: {"query": ("POST", "/query", {"vector": VECTOR, "k": 101}, "k")},
    Capability.FRESH_QUERY: {
        "query": ("POST", "/query", {"vector": VECTOR, "consistency": "strong"}, "consistency"),
    },
    Capability.EF: {"query": ("POST", "/query", {"vector": VECTOR, "ef": 100}, "ef")},
    Capability.OTHER_CONDITIONS: {
        "query": ("POST", "/query", {"vector": VECTOR, "filter": {"n": {"$gt": 1}}}, "filter.n"),
    },
    Capability.MANY_SEARCHES: {
        "query": ("POST", "/query", {"vector": VECTOR, "filter": {"n": {"$in": list(range(9))}}}, "filter"),
    },
    Capability.UNDECLARED_FIELDS: {
        "query": ("POST", "/query", {"vector": VECTOR, "filter": {"free": 1}}, "filter.free"),
    },
    Capability.LIST_FIELDS: {
        "create_collection": ("POST", "", {"name": "listed", "engine": "dynamodb", **LISTED}, "fields.tags"),
        "move_collection": ("POST", "/move", {"engine": "dynamodb"}, "fields.tags"),
    },
    Capability.EXTREME_NUMBERS: {
        "upsert": (
            "PUT",
            "/vectors",
            {"vectors": [{"id": "x", "values": VECTOR, "metadata": {"n": 1e200}}]},
            "vectors[0].metadata.n",
        ),
        "patch": (
            "PATCH",
            "/vectors",
            {"vectors": [{"id": "x", "metadata": {"n": -1e-200}}]},
            "vectors[0].metadata.n",
        ),
    },
    Capability.INDEX: {
        "create_collection": (
            "POST",
            "",
            {"name": "tuned", "engine": "dynamodb", "dimension": DIMENSION, "index": {"m": 8}},
            "index",
        ),
        "update_collection": ("PATCH", "", {"index": {"ef_search": 100}}, "index"),
    },
    Capability.NEW_FIELDS: {"update_collection": ("PATCH", "", {"fields": {"more": "string"}}, "fields")},
    Capability.SNAPSHOTS: {
        "create_snapshot": ("POST", "/snapshots", {"snapshot": "monday"}, None),
        "list_snapshots": ("GET", "/snapshots", {}, None),
        "delete_snapshot": ("POST", "/snapshots/delete", {"snapshot": "monday"}, None),
        "restore": ("POST", "/restore", {"snapshot": "monday", "into": "elsewhere"}, None),
    },
}
"""How each thing that the engine ``dynamodb`` lacks is asked for over HTTP by each operation that lacks it, and the
field that is named."""
WITHOUT_HTTP = {Capability.DIRECT_DELETION}


@dataclass
class Api:
    """One engine behind the API; ``client`` is the tenant's."""

    engine: str
    client: httpx.Client
    place: Place
    work: Callable[[], None]
    name: str = field(default_factory=lambda: f"c{uuid.uuid4().hex[:12]}")

    def create(self, **settings: Any) -> None:
        """The collection of this test."""
        given = {"dimension": DIMENSION, "fields": FIELDS, "engine": self.engine, **settings}
        answer = self.client.post("/v1/collections", json={"name": self.name, **given})
        assert answer.status_code == 201, answer.text

    def call(self, method: str, path: str, body: Any = None, *, status: int = 200, **query: Any) -> Any:
        """The answer, which has this status."""
        shown = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in query.items()}
        answer = self.client.request(method, f"/v1/collections/{self.name}{path}", json=body, params=shown)
        assert answer.status_code == status, answer.text
        return answer.json()

    def upsert(self, *rows: dict[str, Any], **more: Any) -> Any:
        """Store rows, which may go in parts."""
        return self.call("PUT", "/vectors", {"vectors": rows, "atomic": False, **more})

    def query(self, **request: Any) -> Any:
        """The matches."""
        return self.call("POST", "/query", request)["matches"]

    def imported(self, *rows: dict[str, Any]) -> Any:
        """What became of an import of these rows."""
        text = "\n".join(map(json.dumps, rows)).encode()
        begun = self.call("POST", "/imports", {"files": [{"format": "jsonl", "bytes": len(text)}]}, status=201)
        self.place.upload(msgspec.convert(begun, Uploads), jsonl=text)
        assert self.client.post(f"/v1/imports/{begun['id']}/start").status_code == 200
        self.work()
        return self.client.get(f"/v1/imports/{begun['id']}").json()

    def deleted(self, filter_: dict[str, Any], **more: Any) -> int:
        """How many rows a deletion by filter has removed, at once or by a job."""
        answer = self.client.post(f"/v1/collections/{self.name}/vectors/delete", json={"filter": filter_, **more})
        if answer.status_code == 202:
            self.work()
            shown = self.call("GET", f"/deletions/{answer.json()['id']}")
            assert shown["state"] == "DONE"
            return int(shown["deleted"])
        assert answer.status_code == 200, answer.text
        return int(answer.json()["deleted"])

    def needs(self, capability: Capability) -> None:
        """Skip what follows where the engine lacks it, once the very refusal has been seen."""
        if self.engine == "dynamodb":
            refuses(self, capability)
            pytest.skip(f"the engine dynamodb has no {capability.name}: 400, as it should be")


def refuses(api: Api, capability: Capability) -> None:
    """Each operation is exactly 400, names the field, and says what does instead."""
    limit = capability.value
    for operation, (method, path, body, field_) in REFUSED[capability].items():
        name = _to_be_moved(api) if operation == "move_collection" else api.name
        address = "/v1/collections" if operation == "create_collection" else f"/v1/collections/{name}{path}"
        answer = api.client.request(method, address, json=body or None)
        document = answer.json()
        assert (answer.status_code, document["code"]) == (400, "not_supported_by_engine"), answer.text
        assert document.get("field") == field_
        assert document["detail"] == f"The engine dynamodb does not offer {limit.what}: {limit.instead}.".replace(
            "`", ""
        )


def _to_be_moved(api: Api) -> str:
    """The alias of a collection of the other engine that has a declared list."""
    name = f"{api.name}-listed"
    alias = {"alias": f"{name}-alias", "collection": name}
    for path, body in (("collections", {"name": name, **LISTED}), ("aliases", alias)):
        assert api.client.post(f"/v1/{path}", json=body).is_success
    return alias["alias"]


@contextmanager
def serving(aws: Aws) -> Iterator[tuple[httpx.Client, Place, Callable[[], None]]]:
    """A service that has both engines, what its imports are made of, and what carries out the jobs that wait."""
    create_table(aws.client("dynamodb"), TABLE)
    aws.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    session = boto3.session.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name=REGION)
    catalogue, queue, clock = Catalogue(session.resource("dynamodb").Table(TABLE)), MemoryQueue(), Clock()
    tables = {each: table_of(each) for each in CLASSES}
    engine = engine_over(aws.client("dynamodb"), tables, clock=clock, jobs=queue)
    objects = S3ObjectStore(aws.client("s3"), BUCKET)
    store = VectorStore(catalogue, storage(objects, clock=clock), distributed=engine)
    place = Place(session, catalogue, store, function_bytes=0)

    def work() -> None:
        place.work()
        carry_out_all(queue, catalogue, engine)

    headers = {"authorization": "Bearer demo.admin"}
    with (
        served(assemble(store, place.imports, verifier=PlainTokens())) as url,
        httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=60) as client,
    ):
        yield client, place, work
