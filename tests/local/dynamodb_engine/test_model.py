"""The engine against an exact model in memory, while DynamoDB throttles, answers in part, and loses answers."""

import itertools
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from anfl.problems import Problem
from anfl.vectors.clock import Clock
from anfl.vectors.model import Metric
from anfl.vectors.requests import (
    Answer,
    Count,
    DeleteRows,
    Fetch,
    NewRow,
    PatchRow,
    PatchRows,
    Query,
    Scroll,
    Upsert,
)
from tests.local.aws.conftest import Aws
from tests.local.dynamodb_engine.classes import collection, engine
from tests.local.dynamodb_engine.faults import Faulty

IDS = st.sampled_from([f"id{number}" for number in range(12)])
NUMBERS = st.integers(1, 5)
METADATA = st.fixed_dictionaries(
    {},
    optional={
        "tag": st.sampled_from(["x", "y", "", None]),
        "n": st.sampled_from([0, 1, 1.5, None]),
        "flag": st.sampled_from([True, False, None]),
        "free": st.sampled_from([1, "z", None, ["a"]]),
    },
)
Matches = Callable[[dict[str, Any]], bool]


def _is(value: object, wanted: object) -> bool:
    return value == wanted and isinstance(value, bool) == isinstance(wanted, bool)


QUERIES: list[tuple[dict[str, Any], Matches]] = [
    ({"tag": "x"}, lambda m: m.get("tag") == "x"),
    ({"tag": ""}, lambda m: m.get("tag") == ""),
    ({"n": 1}, lambda m: _is(m.get("n"), 1)),
    ({"n": True}, lambda _: False),
    ({"flag": False}, lambda m: m.get("flag") is False),
    ({"tag": "y", "n": {"$in": [0, 1.5]}}, lambda m: m.get("tag") == "y" and m.get("n") in (0, 1.5)),
    ({"$or": [{"tag": "x"}, {"n": 1}]}, lambda m: m.get("tag") == "x" or _is(m.get("n"), 1)),
    ({"$and": [{"tag": "x"}, {"tag": "y"}]}, lambda _: False),
    ({"$or": [{"tag": "x"}, {"tag": "x", "flag": True}]}, lambda m: m.get("tag") == "x"),
]
"""What the index can answer."""
ANY: list[tuple[dict[str, Any], Matches]] = [
    *QUERIES,
    ({"free": {"$exists": True}}, lambda m: "free" in m),
    ({"$not": {"tag": "x"}}, lambda m: m.get("tag") != "x"),
    ({"n": {"$gte": 1}}, lambda m: isinstance(m.get("n"), int | float) and m["n"] >= 1),
]
Row = tuple[tuple[float, float], dict[str, Any], int, float | None]
"""Values, metadata, version, expiry."""


def numbers(values: object) -> tuple[float, ...]:
    assert isinstance(values, list)
    return tuple(values)


