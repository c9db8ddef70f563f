"""What the workers of one node know of the catalogue's changes that one of them made."""

import os
from collections.abc import Iterator

import pytest

from anfl.problems import Problem
from anfl.vectors import marks as marks_module
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.marks import Marks
from anfl.vectors.model import CollectionSettings, Metric
from anfl.vectors.node_memory import NodeMemory
from anfl.vectors.objects import S3ObjectStore
from anfl.vectors.requests import Answer, CollectionPatch, Count, IndexPatch, Query, Results, Rows
from anfl.vectors.store import VectorStore
from tests.unit.vectors.builders import storage, upsert

NEAREST = Query(vector=[1.0, 1.0], k=1)


@pytest.fixture(name="workers")
def _workers(catalogue: Catalogue, objects: S3ObjectStore) -> Iterator[tuple[VectorStore, VectorStore]]:
    """Two of one node, with the collections ``old`` and ``new``, of which the second has both in memory."""
    memory = NodeMemory.shared()
    one, other = (VectorStore(catalogue, storage(objects, clock=Clock()), memory=memory) for _ in range(2))
    for name in ("old", "new"):
        one.create("demo", CollectionSettings(name=name, dimension=2, metric=Metric.L2))
        one.write("demo", name, upsert((name, (1, 1))))
        assert other.count("demo", name, Count()).count == 1
    yield one, other
    one.close()
    other.close()


def nearest(store: VectorStore, name: str) -> str:
    """The row that a bounded query finds, by whichever way a worker answers it."""
    found: Answer | Results | Rows | None = store.at_once("demo", name, NEAREST)
    found = found or store.query("demo", name, NEAREST)
    assert isinstance(found, Answer)
    return found.matches[0].id


def test_a_forked_process_sees_that_a_name_has_changed() -> None:
    marks = Marks()
    own, others = marks.slot("demo", "a"), marks.slot("demo", "b")
    before, beside = marks.at(own), marks.at(others)
    child = os.fork()
    if child == 0:
        marks.change("demo", "a")
        os._exit(0)
    os.waitpid(child, 0)
    assert marks.at(own) != before
    assert marks.at(others) == beside


def test_no_change_is_lost_to_another_one_in_its_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks_module, "_SLOTS", 1)
    marks = Marks()
    slot = marks.slot("demo", "a")
    seen = {marks.at(slot)}
    for name in ("a", "b", "a"):
        marks.change("demo", name)
        seen.add(marks.at(slot))
    assert len(seen) == 4


def test_an_alias_that_moves_has_moved_for_every_worker_of_the_node(workers: tuple[VectorStore, VectorStore]) -> None:
    one, other = workers
    for _ in range(3):
        for name in ("old", "new"):
            one.set_alias("demo", "live", name)
            assert nearest(other, "live") == name
            assert other.names.peek("demo", "live") is not None


def test_what_one_worker_deletes_is_gone_for_every_worker_of_the_node(
    workers: tuple[VectorStore, VectorStore],
) -> None:
    one, other = workers
    one.set_alias("demo", "live", "old")
    assert nearest(other, "live") == "old"
    one.delete("demo", "old")
    for name in ("old", "live"):
        assert other.at_once("demo", name, NEAREST) is None
        with pytest.raises(Problem, match="collection_not_found"):
            other.query("demo", name, NEAREST)
    one.set_alias("demo", "live", "new")
    assert nearest(other, "live") == "new"
    one.delete_alias("demo", "live")
    with pytest.raises(Problem, match="collection_not_found"):
        nearest(other, "live")


def test_settings_that_one_worker_changes_hold_for_every_worker_of_the_node(
    workers: tuple[VectorStore, VectorStore],
) -> None:
    one, other = workers
    one.update("demo", "old", CollectionPatch(index=IndexPatch(ef_search=77)))
    assert nearest(other, "old") == "old"
    found = other.names.peek("demo", "old")
    assert found is not None
    assert found[0].settings.index.ef_search == 77


def test_a_name_that_changes_while_it_is_looked_up_is_looked_up_again(
    workers: tuple[VectorStore, VectorStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = workers
    one.set_alias("demo", "live", "old")
    look = other.catalogue.get

    def slow(tenant: str, name: str) -> object:
        found = look(tenant, name)
        monkeypatch.undo()
        one.set_alias("demo", "live", "new")
        return found

    monkeypatch.setattr(other.catalogue, "get", slow)
    nearest(other, "live")
    assert nearest(other, "live") == "new"


def test_queries_of_a_name_that_does_not_change_ask_nobody(
    workers: tuple[VectorStore, VectorStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = workers
    one.set_alias("demo", "live", "old")
    nearest(other, "live")
    monkeypatch.setattr(other.catalogue, "get", None)
    one.set_alias("demo", "elsewhere", "new")
    assert nearest(other, "live") == "old"
