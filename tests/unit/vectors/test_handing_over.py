"""A worker hands writes over to the process of its node that writes; where that does not answer, it writes itself."""

import contextlib
import logging
from collections.abc import Iterator

import httpx
import pytest

from anfl.http.serve import Behind
from anfl.nodes import sending
from anfl.telemetry.metrics import Metrics
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.dynamodb.engine import DynamoDbEngine
from anfl.vectors.imports.imports import Imports
from anfl.vectors.objects import S3ObjectStore
from anfl.vectors.store import VectorStore
from services.vector_store.app import assemble
from tests.unit.vectors.builders import storage
from tests.unit.vectors.peers import dropping, dying_after, nobody, peer
from tests.unit.vectors.serving import PlainTokens, served

ROWS = {"vectors": [{"id": "a", "values": [1, 0]}, {"id": "b", "values": [0, 1]}]}
QUERY = {"vector": [1, 0], "k": 2, "consistency": "strong"}
VECTORS = "/v1/collections/words/vectors"


class Part:
    """A process of a node, as its neighbours see it."""

    def __init__(self, store: VectorStore, metrics: Metrics, client: httpx.Client) -> None:
        self.store = store
        self.client = client
        self._metrics = metrics

    @property
    def address(self) -> str:
        return self.client.base_url.netloc.decode()

    def counted(self, figure: str) -> float:
        lines = self._metrics.exposition().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(figure))

    def handed_over(self, outcome: str) -> float:
        return self.counted(f'anfl_handovers_total{{outcome="{outcome}"}}')


class Node:
    """Makes its parts."""

    def __init__(self, catalogue: Catalogue, objects: S3ObjectStore, engine: DynamoDbEngine, imports: Imports) -> None:
        self._catalogue, self._objects, self._engine, self._imports = catalogue, objects, engine, imports

    @contextlib.contextmanager
    def part(self, writer: str | None = None) -> Iterator[Part]:
        """:param writer: None: the part that writes."""
        metrics = Metrics()
        store = VectorStore(self._catalogue, storage(self._objects, clock=Clock()), distributed=self._engine)
        inner = writer is None
        service = assemble(store, self._imports, verifier=PlainTokens(), metrics=metrics, writer=writer, inner=inner)
        headers = {"authorization": "Bearer demo.admin"}
        with (
            served(service) as url,
            httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=30) as client,
        ):
            yield Part(store, metrics, client)


@pytest.fixture(name="node")
def _node(catalogue: Catalogue, objects: S3ObjectStore, engine: DynamoDbEngine, imports: Imports) -> Node:
    node = Node(catalogue, objects, engine, imports)
    with node.part() as part:
        assert part.client.post("/v1/collections", json={"name": "words", "dimension": 2}).is_success
    return node


def test_what_is_in_no_process_is_written_by_the_worker_once_it_knows_that(node: Node) -> None:
    made = {"name": "photos", "dimension": 2, "metric": "l2", "engine": "dynamodb"}
    with node.part() as writer, node.part(writer.address) as worker:
        assert worker.client.post("/v1/collections", json=made).is_success
        photos = "/v1/collections/photos"
        assert worker.client.put(f"{photos}/vectors", json=ROWS).json()["upserted"] == 2
        assert worker.client.post(f"{photos}/count", json={}).json()["count"] == 2
        before = worker.handed_over("answered")
        assert worker.client.put(f"{photos}/vectors", json=ROWS).json()["upserted"] == 2
        assert worker.handed_over("answered") == before


def test_writes_are_done_by_the_writer_reads_by_the_worker_and_each_is_counted_and_noted_once(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "anfl.http.service")
    with node.part() as writer, node.part(writer.address) as worker:
        written = worker.client.put(VECTORS, json=ROWS, headers={"x-request-id": "mine"})
        assert written.json() == {"sequence": "1.1", "upserted": 2}
        assert written.headers["x-request-id"] == "mine"
        assert not worker.store.hnsw.opened.loaded()
        assert worker.client.post("/v1/collections/words/query", json=QUERY).json()["matches"][0]["id"] == "a"
        assert worker.client.put(VECTORS, content=b"{").json()["code"] == "malformed_json"
        assert worker.handed_over("answered") == 2
        assert worker.counted("anfl_requests_total") == 3
        assert writer.counted("anfl_requests_total") == 0
    noted = [record.__dict__["status"] for record in caplog.records if record.message == "request"]
    assert noted == [200, 400]


def test_what_needs_no_memory_of_the_collection_is_not_handed_over(node: Node) -> None:
    with node.part() as writer, node.part(writer.address) as worker:
        assert worker.client.post("/v1/collections", json={"name": "more", "dimension": 2}).is_success
        assert worker.client.delete("/v1/collections/more").is_success
        assert worker.handed_over("answered") == 0


def test_a_writer_that_is_not_there_is_left_alone_and_the_worker_writes(node: Node) -> None:
    with node.part(nobody()) as worker:
        for number in range(1, 4):
            assert worker.client.put(VECTORS, json=ROWS).json()["sequence"] == f"1.{number}"
        assert worker.handed_over("unreachable") == 1


def test_a_write_whose_answer_got_lost_is_done_once_by_its_request_id_and_never_again_without(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "SUSPECT_SECONDS", 0.0)
    with node.part() as real, peer(dying_after(real.client)) as dying, node.part(dying.address) as worker:
        assert worker.client.put(VECTORS, json=ROWS | {"request_id": "once"}).json()["sequence"] == "1.1"
        refused = worker.client.put(VECTORS, json=ROWS)
        assert (refused.status_code, refused.json()["code"]) == (503, "node_lost")
        assert len(dying.requests) == 2
        assert real.client.get("/v1/collections/words/stats").json()["sequence"] == "1.2"


def test_the_caller_is_checked_before_anything_is_handed_over(node: Node) -> None:
    with peer(dropping) as writer, node.part(writer.address) as worker:
        for token, status in (("nonsense", 401), ("demo.reader", 403)):
            headers = {"authorization": f"Bearer {token}"}
            assert worker.client.put(VECTORS, json=ROWS, headers=headers).status_code == status
        assert not writer.requests


def test_a_writer_checks_who_asks_as_the_worker_did(node: Node) -> None:
    """Whatever else runs on the node reaches its socket."""
    with node.part() as writer:
        for bearer, status in (("", 401), ("Bearer nonsense", 401), ("Bearer demo.reader", 403)):
            headers = {"authorization": bearer}
            assert writer.client.put(VECTORS, json=ROWS, headers=headers).status_code == status
        other = {"authorization": "Bearer other.admin"}
        assert writer.client.put(VECTORS, json=ROWS, headers=other).status_code == 404
        assert writer.client.get("/v1/collections/words/stats").json()["rows"] == 0


def test_a_writer_listens_on_loopback_alone() -> None:
    with contextlib.closing(Behind()) as first, contextlib.closing(Behind()) as second:
        assert first.address.startswith("127.0.0.1:")
        assert first.address != second.address
