"""A node that seals and one that does not, each with an AWS of its own; every figure is taken of both in turns.

Where a process lies in memory and how a graph came out decide more about a query than sealing does. So the nodes of
each round are started anew, and its queries go to what it has loaded.
"""

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from anfl.client import Client, Collection
from anfl.client.rows import packed
from tests.benchmarks.embeddings import Embeddings
from tests.benchmarks.errors import BenchmarkError
from tests.benchmarks.http import loading, wrk
from tests.benchmarks.http.measure import COLLECTION, CONNECTIONS, PATIENCE_SECONDS, K, cold_load, query_url
from tests.benchmarks.http.node import Aws, Node, aws, node
from tests.benchmarks.progress import Report
from tests.benchmarks.sealing.figures import Pair, SealingFigures
from tests.benchmarks.sealing.vault import vault_for

T = TypeVar("T")
ROUNDS = 5
QUERIES = 8
"""Of each round."""
COLDS = 3
QUERY_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Side:
    """A node, its storage, and what it is asked."""

    storage: Aws
    running: Node
    client: Client
    folder: Path
    queries: Path


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """One load of one node: rows a second, and microseconds of the processor a row."""

    rate: float
    processor: float


def measure(embeddings: Embeddings, *, report: Report) -> SealingFigures:
    """Load, query and start both again and again.

    :raises BenchmarkError: wrk is missing, or something does not work.
    """
    wrk.require()
    bodies = loading.bodies(embeddings.rows, [{} for _ in range(len(embeddings.rows))])
    encoded = [json.dumps({"vector": packed(query), "k": K}).encode() for query in embeddings.queries]
    with tempfile.TemporaryDirectory(prefix="bench") as name, ExitStack() as exits:
        plain_aws, sealed_aws = (
            vault_for(exits.enter_context(aws(_made(Path(name) / side))), exits, seals=side == "sealed")
            for side in ("plain", "sealed")
        )
        queries = wrk.write_bodies(Path(name) / "queries.txt", encoded)
        sides = {"plain": plain_aws, "sealed": sealed_aws}
        loads, runs = [], []
        for round_ in range(ROUNDS):
            with ExitStack() as nodes:
                both = [_start(nodes, storage, Path(name) / side, queries) for side, storage in sides.items()]
                loads.append(_in_turns(both, round_, lambda side: _load(side, bodies, embeddings)))
                runs += [_in_turns(both, turn, _query) for turn in range(QUERIES)]
            report("loads and queries", (round_ + 1) / ROUNDS)
        colds = [_in_turns(both, round_, _cold) for round_ in range(COLDS)]
        report("cold starts", 1)
    return SealingFigures(
        source=embeddings.source,
        rows=len(embeddings.rows),
        dimension=embeddings.rows.shape[1],
        loads=[Pair(plain=plain.rate, sealed=sealed.rate) for plain, sealed in loads],
        load_processor=[Pair(plain=plain.processor, sealed=sealed.processor) for plain, sealed in loads],
        queries=[Pair(plain=plain.rate, sealed=sealed.rate) for plain, sealed in runs],
        query_processor=[Pair(plain=plain.processor, sealed=sealed.processor) for plain, sealed in runs],
        colds=[Pair(plain=plain, sealed=sealed) for plain, sealed in colds],
    )


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _start(nodes: ExitStack, storage: Aws, folder: Path, queries: Path) -> Side:
    running = nodes.enter_context(node(storage, folder, workers=1))
    client = nodes.enter_context(Client(running.url, token=running.token))
    return Side(storage=storage, running=running, client=client, folder=folder, queries=queries)


def _in_turns(both: Sequence[Side], round_: int, work: Callable[[Side], T]) -> tuple[T, T]:
    """``work`` of the plain side and of the sealed one; each is first every other time."""
    order = both if round_ % 2 == 0 else both[::-1]
    first, second = (work(side) for side in order)
    return (first, second) if round_ % 2 == 0 else (second, first)


def _load(side: Side, bodies: Sequence[bytes], embeddings: Embeddings) -> Loaded:
    """Into a new collection, until all is acknowledged; then until it is all in graphs, and in a snapshot."""
    for each in side.client.collections():
        side.client.collection(each.name).delete_collection()
    rows, dimension = embeddings.rows.shape
    collection = side.client.create_collection(COLLECTION, dimension=dimension)
    before, started = side.running.processor_seconds(), time.perf_counter()
    loader = loading.Loader(side.running.url, side.running.token, collection.name, iter(bodies))
    loader.start()
    loader.join()
    seconds = time.perf_counter() - started
    _settle(collection)
    return Loaded(rate=rows / seconds, processor=1e6 * (side.running.processor_seconds() - before) / rows)


def _settle(collection: Collection) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    unchanged, before = 0, collection.stats()
    while unchanged < 8 or before.unmerged_rows:
        if time.monotonic() > deadline:
            raise BenchmarkError("rows stay outside graphs.")
        time.sleep(1)
        now = collection.stats()
        unchanged = unchanged + 1 if now == before else 0
        before = now


def _query(side: Side) -> Loaded:
    before = side.running.processor_seconds()
    run = wrk.run(
        query_url(side.running),
        side.queries,
        connections=CONNECTIONS,
        seconds=QUERY_SECONDS,
        token=side.running.token,
    )
    return Loaded(rate=run.rate, processor=1e6 * (side.running.processor_seconds() - before) / run.requests)


def _cold(side: Side) -> float:
    with node(side.storage, side.folder, workers=1) as running:
        return cold_load(running, side.queries)
