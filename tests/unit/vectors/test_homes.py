"""The log of a collection is written in one region, and elsewhere it is read as far as it was copied."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import pytest

from anfl.problems import Problem
from anfl.vectors.model import CollectionSettings, Metric
from anfl.vectors.requests import DeleteRows, Fetch, Query
from anfl.vectors.store import VectorStore
from tests.unit.vectors.builders import upsert
from tests.unit.vectors.moves import Nodes

HERE, FAR = "us-west-1", "eu-west-1"
SETTINGS = CollectionSettings(name="words", dimension=2, metric=Metric.L2)


@pytest.fixture(name="nodes")
def _nodes(tmp_path: Path) -> Nodes:
    return Nodes(tmp_path)


@pytest.fixture(name="node")
def _node(nodes: Nodes) -> VectorStore:
    store = nodes.begin()
    store.create("demo", SETTINGS)
    store.write("demo", "words", upsert(("a", (0, 1)), ("b", (1, 1))))
    return store


def refusal(call: Callable[[], object]) -> Problem:
    with pytest.raises(Problem) as caught:
        call()
    return caught.value


def test_a_write_elsewhere_is_refused_and_says_where_it_belongs(nodes: Nodes, node: VectorStore) -> None:
    nodes.catalogue.region = FAR
    for change in (upsert(("c", (1, 0))), DeleteRows(ids=["a"])):
        problem = refusal(partial(node.write, "demo", "words", change))
        assert (problem.status, problem.code, HERE in problem.detail) == (409, "written_elsewhere", True)
    nodes.catalogue.region = HERE
    found = node.fetch("demo", "words", Fetch(ids=["a", "b", "c"]))
    assert [row.id for row in found.vectors] == ["a", "b"]


def test_elsewhere_it_is_read_and_no_strong_answer_is_promised(nodes: Nodes, node: VectorStore) -> None:
    nodes.catalogue.region = FAR
    assert len(node.query("demo", "words", Query(vector=[0.0, 1.0], k=2)).matches) == 2  # type: ignore[union-attr]
    strong = Query(vector=[0.0, 1.0], k=2, consistency="strong")
    assert refusal(partial(node.query, "demo", "words", strong)).code == "written_elsewhere"


def test_where_the_home_is_lost_a_snapshot_of_what_was_copied_becomes_a_collection_of_the_region(
    nodes: Nodes, node: VectorStore
) -> None:
    node.set_alias("demo", "w", "words")
    nodes.catalogue.region = FAR
    node.create_snapshot("demo", "words", "last")
    made = node.restore("demo", "words", "last", "words-2")
    assert made.home == FAR
    node.set_alias("demo", "w", "words-2")
    node.write("demo", "w", upsert(("c", (1, 0))))
    assert [row.id for row in node.fetch("demo", "w", Fetch(ids=["a", "b", "c"])).vectors] == ["a", "b", "c"]


def test_a_collection_from_before_homes_were_noted_is_written_anywhere(nodes: Nodes, node: VectorStore) -> None:
    node.catalogue.change("demo", "words", lambda before: msgspec.structs.replace(before, home=None))
    nodes.catalogue.region = FAR
    node.write("demo", "words", upsert(("c", (1, 0))))
