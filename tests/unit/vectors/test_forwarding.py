"""Three nodes on loopback: whichever is asked, the answer is the same, whatever becomes of the others."""

import contextlib
import gzip
import json
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from anfl.auth.principal import Principal
from anfl.buckets import Settings
from anfl.http.admission import Room
from anfl.http.throttle import Throttle
from anfl.nodes import forwarding, sending
from anfl.nodes.rendezvous import owners
from anfl.nodes.sending import HOP
from anfl.nodes.shared import Members
from anfl.problems import Problem
from anfl.telemetry.metrics import Metrics
from anfl.vectors import operations
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.dynamodb.engine import DynamoDbEngine
from anfl.vectors.imports.imports import Imports
from anfl.vectors.model import Collection
from anfl.vectors.objects import S3ObjectStore
from anfl.vectors.opened import OpenCollections
from anfl.vectors.requests import MAX_BODY_BYTES
from anfl.vectors.store import VectorStore
from services.vector_store.api import FORWARDED
from services.vector_store.app import assemble
from tests.unit.vectors.builders import storage
from tests.unit.vectors.peers import dropping, dying_after, loading, nobody, peer
from tests.unit.vectors.serving import PlainTokens, served

ROWS = {"vectors": [{"id": "a", "values": [1, 0], "metadata": {"n": 1}}, {"id": "b", "values": [0, 1]}]}
QUERY = {"vector": [1, 0], "k": 2, "consistency": "strong"}
HOPPED = {HOP.decode(): "1"}


class Counting(Throttle):
    """Refuses nobody, and counts."""

    def __init__(self) -> None:
        super().__init__(Settings(rate=10**6, burst=10**6), region=None)
        self.counted = 0

    def spend(self, principal: Principal) -> None:
        """See `Throttle.spend`."""
        self.counted += 1
        super().spend(principal)


class Node:
    """A running service; it believes what the test lets it."""

    def __init__(self, store: VectorStore) -> None:
        self.store = store
        self.metrics = Metrics()
        self.members = Members()
        self.throttle = Counting()
        self.client: httpx.Client

    @property
    def address(self) -> str:
        return self.client.base_url.netloc.decode()

    def has(self, name: str) -> bool:
        """Whether it has the collection in memory."""
        return name in [opened.replica.collection.name for opened in self.store.hnsw.opened.loaded()]

    def counted(self, figure: str) -> float:
        """A figure with its labels, as it is shown."""
        lines = self.metrics.exposition().decode().splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(f"{figure} ")), 0.0)


def key_of(address: str) -> str:
    """By which a node knows what others send on to it."""
    return f"key-of-{address}"


