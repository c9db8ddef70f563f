"""A field that is declared for a collection with rows: until it is ready, and whatever happens on the way."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from anfl.problems import Problem
from anfl.vectors import backfill
from anfl.vectors.batch import Batch
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.declarations import patched, settled
from anfl.vectors.entries import Entries
from anfl.vectors.log import Log
from anfl.vectors.model import CollectionSettings, FieldType, Metric
from anfl.vectors.objects import S3ObjectStore
from anfl.vectors.requests import CollectionPatch, Count, DeleteRows, Fetch, PatchRow, PatchRows, Query, Scroll
from anfl.vectors.store import VectorStore
from anfl.vectors.writer import Writer
from tests.unit.vectors.builders import storage, upsert

WORDS = CollectionSettings(name="words", dimension=2, metric=Metric.L2)
YEAR = CollectionPatch(fields={"year": FieldType.NUMBER})
OLD = {"$lt": 1990}


def code_of(call: Callable[[], object]) -> tuple[int, str, str | None]:
    with pytest.raises(Problem) as caught:
        call()
    return caught.value.status, caught.value.code, caught.value.field


@pytest.fixture(name="other")
def _other(catalogue: Catalogue, objects: S3ObjectStore) -> Iterator[VectorStore]:
    """Another node."""
    other = VectorStore(catalogue, storage(objects, clock=Clock()))
    yield other
    other.close()


@pytest.fixture(autouse=True)
def _rows(store: VectorStore, other: VectorStore) -> None:
    """Nobody goes on with a field unless a test says so."""
    for node in (store, other):
        node.hnsw.upkeep.stop()
    store.create("demo", WORDS)
    store.write("demo", "words", upsert(("a", (1, 1)), metadata={"year": 1984}))
    store.write("demo", "words", upsert(("b", (2, 2)), metadata={"year": 2001}))
    other.count("demo", "words", Count())


def declare_and_die(store: VectorStore) -> None:
    """As a process that is killed once the catalogue knows."""
    store.catalogue.change("demo", "words", lambda before: patched(before, YEAR))


def counted(node: VectorStore) -> int:
    return node.count("demo", "words", Count(filter={"year": OLD}, consistency="strong")).count


def test_what_no_row_contradicts_is_ready_at_once(store: VectorStore, other: VectorStore) -> None:
    collection = store.update("demo", "words", YEAR)
    assert collection.settings.fields == {"year": FieldType.NUMBER}
    assert not collection.pending
    for node in (store, other):
        assert node.describe("demo", "words") == collection
        assert counted(node) == 1


def test_filters_are_refused_everywhere_until_it_is_ready(store: VectorStore, other: VectorStore) -> None:
    declare_and_die(store)
    not_ready = (409, "field_not_ready", "filter.year")
    within = {"$or": [{"x": 1}, {"$not": {"year": OLD}}]}
    for node in (store, other):
        assert code_of(partial(counted, node)) == not_ready
        for request in (Query(vector=[0.0, 0.0], filter=within, consistency="strong"), Query(id="a", filter=within)):
            assert code_of(partial(node.query, "demo", "words", request)) == not_ready
        assert code_of(partial(node.scroll, "demo", "words", Scroll(filter=within))) == not_ready
        assert code_of(partial(node.write, "demo", "words", DeleteRows(filter=within))) == not_ready
        assert node.count("demo", "words", Count(filter={"x": {"$exists": False}})).count == 2
        assert node.count("demo", "words", Count(consistency="strong")).count == 2


def test_what_is_written_meanwhile_has_to_fit_and_counts(store: VectorStore, other: VectorStore) -> None:
    declare_and_die(store)
    wrong = upsert(("c", (3, 3)), metadata={"year": "1984"})
    patch = PatchRows(vectors=[PatchRow(id="a", metadata={"year": [1984]})])
    for change in (wrong, patch):
        refused = (400, "invalid_request", "vectors[0].metadata.year")
        assert code_of(partial(other.write, "demo", "words", change)) == refused
    other.write("demo", "words", upsert(("c", (3, 3)), metadata={"year": 1985}))
    other.hnsw.upkeep.once()
    assert [counted(node) for node in (store, other)] == [2, 2]


@pytest.mark.parametrize("after", ["the catalogue knows", "the fence stands", "rows are counted"])
def test_whoever_has_the_collection_goes_on(
    after: str, store: VectorStore, other: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies on the way leaves nothing half done, and its place is taken."""
    declare_and_die(store)

    def dies(*_: Any, **__: Any) -> Any:
        raise MemoryError

    with monkeypatch.context() as patch:
        if after == "the catalogue knows":
            patch.setattr(Writer, "fence", dies)
        elif after == "the fence stands":
            patch.setattr(backfill, "settled", dies)
        else:
            patch.setattr(Entries, "replace", dies)
        collection = store.describe("demo", "words")
        with pytest.raises(MemoryError):
            store.hnsw.build_fields(collection)
    assert code_of(partial(counted, store)) == (409, "field_not_ready", "filter.year")
    assert code_of(partial(counted, other)) == (409, "field_not_ready", "filter.year")
    other.hnsw.upkeep.once()
    assert [counted(node) for node in (store, other)] == [1, 1]
    assert store.describe("demo", "words").settings.fields == {"year": FieldType.NUMBER}


def test_to_look_at_it_moves_it_on(catalogue: Catalogue, objects: S3ObjectStore, store: VectorStore) -> None:
    """Also where no node had the collection in memory."""
    declare_and_die(store)
    node = VectorStore(catalogue, storage(objects, clock=Clock()))
    node.hnsw.upkeep.stop()
    assert node.describe("demo", "words").building == {"year": FieldType.NUMBER}
    node.hnsw.opened.get(store.describe("demo", "words"))
    node.hnsw.upkeep.once()
    assert node.describe("demo", "words").settings.fields == {"year": FieldType.NUMBER}
    node.close()


