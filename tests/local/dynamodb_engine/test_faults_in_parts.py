"""Large requests while DynamoDB throttles, answers in part and loses answers: each part is done, and done once."""

import random

import pytest

from anfl.vectors.model import Metric
from anfl.vectors.requests import Count, DeleteRows, Fetch, NewRow, PatchRow, PatchRows, Query, Scroll, Upsert
from tests.local.aws.conftest import Aws
from tests.local.dynamodb_engine.classes import collection, engine
from tests.local.dynamodb_engine.faults import Faulty

ROWS = [NewRow(id=f"r{n:03}", values=[float(n), 1.0], metadata={"tag": "ab"[n % 2], "n": n}) for n in range(350)]
IDS = [row.id for row in ROWS]
LEAST = 10
"""Faults, without which nothing was tried."""


@pytest.mark.parametrize("named", [True, False])
def test_nothing_is_lost_and_nothing_done_twice(server: Aws, named: bool) -> None:
    faults = Faulty(server.client("dynamodb"), random.Random(f"parts {named}"), 0.4)
    photos, store = collection(Metric.L2), engine(faults, Metric.L2)
    upsert = Upsert(vectors=ROWS, atomic=False, request_id="upsert" if named else None)
    assert store.write(photos, upsert).upserted == len(ROWS)
    patches = [PatchRow(id=row_id, metadata={"n": -1}) for row_id in IDS]
    assert store.write(photos, PatchRows(vectors=patches, atomic=False)).patched == len(ROWS)
    found = store.fetch(photos, Fetch(ids=IDS)).vectors
    assert [(row.id, row.metadata) for row in found] == [(row.id, row.metadata | {"n": -1}) for row in ROWS]
    deletion = DeleteRows(ids=IDS[:150], atomic=False, request_id="deletion" if named else None)
    assert store.write(photos, deletion).deleted == 150
    assert store.write(photos, deletion).deleted == (150 if named else 0)
    if named:
        assert store.write(photos, upsert).upserted == len(ROWS)
    assert store.count(photos, Count()).count == 200
    assert [row.id for row in store.scroll(photos, Scroll(limit=1_000)).vectors] == IDS[150:]
    answer = store.query(photos, Query(vector=[0.0, 1.0], k=100, filter={"tag": "b", "n": {"$in": [-1, 7]}}))
    assert [match.id for match in answer.matches] == IDS[151::2]  # type: ignore[union-attr]
    assert faults.failed >= LEAST
