"""Named snapshots, collections made from them, and what tidies up after collections that are gone."""

import shutil
from typing import Any

import pytest

from anfl.problems import Problem
from anfl.resources import IMPORTS_PREFIX
from anfl.vectors import collection_folder
from anfl.vectors.builder import Builder, SnapshotPolicy
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.engine.rows import RowStore
from anfl.vectors.imports.records import new_id
from anfl.vectors.janitor import Janitor
from anfl.vectors.manifests import LOG_SECONDS
from anfl.vectors.model import Collection, CollectionSettings, FieldType, Metric, first_epoch
from anfl.vectors.named import ORPHAN_SECONDS
from anfl.vectors.naming import NamedSnapshotList
from anfl.vectors.objects import S3ObjectStore
from anfl.vectors.parts import Parts
from anfl.vectors.replica import Replica
from anfl.vectors.requests import CollectionPatch, Count, Fetch, NamePage
from anfl.vectors.retention import KEPT_VERIFIED
from anfl.vectors.store import VectorStore
from tests.unit.vectors.builders import delete, storage, upsert
from tests.unit.vectors.simulated import SimulatedTime
from tests.unit.vectors.test_store import WORDS, code_of

OTHERS = CollectionSettings(name="others", dimension=2, metric=Metric.L2)


@pytest.fixture(autouse=True)
def _words(store: VectorStore) -> None:
    store.create("demo", WORDS)
    store.write("demo", "words", upsert(("a", (1, 1)), ("b", (2, 2)), request_id="first"))


def ids(store: VectorStore, name: str) -> list[str]:
    return [row.id for row in store.fetch("demo", name, Fetch(ids=list("abcd"), consistency="strong")).vectors]


def test_a_snapshot_becomes_a_collection_of_its_own(store: VectorStore) -> None:
    made = store.create_snapshot("demo", "words", "monday")
    assert (made.name, made.rows, made.sequence) == ("monday", 2, "1.1")
    store.write("demo", "words", delete("a"))
    restored = store.restore("demo", "words", "monday", "again")
    assert restored.settings.metric is Metric.L2
    assert restored.home == store.catalogue.region
    assert ids(store, "again") == ["a", "b"]
    assert ids(store, "words") == ["b"]
    assert store.write("demo", "again", upsert(("c", (3, 3)))).sequence == f"{restored.epoch}.2"
    assert store.write("demo", "again", upsert(("a", (4, 4)), if_version=1)).upserted == 1
    assert ids(store, "words") == ["b"]
    repeated = store.write("demo", "again", upsert(("a", (1, 1)), ("b", (2, 2)), request_id="first"))
    assert repeated.sequence.endswith(".1")


def test_a_restored_collection_is_there_for_other_nodes(
    store: VectorStore, catalogue: Catalogue, objects: S3ObjectStore
) -> None:
    store.create_snapshot("demo", "words", "monday")
    store.restore("demo", "words", "monday", "again")
    store.delete("demo", "words")
    other = VectorStore(catalogue, storage(objects, clock=Clock()))
    assert ids(other, "again") == ["a", "b"]
    other.close()


@pytest.mark.parametrize(("slept", "stays"), [(ORPHAN_SECONDS / 2, True), (ORPHAN_SECONDS / 2 + 1, False)])
def test_what_is_restored_by_who_slept_so_long_that_it_may_have_been_removed_is_undone(
    catalogue: Catalogue, objects: S3ObjectStore, monkeypatch: pytest.MonkeyPatch, *, slept: float, stays: bool
) -> None:
    time = SimulatedTime()
    slow = VectorStore(catalogue, storage(objects, clock=time.clock()))
    slow.create_snapshot("demo", "words", "monday")
    add = catalogue.add

    def late(made: Collection) -> None:
        time.advance(slept)
        add(made)

    monkeypatch.setattr(catalogue, "add", late)
    if stays:
        slow.restore("demo", "words", "monday", "again")
    else:
        assert code_of(lambda: slow.restore("demo", "words", "monday", "again")) == (503, "storage_unavailable")
    assert catalogue.is_free("demo", "again") is not stays
    slow.close()


