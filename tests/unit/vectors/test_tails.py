"""What the workers of one node know of one another's writes."""

import os

import pytest

from anfl.vectors import tails as tails_module
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.model import CollectionSettings, Metric
from anfl.vectors.node_memory import NodeMemory
from anfl.vectors.objects import S3ObjectStore
from anfl.vectors.requests import Answer, Count, Query
from anfl.vectors.store import VectorStore
from anfl.vectors.tails import SharedTails
from tests.unit.vectors.builders import storage, upsert

WORDS = CollectionSettings(name="words", dimension=2, metric=Metric.L2)


def test_a_forked_process_sees_and_is_seen() -> None:
    tails = SharedTails()
    tails.publish("a/", 3)
    child = os.fork()
    if child == 0:
        tails.publish("b/", tails.newest("a/") + 4)
        os._exit(0)
    os.waitpid(child, 0)
    assert tails.newest("b/") == 7
    tails.publish("b/", 2)
    assert tails.newest("b/") == 7
    assert tails.newest("c/") == 0


def test_two_collections_in_one_slot_push_each_other_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tails_module, "_SLOTS", 1)
    tails = SharedTails()
    tails.publish("a/", 5)
    tails.publish("b/", 1)
    assert (tails.newest("a/"), tails.newest("b/")) == (0, 1)


def test_a_write_through_one_worker_is_seen_at_once_through_the_other(
    catalogue: Catalogue, objects: S3ObjectStore
) -> None:
    memory = NodeMemory.shared()
    one, other = (VectorStore(catalogue, storage(objects, clock=Clock()), memory=memory) for _ in range(2))
    one.create("demo", WORDS)
    for number in range(1, 4):
        one.write("demo", "words", upsert((str(number), [1, number])))
        assert other.count("demo", "words", Count()).count == number
    query = Query(vector=[1.0, 3.0], k=1)
    answer = other.at_once("demo", "words", query)
    assert isinstance(answer, Answer)
    assert answer.sequence.endswith(".3")
    one.write("demo", "words", upsert(("4", [1, 4])))
    assert other.at_once("demo", "words", query) is None
    answer = other.query("demo", "words", Query(vector=[1.0, 4.0], k=1))
    assert isinstance(answer, Answer)
    assert answer.matches[0].id == "4"
    one.close()
    other.close()