class Engine(RuleBasedStateMachine):
    """An engine, and a dictionary that says what has to be in its collection."""

    client: Any

    @initialize(metric=st.sampled_from(list(Metric)), seed=st.integers(0, 2**32))
    def start(self, metric: Metric, seed: int) -> None:
        self.now = 1_800_000_000.0
        clock = Clock(wall=lambda: self.now)
        self.faults = Faulty(self.client, random.Random(seed), 0.2)
        self.engine = engine(self.faults, metric, clock)
        self.collection = collection(metric)
        self.other = collection(metric, tenant="other")
        row = NewRow(id="id0", values=[1.0, 1.0], metadata={"tag": "x", "n": 1})
        self.engine.write(self.other, Upsert(vectors=[row]))
        self.rows: dict[str, Row] = {}
        self.requests: dict[str, tuple[Upsert, int]] = {}
        self.numbers = itertools.count()

    def alive(self) -> dict[str, Row]:
        return {row_id: row for row_id, row in self.rows.items() if row[3] is None or row[3] > self.now}

    def learn_versions(self, ids: list[str]) -> dict[str, int]:
        found = self.engine.fetch(self.collection, Fetch(ids=ids)).vectors
        return {row.id: row.version for row in found}

    @rule(
        rows=st.dictionaries(IDS, st.tuples(NUMBERS, NUMBERS, METADATA), min_size=1, max_size=5),
        expires=st.sampled_from([None, None, 30.0, -1.0]),
        demanded=st.sampled_from([None, None, "new", "right", "wrong"]),
        named=st.booleans(),
    )
    def upsert(self, rows: dict[str, Any], expires: float | None, demanded: str | None, named: bool) -> None:
        before = self.alive()
        moment = None if expires is None else self.now + expires
        versions = {
            row_id: {None: None, "new": 0, "right": before[row_id][2] if row_id in before else 0, "wrong": 7}[demanded]
            for row_id in rows
        }
        new = [
            NewRow(id=row_id, values=[x, y], metadata=metadata, expires_at=moment, if_version=versions[row_id])
            for row_id, (x, y, metadata) in rows.items()
        ]
        change = Upsert(vectors=new, request_id=f"r{next(self.numbers)}" if named else None)
        if demanded == "wrong" or (demanded == "new" and rows.keys() & before.keys()):
            assert self.refusal(change) == "version_conflict"
            return
        assert self.engine.write(self.collection, change).upserted == len(new)
        if change.request_id is not None:
            self.requests[change.request_id] = (change, len(new))
        stamps = self.learn_versions(list(rows))
        for row in new:
            x, y, metadata = rows[row.id]
            self.rows[row.id] = ((float(x), float(y)), metadata, stamps.get(row.id, -1), moment)

    @rule(row_id=IDS, metadata=METADATA)
    def patch(self, row_id: str, metadata: dict[str, Any]) -> None:
        before = self.alive().get(row_id)
        change = PatchRows(vectors=[PatchRow(id=row_id, metadata=metadata)], request_id=f"r{next(self.numbers)}")
        assert self.engine.write(self.collection, change).patched == (before is not None)
        if before is not None:
            merged = {key: value for key, value in before[1].items() if key not in metadata}
            merged |= {key: value for key, value in metadata.items() if value is not None}
            version = self.learn_versions([row_id])[row_id]
            assert version != before[2]
            self.rows[row_id] = (before[0], merged, version, before[3])

    @rule(ids=st.sets(IDS, min_size=1, max_size=4), named=st.booleans())
    def delete(self, ids: set[str], named: bool) -> None:
        doomed = ids & self.alive().keys()
        change = DeleteRows(ids=sorted(ids), request_id=f"r{next(self.numbers)}" if named else None)
        assert self.engine.write(self.collection, change).deleted == len(doomed)
        for row_id in doomed:
            del self.rows[row_id]

    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """An earlier request comes once more: it is not carried out again."""
        if self.requests:
            change, count = self.requests[data.draw(st.sampled_from(sorted(self.requests)))]
            assert self.engine.write(self.collection, change).upserted == count
            other = Upsert(vectors=[NewRow(id="id1", values=[9.0, 9.0])], request_id=change.request_id)
            assert self.refusal(other) == "request_id_reused"

    @rule(seconds=st.sampled_from([1.0, 31.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def fetch(self) -> None:
        found = self.engine.fetch(self.collection, Fetch(ids=[f"id{number}" for number in range(12)])).vectors
        seen = {row.id: (numbers(row.values), row.metadata, row.version, row.expires_at) for row in found}
        assert seen == self.alive()

    @rule(which=st.one_of(st.none(), st.integers(0, len(ANY) - 1)), limit=st.integers(1, 5))
    def scroll(self, which: int | None, limit: int) -> None:
        document, matches = ANY[which] if which is not None else (None, lambda _: True)
        found: list[str] = []
        cursor = None
        while True:
            page = self.engine.scroll(self.collection, Scroll(limit=limit, cursor=cursor, filter=document))
            found += [row.id for row in page.vectors]
            assert all(row.metadata == self.rows[row.id][1] for row in page.vectors)
            cursor = page.cursor
            if cursor is None:
                break
        assert found == sorted(row_id for row_id, row in self.alive().items() if matches(row[1]))

    @rule(which=st.one_of(st.none(), st.integers(0, len(ANY) - 1)))
    def count(self, which: int | None) -> None:
        document, matches = ANY[which] if which is not None else (None, lambda _: True)
        expected = sum(matches(row[1]) for row in self.alive().values())
        assert self.engine.count(self.collection, Count(filter=document)).count == expected

    @rule(
        x=NUMBERS,
        y=NUMBERS,
        k=st.integers(1, 15),
        which=st.one_of(st.none(), st.integers(0, len(QUERIES) - 1)),
        farthest=st.one_of(st.none(), st.sampled_from([0.6, 2.1])),
    )
    def query(self, x: int, y: int, k: int, which: int | None, farthest: float | None) -> None:
        document, matches = QUERIES[which] if which is not None else (None, lambda _: True)
        request = Query(vector=[x, y], k=k, filter=document, max_distance=farthest, include=["metadata", "values"])
        answer = self.engine.query(self.collection, request)
        assert isinstance(answer, Answer)
        distances = {row_id: self.distance((x, y), row[0]) for row_id, row in self.alive().items() if matches(row[1])}
        nearest = [each for each in sorted(distances.values())[:k] if farthest is None or each <= farthest]
        found = [match.distance for match in answer.matches]
        assert np.allclose(found, nearest, atol=1e-5)
        assert np.allclose(found, [distances[match.id] for match in answer.matches], atol=1e-5)
        assert len({match.id for match in answer.matches}) == len(found)
        assert all(match.metadata == self.rows[match.id][1] for match in answer.matches)
        assert all(numbers(match.values) == self.rows[match.id][0] for match in answer.matches)

    def distance(self, query: tuple[int, int], values: tuple[float, float]) -> float:
        a, b = np.array(query, dtype=float), np.array(values)
        match self.collection.settings.metric:
            case Metric.L2:
                return float(np.linalg.norm(a - b))
            case Metric.IP:
                return -float(a @ b)
            case Metric.COSINE:
                return max(0.0, 1 - float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))

    def refusal(self, change: Upsert) -> str:
        with pytest.raises(Problem) as refused:
            self.engine.write(self.collection, change)
        return refused.value.code


def test_the_engine_does_what_the_model_does(server: Aws) -> None:
    Engine.client = server.client("dynamodb")
    run_state_machine_as_test(
        Engine,
        settings=settings(
            max_examples=30,
            stateful_step_count=25,
            deadline=None,
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
            suppress_health_check=list(HealthCheck),
        ),
    )
