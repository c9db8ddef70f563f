"""The rows of the requirements' table that concern HTTP, measured in one run."""

import itertools
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from anfl.client import Client, Collection
from anfl.client.rows import packed
from anfl.processes import usable_cores
from anfl.vectors.model import IndexSettings, Values
from anfl.vectors.state import QUIET_SECONDS
from tests.benchmarks.contestants import Raw
from tests.benchmarks.embeddings import Embeddings
from tests.benchmarks.errors import BenchmarkError
from tests.benchmarks.http import loading, wrk
from tests.benchmarks.http.figures import Filtered, HttpFigures, Memory, Round
from tests.benchmarks.http.node import Aws, Node, aws, bare, node
from tests.benchmarks.progress import Report
from tests.benchmarks.recall import exact_similarities, recall

K = 10
CONNECTIONS = 8
ROUNDS = 7
"""Of what is compared in turns: the machine is noisy, so many short ones."""
BATCH_VECTORS = 100
OUTSIDE_GRAPHS = 10_000
PATIENCE_SECONDS = 300
COLLECTION = "bench"


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all steps need."""

    rows: Values
    queries: Values
    folder: Path
    seconds: float
    """Of one run of wrk."""
    report: Report


def measure(
    embeddings: Embeddings,
    *,
    report: Report,
    workers: int | None = None,
    seconds: float = 4.0,
    rounds: int = ROUNDS,
) -> HttpFigures:
    """Fill hnswlib and the service with the same rows, and compare.

    :raises BenchmarkError: wrk is missing, or something does not work.
    """
    wrk.require()
    workers = workers or usable_cores()
    with tempfile.TemporaryDirectory(prefix="bench") as name:
        bench = Bench(
            rows=embeddings.rows, queries=embeddings.queries, folder=Path(name), seconds=seconds, report=report
        )
        raw, raw_load = _fill_raw(bench)
        with aws(bench.folder) as storage:
            one = _one_worker(bench, storage, raw, rounds)
            all_workers = _all_workers(bench, storage, workers, rounds)
    return HttpFigures(
        source=embeddings.source,
        rows=len(bench.rows),
        dimension=bench.rows.shape[1],
        k=K,
        connections=CONNECTIONS,
        raw_load=raw_load,
        **one,
        **all_workers,
    )


def _fill_raw(bench: Bench) -> tuple[Raw, float]:
    raw = Raw(bench.rows.shape[1], IndexSettings())
    filled = raw.fill(bench.rows, threads=2, done=lambda share: bench.report("fill raw hnswlib", share))
    raw.save(bench.folder / "index.bin")
    return raw, filled.rows / filled.altogether


def _one_worker(bench: Bench, storage: Aws, raw: Raw, rounds: int) -> dict[str, Any]:
    metadata, matching = loading.shares(bench.rows)
    with (
        node(storage, bench.folder, workers=1) as running,
        bare(bench.folder / "index.bin", bench.folder, dimension=bench.rows.shape[1], rows=len(bench.rows)) as bare_url,
        Client(running.url, token=running.token) as client,
    ):
        collection = client.create_collection(COLLECTION, dimension=bench.rows.shape[1])
        load = _load(bench, running, collection, metadata)
        _settle(bench, collection)
        plain = _bodies(bench, "plain", bench.queries)
        found = {
            "load": load,
            "recall": _recall(bench, collection, None, range(len(bench.rows))),
            "rounds": [_round(bench, running, bare_url, raw, plain, done / rounds) for done in range(rounds)],
            "one_connection": _rate(bench, running, plain, connections=1),
            "filtered": _filtered(bench, running, collection, matching, plain),
            "batch": _batch(bench, running),
            "raw_batch": _raw_batch(bench, raw),
        }
        bench.report("one worker", 1)
        found["idle_p99"], found["loading_p99"] = _while_loading(bench, running, client, metadata, plain)
    return found


def _all_workers(bench: Bench, storage: Aws, workers: int, rounds: int) -> dict[str, Any]:
    plain = bench.folder / "plain.txt"
    with node(storage, bench.folder, workers=workers) as running:
        cold = cold_load(running, plain)
        with node(storage, bench.folder, workers=1) as single:
            cold_load(single, plain)
            for each in (running, single):  # every worker has to load
                wrk.run(query_url(each), plain, connections=4 * workers, seconds=bench.seconds, token=each.token)
            rates = [
                [_rate(bench, each, plain, connections=CONNECTIONS) for each in (running, single)]
                for _ in range(rounds)
            ]
        memory = Memory(pss=running.pss(), index=_index_bytes(bench), processes=1 + running.workers())
    bench.report("all workers", 1)
    return {
        "workers": workers,
        "cold_seconds": cold,
        "all_workers": [pair[0] for pair in rates],
        "one_worker": [pair[1] for pair in rates],
        "memory": memory,
    }


def _load(bench: Bench, running: Node, collection: Collection, metadata: Sequence[dict[str, object]]) -> float:
    """Rows a second until all are acknowledged, and almost all in graphs."""
    bodies = loading.bodies(bench.rows, metadata)
    started = time.perf_counter()
    loader = loading.Loader(running.url, running.token, collection.name, iter(bodies))
    loader.start()
    while loader.taken < len(bench.rows) and not loader.failed:
        bench.report("load over HTTP", loader.taken / len(bench.rows))
        time.sleep(0.1)
    loader.join()
    while collection.stats().unmerged_rows > OUTSIDE_GRAPHS:
        if time.perf_counter() - started > PATIENCE_SECONDS:
            raise BenchmarkError(f"more than {OUTSIDE_GRAPHS} rows stay outside graphs.")
        time.sleep(0.05)
    bench.report("load over HTTP", 1)
    return len(bench.rows) / (time.perf_counter() - started)


def _settle(bench: Bench, collection: Collection) -> None:
    """Until nothing is built any more: the last rows go into a graph only when nobody has written for a while."""
    unchanged, before = 0, collection.stats()
    for _ in range(PATIENCE_SECONDS):
        time.sleep(1)
        now = collection.stats()
        unchanged = unchanged + 1 if now == before else 0
        if unchanged > QUIET_SECONDS + 3 and not now.unmerged_rows:
            break
        before = now
    bench.report("graphs are built", 1)


def _bodies(bench: Bench, name: str, queries: Values, **members: object) -> Path:
    encoded = [json.dumps({"vector": packed(query), "k": K, **members}).encode() for query in queries]
    return wrk.write_bodies(bench.folder / f"{name}.txt", encoded)


def query_url(running: Node) -> str:
    return f"{running.url}/v1/collections/{COLLECTION}/query"


def _rate(bench: Bench, running: Node, bodies: Path, *, connections: int) -> float:
    run = wrk.run(query_url(running), bodies, connections=connections, seconds=bench.seconds, token=running.token)
    return run.rate


def _round(bench: Bench, running: Node, bare_url: str, raw: Raw, plain: Path, share: float) -> Round:
    seconds = bench.seconds / 2
    service = wrk.run(query_url(running), plain, connections=CONNECTIONS, seconds=seconds, token=running.token).rate
    bare_rate = wrk.run(f"{bare_url}/", plain, connections=CONNECTIONS, seconds=seconds).rate
    answered, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds / 2:
        for query in bench.queries:
            raw.search(query, K)
        answered += len(bench.queries)
    bench.report("queries", share)
    return Round(service=service, bare=bare_rate, raw=answered / elapsed)


def _recall(bench: Bench, collection: Collection, where: dict[str, Any] | None, among: Sequence[int]) -> float:
    """Against an exact search among the rows that match."""
    numbers = np.asarray(among)
    rows = bench.rows[numbers]
    exact = exact_similarities(rows, bench.queries, min(K, len(rows)))
    place = {number: index for index, number in enumerate(numbers.tolist())}
    found = [
        [place[int(match.id)] for match in matches]
        for first in range(0, len(bench.queries), BATCH_VECTORS)
        for matches in collection.query_many(bench.queries[first : first + BATCH_VECTORS], k=K, where=where)
    ]
    return recall(found, rows, bench.queries, exact)


def _filtered(
    bench: Bench,
    running: Node,
    collection: Collection,
    matching: dict[tuple[float, bool], list[int]],
    plain: Path,
) -> list[Filtered]:
    listed = []
    for number, ((share, near), among) in enumerate(matching.items()):
        where = {loading.flag(share, near=near): True}
        bodies = _bodies(bench, "filtered", bench.queries, filter=where)
        rate = _rate(bench, running, bodies, connections=CONNECTIONS)
        unfiltered = _rate(bench, running, plain, connections=CONNECTIONS)
        found = _recall(bench, collection, where, among)
        listed.append(Filtered(share=share, near=near, rate=rate, recall=found, ratio=rate / unfiltered))
        bench.report("filters", (number + 1) / len(matching))
    return listed


def _batch(bench: Bench, running: Node) -> float:
    blocks = itertools.batched(bench.queries, BATCH_VECTORS)
    bodies = [
        json.dumps({"vectors": [packed(query) for query in block], "k": K}).encode()
        for block in blocks
        if len(block) == BATCH_VECTORS
    ]
    if not bodies:
        raise BenchmarkError(f"at least {BATCH_VECTORS} queries are wanted.")
    path = wrk.write_bodies(bench.folder / "batch.txt", bodies)
    return BATCH_VECTORS * _rate(bench, running, path, connections=CONNECTIONS)


def _raw_batch(bench: Bench, raw: Raw) -> float:
    answered, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < bench.seconds / 2:
        raw.search_many(bench.queries[:BATCH_VECTORS], K)
        answered += min(BATCH_VECTORS, len(bench.queries))
    return answered / elapsed


def _while_loading(
    bench: Bench, running: Node, client: Client, metadata: Sequence[dict[str, object]], plain: Path
) -> tuple[float, float]:
    """p99 of one connection, medians of some runs: alone, and while another collection is loaded at full speed."""
    url, seconds = query_url(running), max(bench.seconds, 2.0)

    def p99() -> float:
        runs = [wrk.run(url, plain, connections=1, seconds=seconds, token=running.token) for _ in range(ROUNDS)]
        return statistics.median(run.p99 for run in runs)

    idle = p99()
    client.create_collection("loading", dimension=bench.rows.shape[1])
    bodies = itertools.cycle(loading.bodies(bench.rows, metadata))
    loader = loading.Loader(running.url, running.token, "loading", bodies)
    loader.start()
    try:
        busy = p99()
    finally:
        stopping = threading.Thread(target=loader.stop)
        stopping.start()
        stopping.join()
    client.collection("loading").delete_collection()
    bench.report("queries while loading", 1)
    return idle, busy


def cold_load(running: Node, bodies: Path) -> float:
    """Seconds until a node that has just started answers the first query."""
    body = bodies.read_bytes().partition(b"\n")[0]
    headers = {"authorization": f"Bearer {running.token}"}
    started = time.perf_counter()
    with httpx.Client(trust_env=False, timeout=30, headers=headers) as client:
        while time.perf_counter() - started < PATIENCE_SECONDS:
            answer = client.post(query_url(running), content=body)
            if answer.status_code == 200:
                return time.perf_counter() - started
            if answer.status_code != 503:
                raise BenchmarkError(f"a cold query was answered {answer.status_code} {answer.text}.")
            time.sleep(0.01)
    raise BenchmarkError("the collection does not load.")


def _index_bytes(bench: Bench) -> int:
    """Vectors, graph and original values, as raw hnswlib saves them with the values once more beside it."""
    return (bench.folder / "index.bin").stat().st_size + bench.rows.nbytes
