"""Collections of tenants: made, changed, deleted, and never seen by others."""

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import sleep
from typing import Any

import boto3
import msgspec
import pytest

from anfl.problems import Problem
from anfl.vectors import build, hnsw, upkeep
from anfl.vectors import replica as replica_module
from anfl.vectors.builder import Builder
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.engine import selection, tiers
from anfl.vectors.envelope import Checksummed
from anfl.vectors.log import Log
from anfl.vectors.model import Collection, CollectionSettings, FieldType, Metric, Position
from anfl.vectors.objects import S3ObjectStore
from anfl.vectors.operations import named
from anfl.vectors.replica import Replica
from anfl.vectors.requests import Answer, CollectionPatch, Count, DeleteRows, Fetch, IndexPatch, Query, Rows, Scroll
from anfl.vectors.store import VectorStore
from tests.unit.vectors.builders import Noted, delete, storage, upsert
from tests.unit.vectors.simulated import SimulatedTime

WORDS = CollectionSettings(name="words", dimension=2, metric=Metric.L2)


def code_of(call: Callable[[], Any]) -> tuple[int, str]:
    with pytest.raises(Problem) as caught:
        call()
    return caught.value.status, caught.value.code


def test_create_is_idempotent_with_the_same_settings_only(store: VectorStore) -> None:
    first, new = store.create("demo", WORDS)
    again, renewed = store.create("demo", WORDS)
    assert (new, renewed) == (True, False)
    assert again == first
    other = CollectionSettings(name="words", dimension=3)
    assert code_of(lambda: store.create("demo", other)) == (409, "collection_exists")


def test_a_tenant_sees_its_own_only(store: VectorStore) -> None:
    store.create("demo", WORDS)
    store.create("demo", CollectionSettings(name="animals", dimension=2))
    store.write("demo", "words", upsert(("a", (1, 1))))
    assert [each.name for each in store.collections("demo")[0]] == ["animals", "words"]
    assert store.collections("other") == ([], False)
    for call in (
        lambda: store.describe("other", "words"),
        lambda: store.query("other", "words", Query(vector=[1.0, 1.0])),
        lambda: store.write("other", "words", delete("a")),
        lambda: store.delete("other", "words"),
        lambda: store.update("other", "words", CollectionPatch()),
    ):
        assert code_of(call) == (404, "collection_not_found")
    store.create("other", WORDS)
    assert store.count("other", "words", Count()).count == 0


def test_a_name_that_cannot_be_is_not_there(store: VectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store.catalogue._entries, "_table", None)  # DynamoDB refuses keys above 1,024 bytes
    for name in ("", "a" * 2000, "\ud800", "words\n"):
        assert code_of(partial(store.describe, "demo", name)) == (404, "collection_not_found")


def test_rows_survive_the_process(store: VectorStore, catalogue: Catalogue, objects: S3ObjectStore) -> None:
    store.create("demo", WORDS)
    store.write("demo", "words", upsert(("a", (1, 1)), ("b", (5, 5))))
    store.write("demo", "words", delete("b"))
    second = VectorStore(catalogue, storage(objects, clock=Clock()))
    found = second.fetch("demo", "words", Fetch(ids=["a", "b"]))
    assert [(row.id, row.values) for row in found.vectors] == [("a", [1.0, 1.0])]
    assert Position.parse(found.sequence).sequence == 2


def test_a_name_used_again_shares_nothing(store: VectorStore, catalogue: Catalogue, objects: S3ObjectStore) -> None:
    store.create("demo", WORDS)
    other = VectorStore(catalogue, storage(objects, clock=Clock()))
    store.write("demo", "words", upsert(("a", (1, 1))))
    assert other.count("demo", "words", Count(consistency="strong")).count == 1
    store.delete("demo", "words")
    assert code_of(lambda: store.count("demo", "words", Count())) == (404, "collection_not_found")
    store.create("demo", WORDS)
    assert store.count("demo", "words", Count()).count == 0
    assert other.count("demo", "words", Count(consistency="strong")).count == 0