class Cluster:
    """Nodes over one catalogue and one bucket."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes
        self.believe(*(node.address for node in nodes))

    def believe(self, *present: str) -> None:
        """All nodes see these."""
        self.present = present
        keys = tuple(map(key_of, present))
        for node in self.nodes:
            node.members = Members(node.address, present, node.members.version + 1, keys)

    def collection(self, *owning: str) -> str:
        """Make collections until one has these owners, in this order."""
        store = self.nodes[0].client
        for number in range(1000):
            name = f"words-{number}"
            assert store.post("/v1/collections", json={"name": name, "dimension": 2}).is_success
            if owners(self.nodes[0].store.describe("demo", name).incarnation, self.present) == owning:
                return name
        raise AssertionError("no such collection in a thousand")


@contextlib.contextmanager
def running(
    catalogue: Catalogue, objects: S3ObjectStore, engine: DynamoDbEngine, imports: Imports, forwarded: Room
) -> Iterator[Node]:
    node = Node(VectorStore(catalogue, storage(objects, clock=Clock()), distributed=engine))
    service = assemble(
        node.store,
        imports,
        verifier=PlainTokens(),
        stage_prefix="/live",
        metrics=node.metrics,
        forwarded=forwarded,
        members=lambda: node.members,
        throttle=node.throttle,
    )
    headers = {"authorization": "Bearer demo.admin"}
    with (
        served(service) as url,
        httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=30) as node.client,
    ):
        yield node


@pytest.fixture(name="forwarded")
def _forwarded() -> Room:
    return FORWARDED


@pytest.fixture(name="cluster")
def _cluster(
    catalogue: Catalogue, objects: S3ObjectStore, engine: DynamoDbEngine, imports: Imports, forwarded: Room
) -> Iterator[Cluster]:
    with contextlib.ExitStack() as stack:
        nodes = (running(catalogue, objects, engine, imports, forwarded) for _ in range(3))
        yield Cluster([stack.enter_context(node) for node in nodes])


def calls(name: str) -> list[tuple[str, str, dict[str, Any]]]:
    """One of each kind, refused ones too."""
    base = f"/live/v1/collections/{name}"
    return [
        ("PUT", f"{base}/vectors", {"json": ROWS | {"request_id": "load"}}),
        ("PATCH", f"{base}/vectors", {"json": {"vectors": [{"id": "b", "metadata": {"ü": "ß"}}], "request_id": "2"}}),
        ("POST", f"{base}/query", {"json": QUERY}),
        ("POST", f"{base}/vectors/fetch", {"json": {"ids": ["b"], "consistency": "strong"}}),
        ("POST", f"{base}/count", {"json": {"filter": {"n": 1}}}),
        ("GET", f"{base}/vectors?limit=1&filter=%7B%22n%22%3A1%7D&include=values%2Cmetadata", {}),
        ("GET", f"{base}/export?consistency=strong", {}),
        ("GET", f"{base}/stats", {}),
        ("POST", f"{base}/warm", {}),
        ("POST", f"{base}/query", {"json": {"vector": [1, 0, 0], "k": 1}}),
        ("POST", f"{base}/query", {"content": b"{"}),
        ("PUT", f"{base}/vectors", {"json": {"vectors": [{"id": "a", "values": [1, 2], "if_version": 77}]}}),
        ("POST", f"{base}/query", {"content": b"no gzip", "headers": {"content-encoding": "gzip"}}),
        ("POST", f"{base}/query", {"content": b"<a/>", "headers": {"content-type": "text/xml"}}),
    ]


def test_what_no_node_has_in_memory_is_answered_by_the_one_that_is_asked(cluster: Cluster) -> None:
    made = {"name": "photos", "dimension": 2, "metric": "l2", "engine": "dynamodb"}
    assert cluster.nodes[0].client.post("/v1/collections", json=made).is_success
    rest = [call for call in calls("photos") if "query" not in call[1]]  # this AWS has no vector indexes
    for node in cluster.nodes:
        for method, target, given in rest:
            assert node.client.request(method, target, **given).status_code != 404
        assert b"anfl_forwards_total{" not in node.metrics.exposition()
        assert not node.has("photos")
    assert cluster.nodes[2].client.get("/v1/collections/photos/stats").json()["rows"] == 2


def test_a_request_that_goes_through_two_nodes_is_counted_once(cluster: Cluster) -> None:
    first, second, outside = cluster.nodes
    name = cluster.collection(first.address, second.address)
    for node in cluster.nodes:
        node.throttle.counted = 0
    for method, target, given in calls(name):
        outside.client.request(method, target, **given)
    assert [node.throttle.counted for node in (outside, first, second)] == [len(calls(name)), 0, 0]


def test_no_client_gets_around_being_counted_by_saying_that_it_is_a_node(cluster: Cluster) -> None:
    first, *_ = cluster.nodes
    name = cluster.collection(first.address, cluster.nodes[1].address)
    first.throttle.counted = 0
    claims = [
        ["1"],
        [""],
        [key_of(cluster.nodes[1].address)],
        [key_of(first.address), "1"],
        [key_of(first.address)[:-1]],
    ]
    for claim in claims:
        headers = httpx.Headers([("x-anfl-hop", each) for each in claim])
        first.client.post(f"/v1/collections/{name}/count", json={}, headers=headers)
    assert first.throttle.counted == len(claims)
    first.members = Members(first.address, first.members.present, 100)  # as long as it does not know its own key
    for claimed in ("", "1", key_of(first.address)):
        first.client.post(f"/v1/collections/{name}/count", json={}, headers={"x-anfl-hop": claimed})
    assert first.throttle.counted == len(claims) + 3


def test_what_comes_by_a_nodes_own_key_is_checked_as_well(cluster: Cluster) -> None:
    """The key spares it from being counted and gives no right: a node may have let in whom it should not."""
    first, *_ = cluster.nodes
    name = cluster.collection(first.address, cluster.nodes[1].address)
    first.throttle.counted = 0
    for bearer, status in (
        ("", 401),
        ("Bearer nonsense", 401),
        ("Bearer demo.reader", 403),
        ("Bearer other.admin", 404),
    ):
        headers = {"authorization": bearer, "x-anfl-hop": key_of(first.address)}
        answer = first.client.put(f"/v1/collections/{name}/vectors", json=ROWS, headers=headers)
        assert answer.status_code == status
    assert first.throttle.counted == 0, "the key was the right one"


def test_whichever_node_is_asked_answers_alike_and_two_have_the_collection(cluster: Cluster) -> None:
    first, second, outside = cluster.nodes
    name = cluster.collection(first.address, second.address)
    for method, target, given in calls(name):
        answers = [node.client.request(method, target, **given) for node in (outside, first, second, outside)]
        assert len({(answer.status_code, answer.content) for answer in answers}) == 1, (method, target)
        headers = [dict(answer.headers) for answer in answers]
        for each in headers:
            assert each.pop("x-request-id")
        assert headers[0] == headers[1] == headers[2]
    assert [first.has(name), second.has(name), outside.has(name)] == [True, True, False]
    assert outside.counted('anfl_forwards_total{outcome="answered"}') == 2 * len(calls(name))
    assert first.counted('anfl_forwards_total{outcome="answered"}') == 0


def test_an_alias_leads_where_its_collection_lives(cluster: Cluster) -> None:
    first, second, outside = cluster.nodes
    name = cluster.collection(first.address, second.address)
    assert outside.client.post("/v1/aliases", json={"alias": "live", "collection": name}).is_success
    assert outside.client.put("/v1/collections/live/vectors", json=ROWS).is_success
    assert outside.client.post("/v1/collections/live/query", json=QUERY).json()["matches"][0]["id"] == "a"
    assert not outside.has(name)


def test_reads_are_shared_by_the_owners_and_writes_go_to_the_first(cluster: Cluster) -> None:
    first, second, outside = cluster.nodes
    base = f"/v1/collections/{cluster.collection(first.address, second.address)}"
    for node in (first, second):
        assert node.client.post(f"{base}/warm").is_success
    for _ in range(4):
        assert outside.client.put(f"{base}/vectors", json=ROWS).is_success
    for _ in range(6):
        assert outside.client.post(f"{base}/count", json={}).is_success
    written = 'anfl_requests_total{method="PUT",route="/v1/collections/{name}/vectors",status="2xx"}'
    read = 'anfl_requests_total{method="POST",route="/v1/collections/{name}/count",status="2xx"}'
    assert [node.counted(written) for node in cluster.nodes] == [4, 0, 4]
    assert [node.counted(read) for node in cluster.nodes] == [3, 3, 6]


def test_a_long_export_passes_through(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "EXPORT_ROWS", 10)
    first, second, outside = cluster.nodes
    base = f"/v1/collections/{cluster.collection(first.address, second.address)}"
    for start in range(0, 5000, 1000):
        rows = [{"id": f"{number:06d}", "values": [number, 1]} for number in range(start, start + 1000)]
        assert first.client.put(f"{base}/vectors", json={"vectors": rows}).is_success
    exported = outside.client.get(f"{base}/export", params={"include": "values", "consistency": "strong"})
    assert exported.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line)["id"] for line in exported.text.splitlines()] == [f"{n:06d}" for n in range(5000)]
    assert outside.client.head(f"{base}/export").status_code == 200


def test_the_caller_is_checked_at_both_ends_and_the_request_keeps_its_id(cluster: Cluster) -> None:
    seen = []

    def noting(head: bytes, _body: bytes) -> bytes:
        seen.append(head)
        return b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{"count":0}'

    with peer(noting) as one, peer(noting) as other:
        asked = cluster.nodes[0]
        cluster.believe(asked.address, one.address, other.address)
        base = f"/v1/collections/{cluster.collection(one.address, other.address)}"
        denied = asked.client.post(f"{base}/count", json={}, headers={"authorization": "Bearer nonsense"})
        assert denied.status_code == 401
        for role, expected in (("reader", 403), ("writer", 200)):
            headers = {"authorization": f"Bearer demo.{role}", "x-request-id": "mine"}
            denied = asked.client.put(f"{base}/vectors", json=ROWS, headers=headers)
            assert denied.status_code == expected
        assert denied.headers["x-request-id"] == "mine"
        headers = {"x-request-id": "mine", "connection": "keep-alive, x-private", "x-private": "1", "x-kept": "2"}
        asked.client.post(f"{base}/count", content=gzip.compress(b"{}"), headers=headers | {"content-encoding": "gzip"})
    assert len(seen) == 2
    lines = seen[1].decode().split("\r\n")
    assert lines[0] == f"POST {base}/count HTTP/1.1"
    assert "authorization: Bearer demo.admin" in lines
    assert "x-request-id: mine" in lines
    assert {f"x-anfl-hop: {key_of(each.address)}" for each in (one, other)} & {*lines}
    assert "content-encoding: gzip" in lines
    assert "x-kept: 2" in lines
    assert not [line for line in lines if line.startswith(("x-private", "connection"))]


def test_a_request_is_sent_on_as_it_came(cluster: Cluster) -> None:
    """Line, headers and body, byte by byte, however strangely they are written; and what comes back likewise."""
    seen: list[tuple[bytes, bytes]] = []
    content = gzip.compress(b'{"count": "\r\n\r\nGET / HTTP/1.1"}')

    def noting(head: bytes, body: bytes) -> bytes:
        seen.append((head, body))
        headers = b"content-type: application/json\r\nx-one: \xff\r\ncontent-encoding: gzip"
        return b"HTTP/1.1 418 Odd\r\n%s\r\ncontent-length: %d\r\n\r\n%s" % (headers, len(content), content)

    draw = random.Random(7)
    bodies = [b"", b"{}", draw.randbytes(1000), draw.randbytes(300_000), content]
    given = [
        (b"authorization", b"Bearer demo.admin"),
        (b"x-repeated", b"one, two"),
        (b"x-repeated", b"three"),
        (b"x-bytes", b"\xc3\xbc \xff \t'\"<"),
        (b"cookie", b"a=b; c=d"),
        (b"content-type", b"application/json;charset=utf-8"),
        (b"x-forwarded-for", b"203.0.113.7"),
        (b"range", b"bytes=0-1"),
    ]
    with peer(noting) as one, peer(noting) as other:
        asked = cluster.nodes[0]
        cluster.believe(asked.address, one.address, other.address)
        name = cluster.collection(one.address, other.address)
        spelled = name.replace("o", "%6F")
        path = f"/live/v1/collections/{spelled}/count?a=%2F..%2f&a=2&&b=+%00&=%C3%BC;x"
        for body in bodies:
            for pieces in (body, iter([body[:1], body[1:]])):  # the second of unknown length
                request = httpx.Request("POST", f"http://{asked.address}{path}", headers=given, content=pieces)
                answer = asked.client.send(request, stream=True)
                back = b"".join(answer.iter_raw())
                assert (answer.status_code, back, answer.headers["content-encoding"]) == (418, content, "gzip")
                assert (b"x-one", b"\xff") in answer.headers.raw
                answer.close()
    assert [body for _, body in seen] == [body for body in bodies for _ in range(2)]
    for head, body in seen:
        line, *lines = head.strip().split(b"\r\n")
        assert line == f"POST {path} HTTP/1.1".encode()
        headers = [(key.lower(), value.strip()) for key, _, value in (line.partition(b":") for line in lines)]
        assert [header for header in headers if header in given] == given
        made_anew = {b"host", b"content-length", b"x-request-id", HOP}
        assert sorted(key for key, _ in headers if (key not in dict(given))) == sorted(made_anew)
        assert dict(headers)[b"content-length"] == b"%d" % len(body)


def test_what_came_from_a_node_goes_no_further(cluster: Cluster) -> None:
    asked = cluster.nodes[0]
    with peer(dropping) as one, peer(dropping) as other:
        cluster.believe(asked.address, one.address, other.address)
        base = f"/v1/collections/{cluster.collection(one.address, other.address)}"
        assert asked.client.put(f"{base}/vectors", json=ROWS, headers=HOPPED).is_success
        assert one.requests == other.requests == []


def test_nodes_that_disagree_about_who_is_there_send_nothing_in_circles(cluster: Cluster) -> None:
    first, second, third = cluster.nodes
    name = cluster.collection(first.address, second.address)
    first.members = Members(first.address, (second.address, third.address), 100)  # it believes it is gone
    second.members = Members(second.address, (first.address, third.address), 100)
    for node in cluster.nodes:
        assert node.client.put(f"/v1/collections/{name}/vectors", json=ROWS).json()["upserted"] == 2


@pytest.mark.parametrize("both", [False, True])
def test_a_node_that_is_not_there_is_passed_over_and_left_alone(cluster: Cluster, both: bool) -> None:
    asked, other = cluster.nodes[:2]
    gone, second = nobody(), nobody() if both else other.address
    cluster.believe(asked.address, gone, second)
    name = cluster.collection(gone, second)
    for _ in range(5):
        assert asked.client.put(f"/v1/collections/{name}/vectors", json=ROWS).status_code == 200
        assert asked.client.post(f"/v1/collections/{name}/query", json=QUERY).status_code == 200
    assert asked.counted('anfl_forwards_total{outcome="unreachable"}') == 1 + both
    assert asked.counted('anfl_forward_fallbacks_total{to="self"}') == (10 if both else 0)
    assert (asked.has(name), other.has(name)) == (both, not both)


def test_a_write_whose_answer_got_lost_is_done_once_by_its_request_id(cluster: Cluster) -> None:
    asked, real = cluster.nodes[:2]
    with peer(dying_after(real.client)) as dying:
        cluster.believe(asked.address, dying.address, real.address)
        base = f"/v1/collections/{cluster.collection(dying.address, real.address)}"
        answer = asked.client.put(f"{base}/vectors", json=ROWS | {"request_id": "once"})
        assert answer.json() == {"sequence": "1.1", "upserted": 2}
        assert len(dying.requests) == 1
        assert real.client.get(f"{base}/stats").json()["sequence"] == "1.1"
        packed = gzip.compress(json.dumps({"ids": ["a"], "request_id": "twice"}).encode())
        answer = asked.client.post(f"{base}/vectors/delete", content=packed, headers={"content-encoding": "gzip"})
        assert answer.json() == {"sequence": "1.2", "deleted": 1}


def test_a_write_without_one_is_not_sent_to_anybody_else(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "SUSPECT_SECONDS", 0.0)
    asked, real = cluster.nodes[:2]
    with peer(dying_after(real.client)) as dying:
        cluster.believe(asked.address, dying.address, real.address)
        base = f"/v1/collections/{cluster.collection(dying.address, real.address)}"
        for method, path, body in (
            ("PUT", f"{base}/vectors", ROWS),
            ("PATCH", f"{base}/vectors", {"vectors": [{"id": "a", "metadata": {"n": 2}}]}),
            ("POST", f"{base}/vectors/delete", {"ids": ["b"]}),
            ("POST", f"{base}/snapshots", {"snapshot": "monday"}),
        ):
            answer = asked.client.request(method, path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (503, "node_lost")
            assert answer.headers["retry-after"] == "1"
        assert len(dying.requests) == 4
        stats = real.client.get(f"{base}/stats").json()
        assert (stats["sequence"], stats["rows"]) == ("1.3", 1)


def test_a_read_whose_answer_got_lost_is_answered_by_another_node(cluster: Cluster) -> None:
    asked, real = cluster.nodes[:2]
    with peer(dropping) as dying:
        cluster.believe(asked.address, dying.address, real.address)
        base = f"/v1/collections/{cluster.collection(dying.address, real.address)}"
        assert real.client.put(f"{base}/vectors", json=ROWS).is_success
        for _ in range(4):
            assert asked.client.post(f"{base}/query", json=QUERY).json()["matches"][0]["id"] == "a"
        assert len(dying.requests) == 1
        assert asked.counted('anfl_forward_fallbacks_total{to="other"}') == 1


def test_a_node_that_hangs_is_waited_for_so_long_and_no_longer(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarding, "READ_SECONDS", 0.6)
    asked, real = cluster.nodes[:2]

    def hang(_head: bytes, _body: bytes) -> bytes:
        time.sleep(2)
        return b""

    with peer(hang) as hanging:
        cluster.believe(asked.address, hanging.address, real.address)
        base = f"/v1/collections/{cluster.collection(hanging.address, real.address)}"
        assert real.client.put(f"{base}/vectors", json=ROWS).is_success
        assert asked.client.post(f"{base}/query", json=QUERY).json()["matches"][0]["id"] == "a"
        assert asked.counted('anfl_forwards_total{outcome="lost"}') == 1


@pytest.mark.parametrize("forwarded", [Room(requests=1, body_bytes=MAX_BODY_BYTES)])
def test_those_who_wait_for_a_node_that_hangs_hold_up_nobody(cluster: Cluster) -> None:
    asked, real = cluster.nodes[:2]
    arrived, leave = threading.Event(), threading.Event()

    def hang(_head: bytes, _body: bytes) -> bytes:
        arrived.set()
        leave.wait(30)
        return b""

    with peer(hang) as hanging:
        cluster.believe(asked.address, hanging.address, real.address)
        base = f"/v1/collections/{cluster.collection(hanging.address, real.address)}"
        answers: list[int] = []

        def ask() -> None:
            once = ROWS | {"request_id": "1"}
            answers.append(asked.client.put(f"{base}/vectors", json=once, timeout=60).status_code)

        waiting = threading.Thread(target=ask)
        waiting.start()
        assert arrived.wait(10)
        assert asked.client.put(f"{base}/vectors", json=ROWS).is_success
        assert (len(hanging.requests), answers) == (1, [])
        leave.set()
        waiting.join(30)
        assert answers == [200]


def test_a_node_that_is_still_loading_is_passed_over_for_one_that_is_not(cluster: Cluster) -> None:
    asked, real = cluster.nodes[:2]
    with peer(loading) as cold:
        cluster.believe(asked.address, cold.address, real.address)
        name = cluster.collection(cold.address, real.address)
        assert asked.client.put(f"/v1/collections/{name}/vectors", json=ROWS).json()["upserted"] == 2
        assert len(cold.requests) == 1
        assert not asked.has(name)


def test_where_every_owner_is_loading_that_is_the_answer(cluster: Cluster) -> None:
    asked = cluster.nodes[0]
    with peer(loading) as cold, peer(loading) as colder:
        cluster.believe(asked.address, cold.address, colder.address)
        name = cluster.collection(cold.address, colder.address)
        answer = asked.client.post(f"/v1/collections/{name}/query", json=QUERY)
        assert (answer.status_code, answer.json()["code"]) == (503, "collection_loading")
        assert answer.headers["retry-after"] == "2"
        assert not asked.has(name)


def test_an_owner_that_is_still_loading_has_the_other_one_answer(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cold, warm, _ = cluster.nodes
    name = cluster.collection(cold.address, warm.address)
    assert warm.client.put(f"/v1/collections/{name}/vectors", json=ROWS).is_success

    def is_loading(self: OpenCollections, collection: Collection) -> Any:
        if self is cold.store.hnsw.opened:
            raise Problem(503, "collection_loading", f"{name} is being loaded; try again.", retry_after=2)
        return get(self, collection)

    get = OpenCollections.get
    monkeypatch.setattr(OpenCollections, "get", is_loading)
    large = {"vectors": [{"id": f"{n}", "values": [n, 1], "metadata": {"text": "x" * 200}} for n in range(900)]}
    answer = cold.client.put(f"/v1/collections/{name}/vectors", json=large)
    assert answer.json() == {"sequence": "1.2", "upserted": 900}
    assert cold.client.post(f"/v1/collections/{name}/query", json=QUERY).json()["sequence"] == "1.2"
    refused = cold.client.post(f"/v1/collections/{name}/query", json=QUERY, headers=HOPPED)
    assert refused.json()["code"] == "collection_loading"


def test_who_knows_nobody_answers_everything_itself(cluster: Cluster) -> None:
    first, second, outside = cluster.nodes
    name = cluster.collection(first.address, second.address)
    outside.members = Members()
    assert outside.client.put(f"/v1/collections/{name}/vectors", json=ROWS).is_success
    assert outside.has(name)
    assert not first.has(name)
