"""Writers and readers at several nodes, and an exact model that says afterwards whether any answer was wrong."""

import random
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import numpy as np

from anfl.vectors.log import Log
from anfl.vectors.model import Position
from anfl.vectors.requests import DeleteRows, PatchRows, Upsert
from tests.fault.oracle import Content, Oracle, expect

if TYPE_CHECKING:
    from anfl.vectors.changes import Change

DIMENSION = 4
ROWS = 60
"""Ids of each collection: few, so that requests meet."""
MOST_ATTEMPTS = 60
"""At one request. With the pauses between them it is time enough for a node to start."""
LONGEST_PAUSE = 1.0
_AGAIN = frozenset({429, 502, 503, 504})
_VECTORS = "/v1/collections/{name}/vectors"


@dataclass(kw_only=True)
class Written:
    """What a request was and what it was told."""

    collection: str
    request_id: str
    sequence: int
    count: int


@dataclass(kw_only=True)
class Seen:
    """What a reader was told of a collection at a position, and the last write it had to see."""

    collection: str
    least: int
    sequence: int = 0
    rows: dict[str, tuple[list[float], dict[str, Any], int]] | None = None
    count: int | None = None
    nearest: list[tuple[str, float]] | None = None
    vector: list[float] = field(default_factory=list)


class Traffic:
    """Threads that write to and read from nodes chosen at random, until `stop`."""

    def __init__(self, collections: Sequence[str], *, nodes: Callable[[], Sequence[str]], token: str) -> None:
        """:param nodes: addresses that there may be a node at."""
        self._collections = collections
        self._nodes = nodes
        self._token = token
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.asked: dict[str, dict[str, Change]] = {name: {} for name in collections}
        self.written: list[Written] = []
        self.seen: list[Seen] = []
        self.failures: list[str] = []
        self.attempts = 0
        self._acknowledged = dict.fromkeys(collections, 0)

    def start(self, *, writers: int, readers: int) -> None:
        """Begin."""
        work = [self._write] * writers + [self._read] * readers
        for number, step in enumerate(work):
            thread = threading.Thread(target=self._run, args=(step, random.Random(number)), daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Let every thread finish what it is at."""
        self._stop.set()
        for thread in self._threads:
            thread.join(120)

    def progress(self) -> int:
        """Requests that were answered."""
        return len(self.written) + len(self.seen)

    def _run(self, step: Callable[[httpx.Client, random.Random], None], chance: random.Random) -> None:
        headers = {"authorization": f"Bearer {self._token}"}
        with httpx.Client(headers=headers, timeout=40, trust_env=False) as client:
            while not self._stop.is_set() and not self.failures:
                try:
                    step(client, chance)
                except Exception as error:
                    self.failures.append(repr(error))

    def _write(self, client: httpx.Client, chance: random.Random) -> None:
        name, request_id = chance.choice(self._collections), uuid.uuid4().hex
        method, path, body = _any_change(chance, request_id)
        kind = {"PUT": Upsert, "PATCH": PatchRows, "POST": DeleteRows}[method]
        with self._lock:
            self.asked[name][request_id] = msgspec.convert(body, kind)
        answer = self._ask(client, chance, method, _VECTORS.format(name=name) + path, body)
        (count,) = (value for key, value in answer.items() if key != "sequence")
        sequence = Position.parse(answer["sequence"]).sequence
        with self._lock:
            self._acknowledged[name] = max(self._acknowledged[name], sequence)
            self.written.append(Written(collection=name, request_id=request_id, sequence=sequence, count=count))

    def _read(self, client: httpx.Client, chance: random.Random) -> None:
        name = chance.choice(self._collections)
        consistency = chance.choice(["strong", "bounded"])
        least = self._acknowledged[name] if consistency == "strong" else 0
        base = f"/v1/collections/{name}"
        seen = Seen(collection=name, least=least)
        body: dict[str, Any] = {"consistency": consistency}
        match chance.randrange(3):
            case 0:
                body["ids"] = [f"r{number}" for number in range(ROWS)]
                answer = self._ask(client, chance, "POST", f"{base}/vectors/fetch", body)
                seen.rows = {row["id"]: (row["values"], row["metadata"], row["version"]) for row in answer["vectors"]}
            case 1:
                answer = self._ask(client, chance, "POST", f"{base}/count", body)
                seen.count = answer["count"]
            case _:
                seen.vector = _any_vector(chance)
                answer = self._ask(client, chance, "POST", f"{base}/query", body | {"vector": seen.vector, "k": 5})
                seen.nearest = [(match["id"], match["distance"]) for match in answer["matches"]]
        seen.sequence = Position.parse(answer["sequence"]).sequence
        with self._lock:
            self.seen.append(seen)

    def _ask(
        self, client: httpx.Client, chance: random.Random, method: str, path: str, body: dict[str, Any]
    ) -> dict[str, Any]:
        """As a balancer and a client do it: another node, after a pause, as long as there is no answer."""
        said = ""
        for attempt in range(1, MOST_ATTEMPTS + 1):
            self.attempts = max(self.attempts, attempt)
            try:
                answer = client.request(method, f"{chance.choice(self._nodes())}{path}", json=body)
            except httpx.TransportError as error:
                said = repr(error)
            else:
                if answer.is_success:
                    document: dict[str, Any] = answer.json()
                    return document
                said = f"{answer.status_code} {answer.text}"
                expect(answer.status_code in _AGAIN, f"{method} {path}: {said}")
            time.sleep(chance.uniform(0, min(LONGEST_PAUSE, 0.05 * 2**attempt)))
        raise AssertionError(f"{method} {path}: no answer in {MOST_ATTEMPTS} attempts, at last {said}")


def judge(traffic: Traffic, log: Log) -> Content:
    """Compare everything that was told of the log's collection with the model; what it holds in the end.

    :raises DivergenceError: something acknowledged was lost, done twice, or an answer was wrong.
    """
    name = log.collection.name
    oracle = Oracle(traffic.asked[name])
    oracle.play(log.tail(0))
    for written in (each for each in traffic.written if each.collection == name):
        applied = oracle.applied.get(written.request_id)
        expect(applied == [(written.sequence, written.count)], f"{name}: {written} is in the log as {applied}")
    for seen in (each for each in traffic.seen if each.collection == name):
        expect(seen.sequence >= seen.least, f"{name}: a strong read at {seen.sequence} misses {seen.least}")
        _judge_look(seen, oracle.states[seen.sequence])
    return oracle.states[-1]


def _judge_look(seen: Seen, state: Content) -> None:
    where = f"{seen.collection} at {seen.sequence}"
    if seen.count is not None:
        expect(seen.count == len(state), f"{where}: {seen.count} rows, not {len(state)}")
    if seen.rows is not None:
        held = {
            row_id: (np.frombuffer(row.values, np.float32).tolist(), dict(row.metadata), row.version)
            for row_id, row in state.items()
        }
        expect(seen.rows == held, f"{where}: other rows")
    if seen.nearest is not None:
        distances = {
            row_id: float(np.linalg.norm(np.frombuffer(row.values, np.float32) - np.array(seen.vector, np.float32)))
            for row_id, row in state.items()
        }
        right = sorted(distances.values())[:5]
        told = [distance for _, distance in seen.nearest]
        expect(len(told) == len(right) and np.allclose(told, right, atol=1e-4), f"{where}: {told}, not {right}")
        expect(all(row_id in distances for row_id, _ in seen.nearest), f"{where}: a row that is not there")


def _any_change(chance: random.Random, request_id: str) -> tuple[str, str, dict[str, Any]]:
    rows: list[dict[str, Any]]
    ids = [f"r{number}" for number in chance.sample(range(ROWS), 3)]
    metadata = {"n": chance.randrange(10)}
    match chance.randrange(6):
        case 0:
            return "POST", "/delete", {"ids": ids[:1], "request_id": request_id}
        case 1:
            rows = [{"id": row_id, "metadata": metadata} for row_id in ids]
            return "PATCH", "", {"vectors": rows, "request_id": request_id}
        case _:
            rows = [{"id": row_id, "values": _any_vector(chance), "metadata": metadata} for row_id in ids]
            return "PUT", "", {"vectors": rows, "request_id": request_id}


def _any_vector(chance: random.Random) -> list[float]:
    return [float(np.float32(chance.uniform(-1, 1))) for _ in range(DIMENSION)]
