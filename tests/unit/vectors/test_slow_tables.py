"""Reads of a table of the engine ``dynamodb`` that is slow: less is asked of it at a time, and none is given up."""

from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

import boto3
import pytest
from botocore.exceptions import ReadTimeoutError

from anfl.problems import Problem
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.dynamodb.build import engine_over
from anfl.vectors.dynamodb.classes import EngineClass
from anfl.vectors.dynamodb.table import Table
from anfl.vectors.model import CollectionSettings, Metric
from anfl.vectors.objects import S3ObjectStore
from anfl.vectors.requests import NewRow, Scroll, Upsert
from anfl.vectors.store import VectorStore
from local.tables import create_table
from tests.unit.vectors.builders import storage

PATIENCE = 5.0
"""Seconds after which a client of AWS gives a call up."""
ROWS = [NewRow(id=f"r{number:03}", values=[number, 1.0], metadata={"n": number % 10}) for number in range(300)]


class SlowClient:
    """Of a table with one partition; a row takes it ``seconds``."""

    def __init__(self, *, items: int, seconds: float) -> None:
        self.now = 0.0
        self.seconds = seconds
        self.asked: list[int | None] = []
        self._items = [{"pk": {"S": "p"}, "sk": {"S": f"{number:04}"}} for number in range(items)]

    def query(self, **request: Any) -> dict[str, Any]:
        """See boto3."""
        self.asked.append(request.get("Limit"))
        after = request.get("ExclusiveStartKey", {"sk": {"S": ""}})["sk"]["S"]
        behind = [item for item in self._items if item["sk"]["S"] > after]
        page = behind[: request.get("Limit", 10**6)]
        self.now += min(len(page) * self.seconds, PATIENCE)
        if len(page) * self.seconds > PATIENCE:
            raise ReadTimeoutError(endpoint_url="http://127.0.0.1")
        found: dict[str, Any] = {"Items": page, "Count": len(page)}
        return found | ({"LastEvaluatedKey": page[-1]} if len(page) < len(behind) else {})

    def sleep(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds


def read(table: Table, *, limit: int | None) -> list[Any]:
    """All of it, with the patience of a client."""
    for _ in range(5):
        with suppress(Problem):
            return list(table.partition("p", dict, limit=limit))
    pytest.fail("it is not to be had")


@pytest.mark.parametrize(("limit", "seconds"), [(100, 0.15), (None, 0.05)])
def test_what_does_not_answer_is_asked_for_less_and_for_more_again_when_it_is_fast(
    limit: int | None, seconds: float
) -> None:
    client = SlowClient(items=600, seconds=seconds)
    table = Table(cast("Any", client), "small", sleep=client.sleep, clock=lambda: client.now)
    assert len(read(table, limit=limit)) == 600
    before = len(client.asked)
    assert len(read(table, limit=limit)) == 600
    assert None not in client.asked[before:]
    assert max(cast("list[int]", client.asked[before:])) * client.seconds < PATIENCE  # nothing was asked in vain
    client.seconds = 0.0
    read(table, limit=limit)
    read(table, limit=limit)
    assert client.asked[-1] == limit


def test_what_is_little_is_not_asked_for_in_bits() -> None:
    client = SlowClient(items=60, seconds=0.6)
    table = Table(cast("Any", client), "small", sleep=client.sleep, clock=lambda: client.now)
    with pytest.raises(Problem):
        list(table.partition("p", dict, limit=9))
    client.seconds = 0.0
    assert len(read(table, limit=9)) == 60
    assert set(client.asked) == {9}


@pytest.fixture(name="time")
def _time() -> SimpleNamespace:
    return SimpleNamespace(now=1_800_000_000.0)


@pytest.fixture(name="store")
def _store(
    session: boto3.session.Session, catalogue: Catalogue, objects: S3ObjectStore, time: SimpleNamespace
) -> Iterator[VectorStore]:
    """With three hundred rows."""
    client = session.client("dynamodb")
    create_table(client, "small")
    clock = Clock(wall=lambda: time.now, monotonic=lambda: time.now)
    engine = engine_over(
        client, {EngineClass(name="small", dimension=2, metric=Metric.L2): "small"}, clock=clock, jobs=None
    )
    store = VectorStore(catalogue, storage(objects, clock=clock), distributed=engine)
    store.create("demo", CollectionSettings(name="photos", dimension=2, metric=Metric.L2, engine="dynamodb"))
    store.write("demo", "photos", Upsert(vectors=ROWS, atomic=False))
    yield store
    store.close()


@pytest.fixture(name="slow")
def _slow(time: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each partition's page takes a second."""
    pages = Table._pages

    def late(table: Table, request: dict[str, Any]) -> Iterator[Any]:
        for page in pages(table, request):
            time.now += 1.0
            yield page

    monkeypatch.setattr(Table, "_pages", late)


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("wanted", [None, {"n": 3}, {"n": -1}], ids=["all", "some", "none"])
def test_a_page_ends_before_it_takes_too_long_and_nothing_is_left_out(
    store: VectorStore, time: SimpleNamespace, wanted: dict[str, Any] | None
) -> None:
    """A page of a filter that fits nothing can be empty, and there is another one."""
    found: list[str] = []
    cursor, began, pages = None, time.now, 0
    while True:
        page = store.scroll("demo", "photos", Scroll(limit=50, filter=wanted, cursor=cursor))
        found += [row.id for row in page.vectors]
        pages += 1
        assert time.now - began < 30
        began, cursor = time.now, page.cursor
        if cursor is None:
            break
    assert found == [row.id for row in ROWS if wanted is None or row.metadata["n"] == wanted["n"]]
    assert pages > 1