def test_who_was_suspended_cannot_write_what_contradicts(
    store: VectorStore, other: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has checked its rows, and the field gets ready before it puts them."""
    append = Log.append

    def suspended(log: Log, batch: Batch) -> Batch:
        monkeypatch.setattr(Log, "append", append)
        assert store.update("demo", "words", YEAR).settings.fields
        return append(log, batch)

    monkeypatch.setattr(Log, "append", suspended)
    change = upsert(("c", (3, 3)), metadata={"year": "1984"})
    refused = (400, "invalid_request", "vectors[0].metadata.year")
    assert code_of(lambda: other.write("demo", "words", change)) == refused
    assert [row.id for row in other.scroll("demo", "words", Scroll(consistency="strong")).vectors] == ["a", "b"]


def test_a_right_row_of_a_suspended_writer_is_not_lost(
    store: VectorStore, other: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = Log.append

    def suspended(log: Log, batch: Batch) -> Batch:
        monkeypatch.setattr(Log, "append", append)
        store.update("demo", "words", YEAR)
        return append(log, batch)

    monkeypatch.setattr(Log, "append", suspended)
    other.write("demo", "words", upsert(("c", (3, 3)), metadata={"year": 1985}))
    assert counted(store) == 2


def test_a_row_that_came_first_is_named_and_the_field_stays_as_it_was(
    store: VectorStore, other: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was written between the first look at the rows and the fence, by who did not know."""
    fence = Writer.fence

    def late(writer: Writer, revision: int) -> None:
        monkeypatch.setattr(Writer, "fence", fence)
        (opened,) = other.hnsw.opened.loaded()
        opened.writer.write(upsert(("c", (3, 3)), metadata={"year": "1984"}))
        fence(writer, revision)

    monkeypatch.setattr(Writer, "fence", late)
    contradicted = (409, "field_contradicted", "fields.year")
    assert code_of(lambda: store.update("demo", "words", YEAR)) == contradicted
    for node in (store, other):
        assert node.describe("demo", "words").settings.fields == {}
        assert node.describe("demo", "words").pending["year"].contradicting == 1
        assert counted(node) == 1  # it can be filtered by as before
    assert code_of(lambda: store.update("demo", "words", YEAR)) == contradicted
    other.write("demo", "words", upsert(("c", (3, 3)), metadata={"year": 1985}))
    assert store.update("demo", "words", YEAR).settings.fields == {"year": FieldType.NUMBER}
    assert counted(other) == 2


def test_a_field_that_is_taken_back_is_forgotten(store: VectorStore, other: VectorStore) -> None:
    declare_and_die(store)
    assert store.update("demo", "words", CollectionPatch(fields={})).pending == {}
    other.write("demo", "words", upsert(("c", (3, 3)), metadata={"year": "1984"}))
    assert [counted(node) for node in (store, other)] == [1, 1]


def test_what_was_found_out_about_an_earlier_declaration_says_nothing_about_a_later_one(store: VectorStore) -> None:
    declare_and_die(store)
    earlier = store.describe("demo", "words")
    store.catalogue.change("demo", "words", lambda before: patched(before, CollectionPatch(fields={})))
    store.write("demo", "words", upsert(("c", (3, 3)), metadata={"year": "1984"}))
    declare_and_die(store)
    later = store.describe("demo", "words")
    assert settled(later, earlier.pending, {"year": 0}) == later
    assert code_of(partial(counted, store)) == (409, "field_not_ready", "filter.year")
    store.hnsw.upkeep.once()
    assert store.describe("demo", "words").pending["year"].contradicting == 1


def test_the_same_declaration_again_changes_nothing(store: VectorStore) -> None:
    declare_and_die(store)
    first = store.catalogue.get("demo", "words")
    declare_and_die(store)
    assert store.catalogue.get("demo", "words") == first
    ready = store.update("demo", "words", YEAR)
    position = store.stats("demo", "words").sequence
    assert store.update("demo", "words", YEAR) == ready
    assert store.stats("demo", "words").sequence == position


def test_while_the_log_cannot_be_written_the_field_waits(store: VectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: Any) -> None:
        raise Problem(503, "storage_unavailable", "down")

    with monkeypatch.context() as patch:
        patch.setattr(Log, "append", down)
        assert store.update("demo", "words", YEAR).building == {"year": FieldType.NUMBER}
        store.hnsw.upkeep.once()
    assert code_of(partial(counted, store)) == (409, "field_not_ready", "filter.year")
    monkeypatch.setattr(store.hnsw.upkeep._postponed, "holds", lambda *_, **__: False)
    store.hnsw.upkeep.once()
    assert counted(store) == 1


def test_a_restored_collection_is_held_to_no_fence_of_another_one(store: VectorStore) -> None:
    store.update("demo", "words", YEAR)
    store.create_snapshot("demo", "words", "monday")
    made = store.restore("demo", "words", "monday", "restored")
    assert made.settings.fields == {"year": FieldType.NUMBER}
    assert made.revision == 0
    store.write("demo", "restored", upsert(("c", (3, 3)), metadata={"year": 1985}))
    assert store.fetch("demo", "restored", Fetch(ids=["a", "c"])).vectors[1].id == "c"


def test_a_snapshot_has_the_declarations_of_its_moment(store: VectorStore) -> None:
    store.update("demo", "words", YEAR)
    store.update("demo", "words", CollectionPatch(fields={}))
    store.write("demo", "words", upsert(("c", (3, 3)), metadata={"year": "1984"}))
    store.create_snapshot("demo", "words", "monday")
    assert store.restore("demo", "words", "monday", "restored").settings.fields == {}