def test_a_snapshot_knows_no_request_that_came_while_it_was_made(
    store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, later = RowStore.image, upsert(("c", (3, 3)), request_id="later")
    waiting = [later]

    def slowly(rows: RowStore, **given: Any) -> Any:
        if waiting:
            store.write("demo", "words", waiting.pop())
        return image(rows, **given)

    monkeypatch.setattr(RowStore, "image", slowly)
    assert store.create_snapshot("demo", "words", "monday").rows == 2
    store.restore("demo", "words", "monday", "again")
    store.write("demo", "again", later)
    assert ids(store, "again") == ["a", "b", "c"], "what was acknowledged is there"


def test_a_snapshot_declares_no_field_that_was_declared_while_it_was_made(
    store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = RowStore.image
    fields = {"n": FieldType.NUMBER}
    store.write("demo", "words", upsert(("c", (3, 3)), metadata={"n": "three"}))

    def slowly(rows: RowStore, **given: Any) -> Any:
        if "c" in ids(store, "words"):
            store.write("demo", "words", delete("c"))
            assert store.update("demo", "words", CollectionPatch(fields=fields)).settings.fields == fields
        return image(rows, **given)

    monkeypatch.setattr(RowStore, "image", slowly)
    store.create_snapshot("demo", "words", "monday")
    assert store.restore("demo", "words", "monday", "again").settings.fields == {}
    assert ids(store, "again") == ["a", "b", "c"]


@pytest.mark.parametrize(("times", "is_made"), [(1, True), (99, False)])
def test_a_snapshot_whose_segments_were_merged_meanwhile_is_begun_again(
    store: VectorStore, monkeypatch: pytest.MonkeyPatch, *, times: int, is_made: bool
) -> None:
    upload, left = Parts.upload, list(range(times))

    def upload_what_is_there(parts: Parts, *given: Any, **named: Any) -> Any:
        if left:
            left.pop()
            raise FileNotFoundError("rows.bin")
        return upload(parts, *given, **named)

    monkeypatch.setattr(Parts, "upload", upload_what_is_there)
    if is_made:
        assert store.create_snapshot("demo", "words", "monday").rows == 2
    else:
        assert code_of(lambda: store.create_snapshot("demo", "words", "monday")) == (503, "storage_unavailable")


def test_a_snapshot_waits_for_no_upkeep_to_hear_of_merged_segments(
    store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With thousands of collections in memory upkeep comes round too late."""
    store.hnsw.upkeep.stop()
    looks: list[Replica] = []
    upload = Parts.upload

    def install_newest(replica: Replica) -> bool:
        looks.append(replica)
        return True

    def upload_once_looked(parts: Parts, *given: Any, **named: Any) -> Any:
        if not looks:
            raise FileNotFoundError("rows.bin")
        return upload(parts, *given, **named)

    monkeypatch.setattr(Replica, "install_newest", install_newest)
    monkeypatch.setattr(Parts, "upload", upload_once_looked)
    assert store.create_snapshot("demo", "words", "monday").rows == 2


def test_snapshots_have_names(store: VectorStore) -> None:
    store.create_snapshot("demo", "words", "monday")
    store.write("demo", "words", upsert(("c", (3, 3))))
    store.create_snapshot("demo", "words", "tuesday")
    assert [(each.name, each.rows) for each in store.snapshots("demo", "words").snapshots] == [
        ("monday", 2),
        ("tuesday", 3),
    ]
    assert code_of(lambda: store.create_snapshot("demo", "words", "monday")) == (409, "snapshot_exists")
    store.delete_snapshot("demo", "words", "monday")
    assert [each.name for each in store.snapshots("demo", "words").snapshots] == ["tuesday"]
    absent = (404, "snapshot_not_found")
    assert code_of(lambda: store.delete_snapshot("demo", "words", "monday")) == absent
    assert code_of(lambda: store.restore("demo", "words", "monday", "again")) == absent
    assert code_of(lambda: store.restore("demo", "words", "tuesday", "words")) == (409, "collection_exists")
    assert code_of(lambda: store.snapshots("other", "words")) == (404, "collection_not_found")


def test_named_snapshots_come_in_pages(store: VectorStore) -> None:
    for name in ("b", "a", "c"):
        store.create_snapshot("demo", "words", name)
    shown, cursor = [], None
    while True:
        page = store.snapshots("demo", "words", NamePage(limit=2, cursor=cursor))
        shown.append([each.name for each in page.snapshots])
        cursor = page.cursor
        if cursor is None:
            break
    assert shown == [["a", "b"], ["c"]]


def test_what_cannot_be_read_is_named_beside_those_that_can(store: VectorStore, objects: S3ObjectStore) -> None:
    for name in "abcd":
        store.create_snapshot("demo", "words", name)
    for name in "bc":
        objects.put(f"{store.describe('demo', 'words').prefix}named/{name}", b"ANFL damaged")
    first = store.snapshots("demo", "words", NamePage(limit=2))
    assert ([each.name for each in first.snapshots], first.damaged, first.cursor) == (["a"], ["b"], "b")
    last = store.snapshots("demo", "words", NamePage(limit=2, cursor=first.cursor))
    assert ([each.name for each in last.snapshots], last.damaged, last.cursor) == (["d"], ["c"], None)


def test_a_name_that_is_forgotten_while_they_are_listed_is_not_among_them(
    store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        store.create_snapshot("demo", "words", name)
    words = store.describe("demo", "words")
    names = store.storage.named(words)
    listed = store.storage.objects.list

    def forgetting(prefix: str, **given: Any) -> Any:
        found = list(listed(prefix, **given))
        names.delete("a")
        return iter(found)

    monkeypatch.setattr(store.storage.objects, "list", forgetting)
    assert [each.name for each in names.page(limit=1).snapshots] == ["b"]
    monkeypatch.undo()
    store.create_snapshot("demo", "words", "a")
    monkeypatch.setattr(store.storage.objects, "list", forgetting)
    assert len(names.paths() or ()) == 1


def test_a_named_snapshot_is_kept(store: VectorStore, objects: S3ObjectStore) -> None:
    store.create_snapshot("demo", "words", "monday")
    collection = store.describe("demo", "words")
    builder = Builder(store.storage, policy=SnapshotPolicy(batches=1))
    for name in "cd":
        store.write("demo", "words", upsert((name, (1, 1))))
        builder.build(collection)
    builder.build(collection)
    retention = store.storage.retention(collection)
    retention.verify_newest()
    for days in (1, 30):
        retention.clean(now=Clock().wall() + days * 24 * 3600)
    assert len(list(objects.list(f"{collection.prefix}snapshots/"))) == 3
    assert [entry.key[-1] for entry in objects.list(f"{collection.prefix}log/")] == ["3"]
    store.restore("demo", "words", "monday", "again")
    assert ids(store, "again") == ["a", "b"]


def test_a_damaged_snapshot_makes_no_collection(store: VectorStore, objects: S3ObjectStore) -> None:
    store.create_snapshot("demo", "words", "monday")
    for entry in objects.list(f"{store.describe('demo', 'words').prefix}parts/"):
        objects.put(entry.key, b"ANFL damaged")
    assert code_of(lambda: store.restore("demo", "words", "monday", "again")) == (503, "snapshot_damaged")
    assert code_of(lambda: store.describe("demo", "again")) == (404, "collection_not_found")


@pytest.mark.parametrize("what", ["parts/", "snapshots/"])
def test_a_restored_collection_whose_beginning_is_lost_is_not_taken_for_an_empty_one(
    store: VectorStore, catalogue: Catalogue, objects: S3ObjectStore, what: str
) -> None:
    store.create_snapshot("demo", "words", "monday")
    made = store.restore("demo", "words", "monday", "again")
    lost = {entry.key: objects.get(entry.key) for entry in objects.list(f"{made.prefix}{what}")}
    for key in lost:
        objects.put(key, b"ANFL damaged")
    node = VectorStore(catalogue, storage(objects, clock=Clock()))
    assert code_of(lambda: node.write("demo", "again", upsert(("c", (3, 3))))) == (503, "log_gap")
    assert code_of(lambda: node.stats("demo", "again")) == (503, "log_gap")
    for key, body in lost.items():
        objects.put(key, body or b"")
    assert ids(node, "again") == ["a", "b"]
    node.close()


def test_a_name_taken_meanwhile_leaves_nothing_behind(
    store: VectorStore, objects: S3ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create_snapshot("demo", "words", "monday")
    monkeypatch.setattr(store.catalogue, "is_free", lambda *_: True)
    store.create("demo", OTHERS)
    assert code_of(lambda: store.restore("demo", "words", "monday", "others")) == (409, "collection_exists")
    assert list(objects.list("demo/others/")) == []


def test_a_position_of_an_earlier_incarnation_is_lost(store: VectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # epochs as they really are
    old = store.write("demo", "words", upsert(("c", (1, 1)))).sequence
    store.delete("demo", "words")
    store.create("demo", WORDS)
    assert code_of(lambda: store.count("demo", "words", Count(min_sequence=old))) == (409, "history_lost")


def test_epochs_of_incarnations_differ() -> None:
    assert first_epoch("0" * 32) == 1
    assert first_epoch("f" * 32) == 2**24


def test_what_a_race_left_of_a_deleted_collection_goes_later(
    store: VectorStore, catalogue: Catalogue, objects: S3ObjectStore
) -> None:
    gone = store.describe("demo", "words")
    store.create("demo", OTHERS)
    store.write("demo", "others", upsert(("c", (1, 1))))
    store.delete("demo", "words")
    store.create("demo", WORDS)
    store.write("demo", "words", upsert(("d", (1, 1))))
    objects.put(f"{gone.prefix}log/00000001/{7:020d}", b"late")
    others = ["imports/of/somebody", f"{IMPORTS_PREFIX}demo/{new_id(1e9)}/0"]
    for key in others:
        objects.put(key, b"else's")
    janitor = Janitor(store.storage, catalogue)
    now = Clock().wall()
    assert janitor.sweep(now=now + ORPHAN_SECONDS - 60) == 0
    assert janitor.sweep(now=now + ORPHAN_SECONDS + 60) == 1
    assert list(objects.list(gone.prefix)) == []
    assert (ids(store, "words"), ids(store, "others")) == (["d"], ["c"])
    assert [objects.get(key) for key in others] == [b"else's"] * 2


def test_what_a_node_has_of_a_collection_that_another_one_deleted_leaves_it_a_day_later(
    store: VectorStore, catalogue: Catalogue, objects: S3ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = VectorStore(catalogue, storage(objects, clock=Clock()))
    kept, _ = store.create("demo", OTHERS)
    store.write("demo", "others", upsert(("a", (1, 1))))
    assert ids(other, "words") + ids(other, "others") == ["a", "b", "a"]
    parts = {name: other.storage.node.path / other.describe("demo", name).incarnation for name in ("words", "others")}
    other.close()  # or its upkeep may remove it, too, at any moment
    store.delete("demo", "words")
    janitor = Janitor(other.storage, catalogue)
    janitor.sweep(now=Clock().wall())
    assert all(list((part / "log").iterdir()) for part in parts.values())
    (other.storage.node.path / "0").touch()  # one that goes away meanwhile is none, either
    monkeypatch.setattr(collection_folder, "LEFT_SECONDS", -1.0)
    monkeypatch.setattr(collection_folder, "KEPT_SLOTS_SECONDS", -1.0)
    janitor.sweep(now=Clock().wall())
    assert not parts["words"].exists()
    assert not list((parts["others"] / "log").iterdir())
    assert (parts["others"] / "segments").exists()
    assert kept.incarnation == parts["others"].name
    other.close()


def test_what_was_left_of_it_by_who_was_killed_while_removing_it_leaves_as_well(
    store: VectorStore, catalogue: Catalogue, objects: S3ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = VectorStore(catalogue, storage(objects, clock=Clock()))
    assert ids(other, "words") == ["a", "b"]
    part = other.storage.node.path / other.describe("demo", "words").incarnation
    store.delete("demo", "words")
    shutil.rmtree(part / "log")
    janitor = Janitor(other.storage, catalogue)
    janitor.sweep(now=Clock().wall())
    assert part.exists()
    monkeypatch.setattr(collection_folder, "LEFT_SECONDS", -1.0)
    janitor.sweep(now=Clock().wall())
    assert not part.exists()
    other.close()


def test_the_janitor_does_not_trust_a_catalogue_that_is_away(
    store: VectorStore, catalogue: Catalogue, objects: S3ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> Collection:
        raise Problem(503, "catalogue_unavailable", "")

    monkeypatch.setattr(catalogue, "find", away)
    with pytest.raises(Problem):
        Janitor(store.storage, catalogue).sweep(now=Clock().wall() + 2 * ORPHAN_SECONDS)
    assert list(objects.list("demo/words/"))


def test_warming_loads(catalogue: Catalogue, objects: S3ObjectStore) -> None:
    other = VectorStore(catalogue, storage(objects, clock=Clock()))
    other.warm("demo", "words")
    while not other.warm("demo", "words"):
        Clock().sleep(0.01)
    assert code_of(lambda: other.warm("demo", "absent")) == (404, "collection_not_found")
    other.close()


def test_a_name_that_cannot_be_read_can_be_forgotten_and_keeps_nobody_from_sweeping_what_is_left_elsewhere(
    store: VectorStore, catalogue: Catalogue, objects: S3ObjectStore
) -> None:
    collection = store.describe("demo", "words")
    builder = Builder(store.storage, policy=SnapshotPolicy(batches=1))
    for name in "cd":
        store.write("demo", "words", upsert((name, (1, 1))))
        builder.build(collection)
    store.storage.retention(collection).verify_newest()
    store.create_snapshot("demo", "words", "monday")
    objects.put(f"{collection.prefix}named/monday", b"ANFL damaged")
    objects.put(f"demo/xyz/{'f' * 32}/log/00000001/{1:020d}", b"nobody's")
    janitor = Janitor(store.storage, catalogue)
    assert janitor.sweep(now=Clock().wall() + ORPHAN_SECONDS + 60) == 1
    assert store.snapshots("demo", "words").damaged == ["monday"]
    store.delete_snapshot("demo", "words", "monday")
    assert store.snapshots("demo", "words") == NamedSnapshotList(snapshots=[])


def test_a_name_that_cannot_be_read_keeps_every_snapshot_and_nothing_of_the_log(
    store: VectorStore, objects: S3ObjectStore
) -> None:
    collection = store.describe("demo", "words")
    builder = Builder(store.storage, policy=SnapshotPolicy(batches=1))
    for name in "cdef":
        store.write("demo", "words", upsert((name, (1, 1))))
        builder.build(collection)
        if name == "c":
            store.create_snapshot("demo", "words", "monday")
    objects.put(f"{collection.prefix}named/monday", b"ANFL damaged")
    retention = store.storage.retention(collection)
    retention.verify_newest()
    manifests = [entry.key for entry in objects.list(f"{collection.prefix}snapshots/")]
    assert len(manifests) > KEPT_VERIFIED
    retention.clean(now=Clock().wall() + 2 * LOG_SECONDS)
    assert [entry.key for entry in objects.list(f"{collection.prefix}snapshots/")] == manifests
    assert len(list(objects.list(f"{collection.prefix}log/"))) == 1