def test_no_write_goes_into_what_was_deleted(store: VectorStore, catalogue: Catalogue, objects: S3ObjectStore) -> None:
    """Another node deleted the collection and created it again a moment ago."""
    store.create("demo", WORDS)
    store.write("demo", "words", upsert(("old", (1, 1))))
    other = VectorStore(catalogue, storage(objects, clock=Clock()))
    other.delete("demo", "words")
    assert code_of(lambda: store.write("demo", "words", upsert(("a", (1, 1))))) == (404, "collection_not_found")
    other.create("demo", WORDS)
    store.count("demo", "words", Count())
    other.delete("demo", "words")
    other.create("demo", WORDS)
    assert store.count("demo", "words", Count(consistency="strong")).count == 0
    other.delete("demo", "words")
    other.create("demo", WORDS)
    store.write("demo", "words", upsert(("new", (2, 2))))
    found = other.fetch("demo", "words", Fetch(ids=["old", "new"], consistency="strong"))
    assert [row.id for row in found.vectors] == ["new"]


def test_a_slow_look_does_not_bring_a_deleted_collection_back(
    store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection, _ = store.create("demo", WORDS)

    def slow(_tenant: str, _name: str) -> Collection:
        monkeypatch.undo()
        store.delete("demo", "words")
        store.create("demo", WORDS)
        store.write("demo", "words", upsert(("a", (1, 1))))
        return collection

    monkeypatch.setattr(store.catalogue, "get", slow)
    assert store.count("demo", "words", Count()).count == 1
    assert store.count("demo", "words", Count()).count == 1


def test_a_deletion_that_is_repeated_unseen_removes_the_objects(
    store: VectorStore, objects: S3ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection, _ = store.create("demo", WORDS)
    store.write("demo", "words", upsert(("a", (1, 1))))
    delete_item = store.catalogue._entries._table.delete_item

    def answer_lost_once(**arguments: Any) -> Any:
        delete_item(**arguments)
        return delete_item(**arguments)

    monkeypatch.setattr(store.catalogue._entries._table, "delete_item", answer_lost_once)
    store.delete("demo", "words")
    assert list(objects.list(collection.prefix)) == []


def test_deletion_waits_for_writes_under_way(
    store: VectorStore, objects: S3ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection, _ = store.create("demo", WORDS)
    store.write("demo", "words", upsert(("a", (1, 1))))
    put, under_way, go_on = objects.put_if_absent, threading.Event(), threading.Event()

    def slow(key: str, body: bytes) -> None:
        under_way.set()
        go_on.wait(10)
        put(key, body)

    monkeypatch.setattr(objects, "put_if_absent", slow)
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(store.write, "demo", "words", upsert(("b", (1, 1))))
        under_way.wait(10)
        writer = store.hnsw.opened.loaded()[0].writer
        second = threads.submit(store.write, "demo", "words", upsert(("c", (1, 1))))
        while not writer._queue:
            threading.Event().wait(0.001)
        deletion = threads.submit(store.delete, "demo", "words")
        wait([deletion], timeout=0.5)
        go_on.set()
        assert Position.parse(first.result().sequence).sequence == 2
        deletion.result()
        for write in (second, threads.submit(store.write, "demo", "words", upsert(("d", (1, 1))))):
            error = write.exception()
            assert error is None or (isinstance(error, Problem) and error.code == "collection_not_found")
    assert list(objects.list(collection.prefix)) == []


def test_loading_that_fails_is_tried_again(store: VectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.create("demo", WORDS)

    def fail(_replica: Replica) -> None:
        raise RuntimeError("no memory, for example")

    with monkeypatch.context() as patch:
        patch.setattr(Replica, "load", fail)
        with pytest.raises(RuntimeError):
            store.count("demo", "words", Count())
    assert store.count("demo", "words", Count()).count == 0


@pytest.mark.parametrize("error", [RuntimeError("no memory, for example"), TimeoutError("of the network's")])
def test_loading_that_has_failed_while_nobody_waited_for_it_is_tried_again(
    store: VectorStore, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Else who looks again and again whether it is there, to build fields for example, would do so for ever."""
    collection, _ = store.create("demo", WORDS)
    failed = threading.Event()

    def fail(_replica: Replica) -> None:
        failed.set()
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Replica, "load", fail)
        assert not store.hnsw.warm(collection)
        assert failed.wait(5)
    wait([store.hnsw.opened._entries[collection.incarnation].loading])
    store.hnsw.warm(collection)
    assert store.count("demo", "words", Count()).count == 0
    assert store.hnsw.warm(collection)


def test_deletion_removes_the_objects(store: VectorStore, objects: S3ObjectStore) -> None:
    collection, _ = store.create("demo", WORDS)
    store.write("demo", "words", upsert(("a", (1, 1))))
    assert list(objects.list(collection.prefix))
    store.delete("demo", "words")
    assert list(objects.list(collection.prefix)) == []


def test_settings_that_can_change(store: VectorStore) -> None:
    store.create("demo", WORDS)
    store.write("demo", "words", upsert(("a", (1, 1)), metadata={"n": 1}))
    patch = CollectionPatch(index=IndexPatch(ef_search=99), fields={"n": FieldType.NUMBER})
    changed = store.update("demo", "words", patch)
    assert changed.settings.index.ef_search == 99
    assert store.describe("demo", "words") == changed
    with pytest.raises(Problem) as caught:
        store.write("demo", "words", upsert(("b", (1, 1)), metadata={"n": "text"}))
    assert caught.value.field == "vectors[0].metadata.n"
    assert store.count("demo", "words", Count()).count == 1


def test_a_damaged_log_can_be_read_as_far_as_it_is_whole(
    store: VectorStore, catalogue: Catalogue, objects: S3ObjectStore, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica_module, "TROUBLE_SECONDS", 0)
    collection, _ = store.create("demo", WORDS)
    position = store.write("demo", "words", upsert(("a", (1, 1)))).sequence
    key = Log(objects, collection, envelope=Checksummed()).key(2)
    s3.put_object(Bucket="vectors", Key=key, Body=b"damaged")
    for node in (store, VectorStore(catalogue, storage(objects, clock=Clock()))):
        assert code_of(partial(node.write, "demo", "words", upsert(("b", (2, 2))))) == (503, "log_corrupt")
        assert code_of(partial(node.count, "demo", "words", Count(consistency="strong"))) == (503, "log_corrupt")
        assert node.count("demo", "words", Count(min_sequence=position)).count == 1
        assert node.stats("demo", "words").trouble == "log_corrupt"
    s3.delete_object(Bucket="vectors", Key=key)
    for number, node in enumerate((store, VectorStore(catalogue, storage(objects, clock=Clock())))):
        assert node.write("demo", "words", upsert((f"{number}", (2, 2)))).upserted == 1
        assert node.stats("demo", "words").trouble is None


def test_a_removed_object_is_missed_and_named_until_it_is_put_back(
    store: VectorStore,
    catalogue: Catalogue,
    objects: S3ObjectStore,
    s3: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As the runbook says: by taking the mark of the deletion away, or by another region's copy."""
    monkeypatch.setattr(replica_module, "TROUBLE_SECONDS", 0)
    s3.put_bucket_versioning(Bucket="vectors", VersioningConfiguration={"Status": "Enabled"})
    s3.create_bucket(Bucket="elsewhere")
    collection, _ = store.create("demo", WORDS)
    for number in range(4):
        store.write("demo", "words", upsert((f"{number}", (1, 1))))
    log = Log(objects, collection, envelope=Checksummed())
    key = log.key(3)
    s3.copy_object(Bucket="elsewhere", Key=key, CopySource={"Bucket": "vectors", "Key": key})

    def unmark(mark: str) -> None:
        s3.delete_object(Bucket="vectors", Key=key, VersionId=mark)

    def copy(_mark: str) -> None:
        s3.copy_object(Bucket="vectors", Key=key, CopySource={"Bucket": "elsewhere", "Key": key})

    for put_back in (unmark, copy):
        mark = s3.delete_object(Bucket="vectors", Key=key)["VersionId"]
        node = VectorStore(catalogue, storage(objects, clock=Clock()))
        caplog.clear()
        assert code_of(partial(node.write, "demo", "words", upsert(("b", (2, 2))))) == (503, "log_gap")
        assert key in {record.__dict__.get("key") for record in caplog.records}
        assert node.count("demo", "words", Count()).count == 2
        put_back(mark)
        assert node.count("demo", "words", Count(consistency="strong")).count == 4
        assert node.stats("demo", "words").trouble is None


def test_least_used_collections_leave_memory(catalogue: Catalogue, objects: S3ObjectStore) -> None:
    store = VectorStore(catalogue, storage(objects, clock=Clock()), memory_bytes=1)
    for name in ("one", "two", "three"):
        store.create("demo", CollectionSettings(name=name, dimension=2, metric=Metric.L2))
        store.write("demo", name, upsert((name, (1, 1))))
    store.hnsw.upkeep.once()
    assert [each.replica.collection.name for each in store.hnsw.opened.loaded()] == ["three"]
    assert store.count("demo", "one", Count()).count == 1
    store.close()


def test_what_nobody_asks_for_can_be_released(catalogue: Catalogue, objects: S3ObjectStore) -> None:
    time = SimulatedTime()
    store = VectorStore(catalogue, storage(objects, clock=time.clock()))
    for name in ("one", "two"):
        store.create("demo", CollectionSettings(name=name, dimension=2, metric=Metric.L2))
        store.write("demo", name, upsert((name, (1, 1))))
        time.advance(40.0)
    store.hnsw.opened.release(unused_seconds=60.0)
    assert [each.replica.collection.name for each in store.hnsw.opened.loaded()] == ["two"]
    assert store.count("demo", "one", Count(consistency="strong")).count == 1
    store.close()


def test_an_update_that_was_sent_twice_is_not_refused(
    store: VectorStore, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As AWS's library does where the first answer got lost (simulator, 189)."""
    store.create("demo", WORDS)
    update = catalogue._entries._table.update_item

    def twice(**request: Any) -> Any:
        update(**request)
        return update(**request)

    monkeypatch.setattr(catalogue._entries._table, "update_item", twice)
    patched = store.update("demo", "words", CollectionPatch(index=IndexPatch(ef_search=77)))
    assert patched.settings.index.ef_search == 77
    assert store.describe("demo", "words") == patched


def test_operators_are_told_what_is_in_memory(catalogue: Catalogue, objects: S3ObjectStore, s3: Any) -> None:
    noted = Noted()
    store = VectorStore(catalogue, storage(objects, clock=Clock(), events=noted), memory_bytes=2**20)
    for name, count in (("one", 3), ("two", 1)):
        store.create("demo", CollectionSettings(name=name, dimension=2, metric=Metric.L2))
        store.write("demo", name, upsert(*((f"r{number}", (1, 1)) for number in range(count))))
    found = store.hnsw.upkeep.holdings()
    assert (found.collections, found.rows, found.segments) == (2, 4, 0)
    assert (found.unmerged_rows, found.most_unmerged_rows) == (4, 3)
    assert 0 < found.memory_bytes < found.memory_limit_bytes == 2**20
    assert found.stuck_logs == 0
    broken = store.describe("demo", "one")
    s3.put_object(Bucket="vectors", Key=Log(objects, broken, envelope=Checksummed()).key(2), Body=b"damaged")
    with pytest.raises(Problem):
        store.count("demo", "one", Count(consistency="strong"))
    assert store.hnsw.upkeep.holdings().stuck_logs == 1
    store.hnsw.upkeep.once()
    assert noted.holdings
    store.close()


def test_what_is_in_graphs_is_no_longer_outside(
    catalogue: Catalogue, objects: S3ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiers, "GRAPH_FROM", 10)
    monkeypatch.setattr(tiers, "FRESH_ROWS", 10)
    place = storage(objects, clock=Clock())
    store = VectorStore(catalogue, place)
    made, _ = store.create("demo", WORDS)
    store.write("demo", "words", upsert(*((f"r{number}", (number, 1)) for number in range(30))))
    Builder(place).build(made)
    store.hnsw.upkeep.once()
    found = store.hnsw.upkeep.holdings()
    assert (found.rows, found.segments, found.unmerged_rows) == (30, 1, 0)
    store.close()


def test_pages_go_on_from_their_position(store: VectorStore) -> None:
    store.create("demo", WORDS)
    store.write("demo", "words", upsert(*((f"r{n}", (n, n)) for n in range(5))))
    first = store.scroll("demo", "words", Scroll(limit=3))
    second = store.scroll("demo", "words", Scroll(limit=3, cursor=first.cursor))
    assert [row.id for row in [*first.vectors, *second.vectors]] == [f"r{n}" for n in range(5)]


def test_query_and_stats(store: VectorStore) -> None:
    store.create("demo", WORDS)
    position = store.write("demo", "words", upsert(("a", (1, 1)), ("b", (2, 2)))).sequence
    answer = store.query("demo", "words", Query(vector=[2.0, 2.0], k=1, min_sequence=position))
    assert isinstance(answer, Answer)
    assert [match.id for match in answer.matches] == ["b"]
    stats = store.stats("demo", "words")
    assert (stats.rows, stats.unmerged_rows, stats.segments, stats.sequence) == (2, 2, 0, position)


def test_a_field_that_filters_cannot_name_is_not_declared_but_stays_where_it_was(
    store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr("anfl.vectors.management.check_names", lambda *_, **__: None)
        store.create("demo", CollectionSettings(name="words", dimension=2, fields={"$x": FieldType.STRING}))
    assert store.describe("demo", "words").settings.fields == {"$x": FieldType.STRING}
    more = CollectionPatch(fields={"$x": FieldType.STRING, "y": FieldType.STRING})
    assert list(store.update("demo", "words", more).settings.fields) == ["$x", "y"]
    assert list(store.update("demo", "words", CollectionPatch(fields={})).settings.fields) == []
    with pytest.raises(Problem) as caught:
        store.update("demo", "words", more)
    assert (caught.value.status, caught.value.field) == (400, "fields.$x")


def test_a_declaration_that_rows_contradict_is_refused(store: VectorStore) -> None:
    store.create("demo", WORDS)
    store.write("demo", "words", upsert(("a", (1, 1)), metadata={"year": "1984", "tags": ["x"]}))
    with pytest.raises(Problem) as caught:
        store.update("demo", "words", CollectionPatch(fields={"tags": FieldType.STRINGS, "year": FieldType.NUMBER}))
    assert (caught.value.status, caught.value.code) == (409, "field_contradicted")
    assert caught.value.field == "fields.year"
    assert store.describe("demo", "words").settings.fields == {}
    store.write("demo", "words", upsert(("a", (1, 1)), metadata={"year": 1984}))
    patched = store.update("demo", "words", CollectionPatch(fields={"year": FieldType.NUMBER}))
    assert patched.settings.fields == {"year": FieldType.NUMBER}


def test_a_cursor_of_a_deleted_collection_is_refused_by_its_successor(store: VectorStore) -> None:
    store.create("demo", WORDS)
    store.write("demo", "words", upsert(("a", [1, 0]), ("b", [0, 1])))
    cursor = store.scroll("demo", "words", Scroll(limit=1)).cursor
    store.delete("demo", "words")
    store.create("demo", WORDS)
    store.write("demo", "words", upsert(("a", [1, 0]), ("b", [0, 1])))
    assert code_of(lambda: store.scroll("demo", "words", Scroll(limit=1, cursor=cursor))) == (409, "history_lost")


def test_at_once_is_as_fresh_as_any_read_and_looks_for_news_before_it_is_too_old(
    catalogue: Catalogue, objects: S3ObjectStore
) -> None:
    time = SimulatedTime()
    store = VectorStore(catalogue, storage(objects, clock=time.clock()))
    other = VectorStore(catalogue, storage(objects, clock=Clock()))
    store.create("demo", WORDS)

    def rows(request: Fetch | None = None) -> int | None:
        found = store.at_once("demo", "words", request or Fetch(ids=["a"]))
        assert found is None or isinstance(found, Rows)
        return None if found is None else len(found.vectors)

    assert rows() is None  # not in memory yet
    assert store.count("demo", "words", Count()).count == 0
    assert rows() == 0
    other.write("demo", "words", upsert(("a", [1, 0])))
    time.advance(0.6)
    assert rows() in (0, 1)  # allowed to be so old; the look that this begins may be quick
    eventually(lambda: rows() == 1)
    assert rows(Fetch(ids=["a"], min_sequence="1.1")) == 1
    assert rows(Fetch(ids=["a"], min_sequence="1.2")) is None
    assert rows(Fetch(ids=["a"], consistency="strong")) is None
    time.advance(1.1)
    assert rows() is None
    store.close()
    other.close()


def test_changed_settings_reach_a_node_all_of_whose_queries_are_answered_at_once(
    catalogue: Catalogue, objects: S3ObjectStore
) -> None:
    time = SimulatedTime()
    store = VectorStore(catalogue, storage(objects, clock=time.clock()))
    other = VectorStore(catalogue, storage(objects, clock=Clock()))
    store.create("demo", WORDS)

    def ef() -> int:
        request = Query(vector=[1.0, 0.0], k=1)
        if store.at_once("demo", "words", request) is None:
            store.query("demo", "words", request)
        return store.hnsw.opened.loaded()[0].replica.shown.rows.index.ef_search

    assert ef() == WORDS.index.ef_search
    other.update("demo", "words", CollectionPatch(index=IndexPatch(ef_search=99)))
    time.advance(0.6)
    eventually(lambda: ef() == 99)
    store.close()
    other.close()


def test_who_has_a_folder_to_itself_keeps_no_more_there_than_in_memory(
    catalogue: Catalogue, objects: S3ObjectStore
) -> None:
    place = replace(storage(objects, clock=Clock()), alone=True)
    store = VectorStore(catalogue, place)
    for name in ("words", "others"):
        made, _ = store.create("demo", msgspec.structs.replace(WORDS, name=name))
        store.write("demo", name, upsert(("a", (1, 1))))
        store.create_snapshot("demo", name, "monday")
    assert not list(place.node.path.glob("*/log/*")), "there is nobody else to look at them"
    store.hnsw.opened.evict(0)
    assert [path.parent.name for path in place.node.path.glob("*/images")] == [made.incarnation]
    assert store.count("demo", "words", Count()).count == 1
    store.delete("demo", "others")
    assert not (place.node.path / made.incarnation).exists()
    store.close()


def test_a_collection_whose_queries_an_event_loop_answers_is_in_use(
    catalogue: Catalogue, objects: S3ObjectStore
) -> None:
    """It was the first to leave memory, however often it was asked: as if it had been used last when it was loaded."""
    time = SimulatedTime()
    store = VectorStore(catalogue, storage(objects, clock=time.clock()))
    store.hnsw.upkeep.stop()
    for name in ("busy", "idle"):
        store.create("demo", msgspec.structs.replace(WORDS, name=name))
        store.write("demo", name, upsert(("a", (1, 1))))
        time.advance(0.1)
    assert store.at_once("demo", "busy", Fetch(ids=["a"])) is not None
    store.hnsw.opened.evict(0)
    assert [opened.replica.collection.name for opened in store.hnsw.opened.loaded()] == ["busy"]
    store.close()


def test_a_process_without_a_nodes_folder_has_one_to_itself(session: boto3.session.Session, tmp_path: Path) -> None:
    settings = build.Settings(table="catalogue", bucket="vectors")
    assert build.storage_of(settings, session, scratch=tmp_path).alone
    assert not build.storage_of(msgspec.structs.replace(settings, node_folder=str(tmp_path)), session).alone


def test_an_event_loop_answers_with_a_filter_once_it_is_known_which_rows_fulfil_it(
    store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "FEW_ROWS", 2)
    store.create("demo", WORDS)
    store.write("demo", "words", upsert(*((f"{n}", [1, n]) for n in range(5)), metadata={"even": True}))
    query = named("query")
    request = Query(vector=[1.0, 0.0], k=2, filter={"even": True})
    assert query.at_once is not None
    assert query.at_once(store, "demo", "words", Query(vector=[1.0, 0.0], k=2)) is not None
    assert query.at_once(store, "demo", "words", request) is None
    found = query.run(store, "demo", "words", request).answer
    assert query.at_once(store, "demo", "words", request) == found
    monkeypatch.setattr(hnsw, "AT_ONCE_WORK", 4)
    assert query.at_once(store, "demo", "words", request) is None


@pytest.mark.parametrize(
    "wanted",
    [
        {"tags": {"$contains": "x"}},
        {"tags": {"$contains_any": ["x", 1]}},
        {"$not": {"tags": {"$contains_all": ["x"]}}},
        {"tags": [str(n) for n in range(5_000)]},
        {"$or": [{"even": {"$gt": n}} for n in range(100)]},
    ],
)
def test_an_event_loop_evaluates_no_filter_that_takes_long(store: VectorStore, wanted: dict[str, Any]) -> None:
    """Lists of metadata may have thousands of members, and a filter hundreds of conditions."""
    store.create("demo", WORDS)
    store.write("demo", "words", upsert(*((f"{n}", [1, n]) for n in range(100)), metadata={"even": 0, "tags": ["a"]}))
    query, request = named("query"), Query(vector=[1.0, 0.0], k=2, filter=wanted)
    assert query.at_once is not None
    assert query.at_once(store, "demo", "words", Query(vector=[1.0, 0.0], filter={"even": 0})) is not None
    assert query.at_once(store, "demo", "words", request) is None
    found = query.run(store, "demo", "words", request).answer
    assert query.at_once(store, "demo", "words", request) == found


def eventually(holds: Callable[[], bool]) -> None:
    for _ in range(500):
        if holds():
            return
        sleep(0.01)
    raise AssertionError


def test_upkeep_of_thousands_of_collections_leaves_the_processor_to_those_who_wait(
    store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It paused for as long as for a few, and took most of a core in each process of a node that nobody asked."""
    keeper, pauses, worked = store.hnsw.upkeep, list[float](), [0.001, 0.3, 0.0]
    keeper.stop()
    spent = itertools.accumulate(each for busy in worked for each in (0.0, busy))

    class Closing:
        """Told three times that there is time."""

        def wait(self, seconds: float) -> bool:
            """See `threading.Event`."""
            pauses.append(seconds)
            return len(pauses) > len(worked)

    with monkeypatch.context() as patch:
        patch.setattr(upkeep, "thread_time", lambda: next(spent))
        patch.setattr(keeper, "once", lambda: None)
        patch.setattr(keeper, "_closing", Closing())
        keeper._keep_up()
    little, _, much, none = pauses
    assert little == none == upkeep.UPKEEP_SECONDS
    assert 0.3 / (0.3 + much) == pytest.approx(upkeep.MOST_SHARE)


def test_upkeep_waits_for_no_deletion_whose_filter_takes_long(
    store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor do the other collections of the process, which are looked after in their turn."""
    store.hnsw.upkeep.stop()
    store.create("demo", WORDS)
    store.write("demo", "words", upsert(("a", (1, 1))))
    began, go_on = threading.Event(), threading.Event()
    select = selection.Selections.select

    def slowly(*given: Any) -> Any:
        began.set()
        go_on.wait(timeout=10)
        return select(*given)

    monkeypatch.setattr(selection.Selections, "select", slowly)
    deleting = threading.Thread(target=store.delete_rows, args=("demo", "words", DeleteRows(filter={"n": 1})))
    looking = threading.Thread(target=store.hnsw.upkeep.once, daemon=True)
    deleting.start()
    assert began.wait(timeout=5)
    looking.start()
    looking.join(timeout=5)
    waited = looking.is_alive()
    go_on.set()
    deleting.join()
    assert not waited


def test_who_looks_at_the_memory_waits_for_no_batch_that_is_being_applied(store: VectorStore) -> None:
    """While it looks, nobody gets any collection."""
    store.hnsw.upkeep.stop()
    store.create("demo", WORDS)
    store.write("demo", "words", upsert(("a", (1, 1))))
    replica = store.hnsw.opened.loaded()[0].replica
    looking = threading.Thread(target=store.hnsw.opened.evict, args=(2**40,), daemon=True)
    with replica._lock:
        looking.start()
        looking.join(timeout=5)
        assert not looking.is_alive()
