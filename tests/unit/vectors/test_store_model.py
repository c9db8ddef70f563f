"""The store against an exact model in memory: whatever is asked for, in any order, on any node."""

import itertools
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import boto3
import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from moto import mock_aws

from anfl.problems import Problem
from anfl.vectors import request_runs
from anfl.vectors.builder import Builder, SnapshotPolicy
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.declarations import patched
from anfl.vectors.engine import tiers
from anfl.vectors.model import CollectionSettings, FieldType, Metric
from anfl.vectors.postponed import Postponed
from anfl.vectors.repair import Repairs
from anfl.vectors.requests import (
    Answer,
    CollectionPatch,
    Count,
    DeleteRows,
    Fetch,
    NewRow,
    PatchRow,
    PatchRows,
    Query,
    Scroll,
    StoredRow,
    Upsert,
    Written,
)
from anfl.vectors.sealing import sealing
from anfl.vectors.storage import Storage
from anfl.vectors.store import VectorStore
from local.tables import create_table
from tests.unit.crypto.wrapping import FakeTransit
from tests.unit.vectors.builders import node
from tests.unit.vectors.importing import TABLE
from tests.unit.vectors.simulated import SimulatedStore, SimulatedTime

IDS = st.sampled_from([f"id{number}" for number in range(12)])
NUMBERS = st.integers(-3, 3)
METADATA = st.dictionaries(
    st.sampled_from(["n", "tag", "flag", "many"]),
    st.one_of(NUMBERS, st.sampled_from(["x", "y"]), st.booleans(), st.none(), st.lists(NUMBERS, max_size=2)),
    max_size=3,
)
FILTERS: list[tuple[dict[str, Any], Callable[[dict[str, Any]], bool]]] = [
    ({"n": {"$gte": 1}}, lambda m: _number(m.get("n")) and m["n"] >= 1),
    ({"n": {"$lt": 0}}, lambda m: _number(m.get("n")) and m["n"] < 0),
    ({"tag": "x"}, lambda m: m.get("tag") == "x"),
    ({"tag": {"$exists": False}}, lambda m: "tag" not in m),
    ({"flag": True}, lambda m: m.get("flag") is True),
    (
        {"many": {"$contains": 2}},
        lambda m: isinstance(m.get("many"), list) and any(v == 2 and _number(v) for v in m["many"]),
    ),
    (
        {"$or": [{"tag": "y"}, {"$not": {"n": {"$in": [0, 1]}}}]},
        lambda m: m.get("tag") == "y" or not (_number(m.get("n")) and m["n"] in (0, 1)),
    ),
]
FILTER = st.integers(0, len(FILTERS) - 1)
TYPES: dict[FieldType, Callable[[Any], bool]] = {
    FieldType.NUMBER: lambda value: _number(value),
    FieldType.STRING: lambda value: isinstance(value, str),
    FieldType.BOOLEAN: lambda value: isinstance(value, bool),
    FieldType.STRINGS: lambda value: isinstance(value, list) and all(isinstance(each, str) for each in value),
}
Types = dict[str, FieldType]
FIELDS = st.dictionaries(st.sampled_from(["n", "tag", "flag", "many"]), st.sampled_from(list(TYPES)), max_size=2)
_NUMBERS = itertools.count()
NODES = 2
"""With a builder. One process more has none."""
AT = st.integers(0, NODES)
Row = tuple[tuple[float, float], dict[str, Any], int, float | None]
"""Values, metadata, version, expiry."""


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class Store(RuleBasedStateMachine):
    """Two nodes of a store and a process that is alone, and dictionaries that say what has to be in its collections."""

    @initialize()
    def start(self) -> None:
        self.time = SimulatedTime()
        self.objects = SimulatedStore(now=lambda: self.time.seconds)
        session = boto3.session.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1")
        create_table(session.client("dynamodb"), name := f"{TABLE}-{next(_NUMBERS)}")
        self.catalogue = Catalogue(session.resource("dynamodb").Table(name), seals=True)
        self.transit = FakeTransit()
        self.nodes = [self.node(at) for at in range(NODES + 1)]
        self.nodes[0].create("demo", CollectionSettings(name="main", dimension=2, metric=Metric.L2))
        self.collections: dict[str, dict[str, Row]] = {"main": {}}
        self.sequences = {"main": 0}
        self.saved: dict[str, tuple[dict[str, Row], int, Types]] = {}
        self.declared: dict[str, Types] = {"main": {}}
        self.building: dict[str, Types] = {"main": {}}
        """Declared by who was killed then."""
        self.number = 0
        self.repeatable: list[tuple[Upsert, Written]] = []

    def node(self, at: int) -> VectorStore:
        clock = self.time.clock()
        envelopes = sealing(self.objects, self.transit, repairs=Repairs(self.objects), monotonic=clock.monotonic)
        storage = Storage(
            objects=self.objects, node=node(), alone=at == NODES, clock=clock, threads=False, envelopes=envelopes
        )
        return VectorStore(self.catalogue, storage)

    def teardown(self) -> None:
        for store in getattr(self, "nodes", ()):
            store.close()

    def alive(self, name: str) -> dict[str, Row]:
        """What has not expired."""
        now = self.time.seconds
        return {row_id: row for row_id, row in self.collections[name].items() if row[3] is None or row[3] > now}

    def collection(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.collections)))

    @rule(
        data=st.data(),
        at=AT,
        rows=st.dictionaries(IDS, st.tuples(NUMBERS, NUMBERS, METADATA), min_size=1, max_size=5),
    )
    def upsert(self, data: st.DataObject, at: int, rows: dict[str, tuple[int, int, dict[str, Any]]]) -> None:
        name = self.collection(data)
        moment = data.draw(st.sampled_from([None, None, self.time.seconds + 30, self.time.seconds - 1]))
        before = self.alive(name)
        wanted = data.draw(st.sampled_from([None, None, 0, "right"]))
        new = [
            NewRow(
                id=row_id,
                values=[float(x), float(y)],
                metadata=metadata,
                expires_at=moment,
                if_version=before[row_id][2]
                if wanted == "right" and row_id in before
                else 0
                if wanted is not None
                else None,
            )
            for row_id, (x, y, metadata) in rows.items()
        ]
        if wanted == 0 and rows.keys() & before.keys() and not any(self.contradicts(name, row.metadata) for row in new):
            assert self.refusal(lambda: self.nodes[at].write("demo", name, Upsert(vectors=new))) == "version_conflict"
            return
        change = Upsert(vectors=new, request_id=self.next_id())
        if any(self.contradicts(name, row.metadata) for row in new):
            assert self.refusal(lambda: self.nodes[at].write("demo", name, change)) == "invalid_request"
            return
        assert self.nodes[at].write("demo", name, change).upserted == len(new)
        sequence = self.advance(name)
        for row in new:
            x, y, metadata = rows[row.id]
            self.collections[name][row.id] = ((float(x), float(y)), metadata, sequence, moment)

    @rule(data=st.data(), at=AT, row_id=IDS, metadata=METADATA)
    def patch(self, data: st.DataObject, at: int, row_id: str, metadata: dict[str, Any]) -> None:
        name = self.collection(data)
        before = self.alive(name).get(row_id)
        change = PatchRows(vectors=[PatchRow(id=row_id, metadata=metadata)], request_id=self.next_id())
        if self.contradicts(name, metadata):
            assert self.refusal(lambda: self.nodes[at].write("demo", name, change)) == "invalid_request"
            return
        assert self.nodes[at].write("demo", name, change).patched == (before is not None)
        sequence = self.advance(name)
        if before is not None:
            merged = {key: value for key, value in before[1].items() if key not in metadata}
            merged |= {key: value for key, value in metadata.items() if value is not None}
            self.collections[name][row_id] = (before[0], merged, sequence, before[3])

    @rule(data=st.data(), at=AT, ids=st.sets(IDS, min_size=1, max_size=4))
    def delete(self, data: st.DataObject, at: int, ids: set[str]) -> None:
        name = self.collection(data)
        doomed = ids & self.alive(name).keys()
        change = DeleteRows(ids=sorted(ids), request_id=self.next_id())
        assert self.nodes[at].write("demo", name, change).deleted == len(doomed)
        self.advance(name)
        for row_id in doomed:
            del self.collections[name][row_id]

    @rule(data=st.data(), at=AT, which=FILTER)
    def delete_by_filter(self, data: st.DataObject, at: int, which: int) -> None:
        name = self.collection(data)
        document, matches = FILTERS[which]
        doomed = [row_id for row_id, row in self.alive(name).items() if matches(row[1])]
        change = DeleteRows(filter=document, request_id=self.next_id())
        if self.is_building(name, which):
            assert self.refusal(lambda: self.nodes[at].write("demo", name, change)) == "field_not_ready"
            return
        assert self.nodes[at].write("demo", name, change).deleted == len(doomed)
        self.advance(name)
        for row_id in doomed:
            del self.collections[name][row_id]

    @rule(data=st.data(), at=AT, which=st.one_of(st.none(), FILTER), limit=st.integers(1, 5))
    def scroll(self, data: st.DataObject, at: int, which: int | None, limit: int) -> None:
        name = self.collection(data)
        document, matches = FILTERS[which] if which is not None else (None, lambda _: True)
        found: list[StoredRow] = []
        cursor = None
        while True:
            request = Scroll(
                limit=limit, cursor=cursor, filter=document, include=["values", "metadata"], consistency="strong"
            )
            if which is not None and self.is_building(name, which):
                assert self.refusal(partial(self.nodes[at].scroll, "demo", name, request)) == "field_not_ready"
                return
            page = self.nodes[at].scroll("demo", name, request)
            found += page.vectors
            cursor = page.cursor
            if cursor is None:
                break
        expected = {row_id: row for row_id, row in sorted(self.alive(name).items()) if matches(row[1])}
        assert [_seen(row) for row in found] == [(row_id, *row) for row_id, row in expected.items()]

    @rule(
        data=st.data(),
        at=AT,
        x=NUMBERS,
        y=NUMBERS,
        k=st.integers(1, 15),
        which=st.one_of(st.none(), FILTER),
    )
    def query(self, data: st.DataObject, at: int, x: int, y: int, k: int, which: int | None) -> None:
        name = self.collection(data)
        document, matches = FILTERS[which] if which is not None else (None, lambda _: True)
        request = Query(vector=[float(x), float(y)], k=k, filter=document, consistency="strong")
        if which is not None and self.is_building(name, which):
            assert self.refusal(lambda: self.nodes[at].query("demo", name, request)) == "field_not_ready"
            return
        answer = self.nodes[at].query("demo", name, request)
        assert isinstance(answer, Answer)
        rows = self.alive(name).items()
        nearest = sorted(
            (float(np.hypot(row[0][0] - x, row[0][1] - y)), row_id) for row_id, row in rows if matches(row[1])
        )
        assert [match.id for match in answer.matches] == [row_id for _, row_id in nearest[:k]]
        assert np.allclose(
            [match.distance for match in answer.matches], [distance for distance, _ in nearest[:k]], atol=1e-5
        )

    @rule(data=st.data(), at=AT, fields=FIELDS, killed=st.booleans())
    def declare(self, data: st.DataObject, at: int, fields: Types, killed: bool) -> None:
        """``killed``: as soon as the catalogue knows; so it may be that rows contradict."""
        name = self.collection(data)
        patch = CollectionPatch(fields=fields)
        if killed:
            self.catalogue.change("demo", name, lambda before: patched(before, patch))
        elif any(self.contradicting(name, fields).values()):
            assert self.refusal(lambda: self.nodes[at].update("demo", name, patch)) == "field_contradicted"
            return
        else:
            self.nodes[at].update("demo", name, patch)
        known = self.declared[name]
        self.declared[name] = {each: declared for each, declared in fields.items() if known.get(each) == declared}
        self.building[name] = {each: fields[each] for each in fields if each not in self.declared[name]}
        if not killed:
            self.build_fields(name)

    @rule(data=st.data(), at=AT)
    def go_on(self, data: st.DataObject, at: int) -> None:
        name = self.collection(data)
        self.nodes[at].count("demo", name, Count(consistency="strong"))
        self.nodes[at].hnsw.upkeep._postponed = Postponed()
        self.nodes[at].hnsw.upkeep.once()
        self.notice()
        assert not self.building[name]

    def notice(self) -> None:
        """Upkeep has brought to their end what of the fields its node knew of."""
        for name, building in self.building.items():
            if building and not self.catalogue.find("demo", name).building:
                self.build_fields(name)

    def build_fields(self, name: str) -> None:
        """A fence stands in the log, and what no row contradicts is declared."""
        if self.building[name]:
            self.advance(name)
        counts = self.contradicting(name, self.building[name])
        self.declared[name] |= {each: self.building[name][each] for each, count in counts.items() if not count}
        found = self.catalogue.find("demo", name)
        assert found.settings.fields == self.declared[name]
        expected = {each: count for each, count in counts.items() if count}
        assert {each: found.pending[each].contradicting for each in expected} == expected
        self.building[name] = {}

    def contradicting(self, name: str, fields: Types) -> dict[str, int]:
        """By field, how many rows hold something else."""
        rows = [row[1] for row in self.alive(name).values()]
        return {
            each: sum(row.get(each) is not None and not TYPES[declared](row[each]) for row in rows)
            for each, declared in fields.items()
        }

    def contradicts(self, name: str, metadata: dict[str, Any]) -> bool:
        types = {**self.declared[name], **self.building[name]}
        return any(
            value is not None and each in types and not TYPES[types[each]](value) for each, value in metadata.items()
        )

    def is_building(self, name: str, which: int) -> bool:
        return any(f'"{each}"' in json.dumps(FILTERS[which][0]) for each in self.building[name])

    @rule(seconds=st.sampled_from([0.5, 2.0, 31.0, 400.0]))
    def wait(self, seconds: float) -> None:
        self.time.advance(seconds)

    @rule(at=AT)
    def restart(self, at: int) -> None:
        self.nodes[at].close()
        self.nodes[at] = self.node(at)

    @rule(data=st.data(), at=AT)
    def build(self, data: st.DataObject, at: int) -> None:
        store = self.nodes[at]
        collection = store.describe("demo", self.collection(data))
        if at < NODES:
            Builder(store.storage, policy=SnapshotPolicy(batches=1)).build(collection)
        store.hnsw.upkeep.once()
        self.notice()

    @rule(at=AT)
    def snapshot(self, at: int) -> None:
        snapshot = f"snapshot{self.number}"
        if snapshot in self.saved:
            return
        made = self.nodes[at].create_snapshot("demo", "main", snapshot)
        assert made.sequence.endswith(f".{self.sequences['main']}")
        self.saved[snapshot] = (dict(self.alive("main")), self.sequences["main"], dict(self.declared["main"]))

    @precondition(lambda self: self.saved and len(self.collections) < 4)
    @rule(data=st.data(), at=AT)
    def restore(self, data: st.DataObject, at: int) -> None:
        snapshot = data.draw(st.sampled_from(sorted(self.saved)))
        into = f"restored{len(self.collections)}"
        self.nodes[at].restore("demo", "main", snapshot, into)
        rows, sequence, declared = self.saved[snapshot]
        self.collections[into], self.sequences[into] = dict(rows), sequence
        self.declared[into], self.building[into] = dict(declared), {}

    @rule(at=AT, other=AT)
    def repeat(self, at: int, other: int) -> None:
        """The same request again changes nothing, on whichever node, and however long ago within a day it was."""
        change = Upsert(vectors=[NewRow(id="id0", values=[9.0, 9.0])], request_id=self.next_id())
        first = self.nodes[at].write("demo", "main", change)
        sequence = self.advance("main")
        self.collections["main"]["id0"] = ((9.0, 9.0), {}, sequence, None)
        self.repeatable.append((change, first))
        for earlier, answer in self.repeatable:
            assert self.nodes[other].write("demo", "main", earlier) == answer

    @invariant()
    def counts_agree(self) -> None:
        if not hasattr(self, "nodes"):
            return
        for name in self.collections:
            for store in self.nodes:
                assert store.count("demo", name, Count(consistency="strong")).count == len(self.alive(name))
        found = self.nodes[0].fetch("demo", "main", Fetch(ids=[f"id{number}" for number in range(12)]))
        assert {row.id for row in found.vectors} == self.alive("main").keys()

    def refusal(self, call: Callable[[], Any]) -> str:
        try:
            call()
        except Problem as problem:
            return problem.code
        raise AssertionError("nothing was refused")

    def advance(self, name: str) -> int:
        self.sequences[name] += 1
        return self.sequences[name]

    def next_id(self) -> str:
        self.number += 1
        return f"request{self.number}"


def _seen(row: StoredRow) -> tuple[Any, ...]:
    assert isinstance(row.values, list)
    return (row.id, tuple(row.values), json.loads(json.dumps(row.metadata)), row.version, row.expires_at)


def test_the_store_is_what_the_model_says(monkeypatch: Any) -> None:
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setattr(tiers, "GRAPH_FROM", 4)
    monkeypatch.setattr(tiers, "FRESH_ROWS", 6)
    monkeypatch.setattr(request_runs, "MOST_RECENT", 3)
    with mock_aws():
        run_state_machine_as_test(
            Store,
            settings=settings(
                max_examples=25,
                stateful_step_count=30,
                deadline=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),  # a busy machine is no failure
            ),
        )
