"""Changes of the engine ``dynamodb`` that get in each other's way, at the worst of all places."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import boto3
import pytest

from anfl.vectors.catalogue import Catalogue
from anfl.vectors.changes import Change
from anfl.vectors.clock import Clock
from anfl.vectors.dynamodb.build import engine_over
from anfl.vectors.dynamodb.classes import EngineClass
from anfl.vectors.dynamodb.table import Table
from anfl.vectors.model import CollectionSettings, Metadata, Metric
from anfl.vectors.objects import S3ObjectStore
from anfl.vectors.requests import DeleteRows, Fetch, NewRow, PatchRow, PatchRows, Upsert
from anfl.vectors.store import VectorStore
from local.tables import create_table
from tests.unit.vectors.builders import storage
from tests.unit.vectors.importing import MemoryQueue

NOW = 1_800_000_000.0
SLEPT: list[float] = []
"""Seconds for which something was waited."""


@pytest.fixture(name="store")
def _store(session: boto3.session.Session, catalogue: Catalogue, objects: S3ObjectStore) -> Iterator[VectorStore]:
    """With a row ``a``, at a moment that lasts."""
    client = session.client("dynamodb")
    create_table(client, "small")
    classes = {EngineClass(name="small", dimension=2, metric=Metric.L2): "small"}
    clock = Clock(wall=lambda: NOW, sleep=SLEPT.append)
    engine = engine_over(client, classes, clock=clock, jobs=MemoryQueue())
    store = VectorStore(catalogue, storage(objects, clock=Clock()), distributed=engine)
    store.create("demo", CollectionSettings(name="photos", dimension=2, metric=Metric.L2, engine="dynamodb"))
    store.write("demo", "photos", row("a"))
    yield store
    store.close()


def row(row_id: str, *, if_version: int | None = None, request_id: str | None = None, **metadata: Any) -> Upsert:
    new = NewRow(id=row_id, values=[1.0, 1.0], metadata=metadata, if_version=if_version)
    return Upsert(vectors=[new], request_id=request_id)


def patch(*, if_version: int | None = None, request_id: str | None = None, **metadata: Any) -> PatchRows:
    return PatchRows(vectors=[PatchRow(id="a", metadata=metadata, if_version=if_version)], request_id=request_id)


def version(store: VectorStore) -> int:
    return store.fetch("demo", "photos", Fetch(ids=["a"])).vectors[0].version


def metadata(store: VectorStore) -> Metadata | None:
    found = store.fetch("demo", "photos", Fetch(ids=["a"])).vectors
    return found[0].metadata if found else None


@contextmanager
def before(call: str, number: int, meanwhile: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let something happen before the call of `Table` with this number from now."""
    original = getattr(Table, call)
    calls = 0

    def late(table: Table, given: Sequence[Any]) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            meanwhile()
        return original(table, given)

    with monkeypatch.context() as patched:
        patched.setattr(Table, call, late)
        yield


@pytest.mark.parametrize(
    "make",
    [lambda n: row("a", if_version=n, request_id="r", x=1), lambda n: patch(if_version=n, request_id="r", x=1)],
    ids=["upsert", "patch"],
)
@pytest.mark.parametrize(("call", "number"), [("get", 2), ("transact", 1)])
def test_a_request_that_another_process_carries_out_meanwhile_has_been_carried_out(
    store: VectorStore, make: Callable[[int], Change], call: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its caller has repeated it, and what it demands of versions is no longer so because of it."""
    change = make(version(store))
    with before(call, number, lambda: store.write("demo", "photos", change), monkeypatch):
        written = store.write("demo", "photos", change)
    assert written.upserted == 1 or written.patched == 1
    assert metadata(store) == {"x": 1}


def test_a_row_that_many_change_at_a_time_is_changed_by_all_of_them(
    store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes second reads it again, and lets the others pass meanwhile."""
    original, others = Table.transact, iter(range(12))

    def busy(table: Table, given: Sequence[Any]) -> None:
        with monkeypatch.context() as quiet:
            quiet.setattr(Table, "transact", original)
            for number in others:
                changed: dict[str, Any] = {f"other{number}": 1}
                store.write("demo", "photos", patch(**changed))
                break
        original(table, given)

    monkeypatch.setattr(Table, "transact", busy)
    SLEPT.clear()
    assert store.write("demo", "photos", patch(mine=1)).patched == 1
    assert metadata(store) == {f"other{number}": 1 for number in range(12)} | {"mine": 1}
    assert len(set(SLEPT)) == 12, "at one pace they meet again"


@pytest.mark.parametrize("others", [row("a", other=1), patch(other=1)], ids=["upsert", "patch"])
@pytest.mark.parametrize("mine", [patch(mine=1), DeleteRows(ids=["a"])], ids=["patch", "deletion"])
def test_what_changed_within_the_same_millisecond_has_changed(
    store: VectorStore, mine: Change, others: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where chance gives all of them the same number."""
    with monkeypatch.context() as chance:
        chance.setattr(secrets, "randbits", lambda _bits: 7)
        store.write("demo", "photos", row("a", first=1))
        seen = {version(store)}
        with before("transact", 1, lambda: store.write("demo", "photos", others), monkeypatch):
            store.write("demo", "photos", mine)
        if isinstance(mine, PatchRows):
            assert metadata(store) == {"mine": 1, "other": 1} | ({"first": 1} if isinstance(others, PatchRows) else {})
            seen.add(version(store))
            assert len(seen) == 2
        else:
            assert metadata(store) is None


def test_a_version_that_was_demanded_is_not_the_next_one(store: VectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "randbits", lambda _bits: 7)
    store.write("demo", "photos", row("a", first=1))
    demanded = version(store)
    store.write("demo", "photos", row("a", if_version=demanded))
    assert version(store) != demanded
