"""What is too much for one answer is refused before all of it has been read into memory."""

from collections.abc import Callable
from typing import Any

import pytest

from anfl.problems import Problem
from anfl.vectors.dynamodb.engine import DynamoDbEngine
from anfl.vectors.model import Collection, Metric
from anfl.vectors.requests import Answer, Fetch, NewRow, Query, Results, Upsert
from tests.local.aws.conftest import Aws
from tests.local.dynamodb_engine.classes import collection, engine

ROWS, QUERIES = 20, 100
TEXT = "x" * 40_000
"""In each row's metadata: of twelve queries it is more than an answer may have."""


class Counting:
    """Passes calls on to ``client``, and remembers what was asked and answered."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(**request: Any) -> Any:
            answer = getattr(self._client, name)(**request)
            self.calls.append((name, answer))
            return answer

        return call

    def answers(self, name: str) -> list[dict[str, Any]]:
        """Those of the calls of this name."""
        return [answer for each, answer in self.calls if each == name]


@pytest.fixture(name="client")
def _client(server: Aws) -> Counting:
    return Counting(server.client("dynamodb"))


@pytest.fixture(name="photos")
def _photos() -> Collection:
    return collection(Metric.L2)


@pytest.fixture(name="store")
def _store(client: Counting, photos: Collection) -> DynamoDbEngine:
    store = engine(client, Metric.L2)
    rows = [NewRow(id=f"r{n:03}", values=[n, 1.0], metadata={"text": TEXT}) for n in range(ROWS)]
    store.write(photos, Upsert(vectors=rows, atomic=False))
    client.calls.clear()
    return store


def several(**more: Any) -> Query:
    return Query(vectors=[[float(n), 1.0] for n in range(QUERIES)], k=ROWS, **more)


@pytest.mark.parametrize(
    ("include", "call", "most"), [(["metadata"], "search_vectors", 32), (["values", "metadata"], "batch_get_item", 3)]
)
def test_a_query_ends_with_what_is_too_much(
    client: Counting, store: DynamoDbEngine, photos: Collection, include: Any, call: str, most: int
) -> None:
    with pytest.raises(Problem) as refused:
        store.query(photos, several(include=include))
    assert (refused.value.status, refused.value.code, refused.value.field) == (400, "answer_too_large", "k")
    assert 0 < len(client.answers(call)) <= most


@pytest.mark.parametrize("include", [[], ["values"]], ids=str)
def test_metadata_that_nobody_asked_for_is_not_sent_by_the_index(
    client: Counting, store: DynamoDbEngine, photos: Collection, include: Any
) -> None:
    answer = store.query(photos, several(include=include))
    assert isinstance(answer, Results)
    assert all(len(each.matches) == ROWS for each in answer.results)
    searches = client.answers("search_vectors")
    assert len(searches) == QUERIES
    assert not any("m" in found["Item"] for each in searches for found in each["SearchResults"])


def test_metadata_that_was_asked_for_comes_with_the_search(
    client: Counting, store: DynamoDbEngine, photos: Collection
) -> None:
    answer = store.query(photos, Query(vector=[0.0, 1.0], k=2, include=["metadata"]))
    assert isinstance(answer, Answer)
    assert [match.metadata for match in answer.matches] == [{"text": TEXT}] * 2
    assert client.answers("batch_get_item") == []


def test_rows_by_id_end_with_what_is_too_much(store: DynamoDbEngine, client: Counting, photos: Collection) -> None:
    more = [NewRow(id=f"s{n:03}", values=[n, 2.0], metadata={"text": TEXT}) for n in range(500)]
    store.write(photos, Upsert(vectors=more, atomic=False))
    client.calls.clear()
    with pytest.raises(Problem) as refused:
        store.fetch(photos, Fetch(ids=[row.id for row in more]))
    assert (refused.value.code, refused.value.field) == ("answer_too_large", "ids")
    assert len(client.answers("batch_get_item")) <= 4
