"""Queries, pages and counts of a state that holds still."""

from collections.abc import Callable
from functools import partial

import pytest

from anfl.problems import Problem
from anfl.vectors import allowance, reads
from anfl.vectors.model import Metric
from anfl.vectors.requests import Answer, Count, Fetch, Included, Query, Results, Scroll
from anfl.vectors.state import State
from anfl.vectors.writer import Writer
from tests.unit.vectors.builders import collection, replica, upsert
from tests.unit.vectors.simulated import SimulatedStore, SimulatedTime


@pytest.fixture(name="state")
def _state() -> State:
    time = SimulatedTime()
    node = Writer(replica(SimulatedStore(), clock=time.clock()))
    for number in range(10):
        node.write(upsert((f"r{number}", (number, 0)), metadata={"even": number % 2 == 0, "n": number}))
    node.write(upsert(("gone", (0, 0)), expires_at=time.seconds + 1))
    time.advance(2)
    return node._replica.view(lambda state: state)


def code_of(call: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(Problem) as caught:
        call()
    return caught.value.status, caught.value.code


def ids(answer: Answer | Results) -> list[str]:
    assert isinstance(answer, Answer)
    return [match.id for match in answer.matches]


def test_nearest_first_and_nothing_expired(state: State) -> None:
    assert ids(reads.query(state, Query(vector=[0.0, 0.0], k=3))) == ["r0", "r1", "r2"]


def test_what_has_expired_is_counted_apart(state: State) -> None:
    stats = reads.stats(state)
    assert (stats.rows, stats.expired) == (reads.count(state, Count()).count, 1) == (10, 1)


def test_filters_and_distances_limit(state: State) -> None:
    assert ids(reads.query(state, Query(vector=[0.0, 0.0], k=3, filter={"even": False}))) == ["r1", "r3", "r5"]
    assert ids(reads.query(state, Query(vector=[0.0, 0.0], max_distance=2.0))) == ["r0", "r1", "r2"]


def test_around_a_row_leaves_it_out(state: State) -> None:
    assert set(ids(reads.query(state, Query(id="r5", k=2)))) == {"r4", "r6"}


def test_several_vectors_get_several_answers(state: State) -> None:
    answer = reads.query(state, Query(vectors=[[0.0, 0.0], [9.0, 0.0]], k=1))
    assert isinstance(answer, Results)
    assert [[match.id for match in each.matches] for each in answer.results] == [["r0"], ["r9"]]


def test_only_what_was_asked_for_is_included(state: State) -> None:
    bare = reads.query(state, Query(vector=[0.0, 0.0], k=1))
    full = reads.query(state, Query(vector=[0.0, 0.0], k=1, include=["values", "metadata"]))
    assert isinstance(bare, Answer)
    assert isinstance(full, Answer)
    assert (bare.matches[0].values, bare.matches[0].metadata) == (None, None)
    assert (full.matches[0].values, full.matches[0].metadata) == ([0.0, 0.0], {"even": True, "n": 0})


@pytest.mark.parametrize(
    "request_",
    [
        Query(),
        Query(vector=[1.0, 1.0], id="r1"),
        Query(vector=[1.0]),
        Query(vectors=[[1.0, 1.0], [1.0]]),
        Query(vector=[1.0, 1.0], filter={"$x": 1}),
    ],
)
def test_wrong_queries_are_refused(state: State, request_: Query) -> None:
    with pytest.raises(Problem) as caught:
        reads.query(state, request_)
    assert caught.value.status == 400


def test_around_an_absent_or_expired_row(state: State) -> None:
    for row_id in ("nope", "gone"):
        with pytest.raises(Problem) as caught:
            reads.query(state, Query(id=row_id))
        assert caught.value.code == "row_not_found"


def test_pages_cover_every_row_once_in_id_order(state: State) -> None:
    seen: list[str] = []
    cursor = None
    while True:
        page = reads.scroll(state, Scroll(limit=3, cursor=cursor))
        seen += [row.id for row in page.vectors]
        cursor = page.cursor
        if cursor is None:
            break
    assert seen == [f"r{n}" for n in range(10)]


def test_a_page_of_a_filter(state: State) -> None:
    page = reads.scroll(state, Scroll(limit=2, filter={"n": {"$gte": 8}}))
    assert [row.id for row in page.vectors] == ["r8", "r9"]
    assert page.cursor is None


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", "ÿ"])
def test_a_made_up_cursor_is_refused(state: State, cursor: str) -> None:
    with pytest.raises(Problem) as caught:
        reads.scroll(state, Scroll(cursor=cursor))
    assert (caught.value.status, caught.value.field) == (400, "cursor")


def test_fetch_keeps_the_order_and_leaves_out_what_is_absent(state: State) -> None:
    found = reads.fetch(state, Fetch(ids=["r3", "zzz", "r1", "r3", "gone"]))
    assert [row.id for row in found.vectors] == ["r3", "r1"]
    assert [row.version for row in found.vectors] == [4, 2]


def test_count(state: State) -> None:
    assert reads.count(state, Count()).count == 10
    assert reads.count(state, Count(filter={"even": True})).count == 5


def test_cosine_ignores_length() -> None:
    node = Writer(replica(SimulatedStore(), collection(metric=Metric.COSINE)))
    node.write(upsert(("long", (100, 1)), ("short", (0.5, 0.5))))
    found = node._replica.view(lambda state: reads.query(state, Query(vector=[1.0, 0.0])))
    assert ids(found) == ["long", "short"]


@pytest.fixture(name="small_answers")
def _small_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowance, "ANSWER_BYTES", 200)  # two numbers and {"even":true,"n":0}: 59


@pytest.mark.usefixtures("small_answers")
def test_an_answer_has_a_limit(state: State) -> None:
    both: list[Included] = ["values", "metadata"]
    assert len(ids(reads.query(state, Query(vector=[0.0, 0.0], include=["metadata"])))) == 10
    assert len(ids(reads.query(state, Query(vector=[0.0, 0.0], k=3, include=both)))) == 3
    for call in (
        partial(reads.query, state, Query(vector=[0.0, 0.0], k=4, include=both)),
        partial(reads.query, state, Query(vectors=[[0.0, 0.0], [0.0, 0.0]], k=2, include=both)),
        partial(reads.fetch, state, Fetch(ids=["r0", "r1", "r2", "r3"])),
    ):
        assert code_of(call) == (400, "answer_too_large")


@pytest.mark.usefixtures("small_answers")
def test_ids_count_where_there_are_more_than_fit_beside_an_answer(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = Query(vectors=[[0.0, 0.0], [9.0, 0.0]], k=5)
    assert isinstance(reads.query(state, several), Results)
    monkeypatch.setattr(allowance, "MAX_K", 9)
    assert code_of(lambda: reads.query(state, several)) == (400, "answer_too_large")
    near = reads.query(state, Query(vectors=[[0.0, 0.0], [9.0, 0.0]], k=5, max_distance=0.5))
    assert isinstance(near, Results)
    assert [len(each.matches) for each in near.results] == [1, 1]


@pytest.mark.usefixtures("small_answers")
def test_pages_end_where_an_answer_would_be_too_large(state: State) -> None:
    pages: list[list[str]] = []
    cursor = None
    while cursor is not None or not pages:
        page = reads.scroll(state, Scroll(limit=9, cursor=cursor, include=["values", "metadata"]))
        pages.append([row.id for row in page.vectors])
        cursor = page.cursor
    assert [len(page) for page in pages] == [3, 3, 3, 1]
    assert [row_id for page in pages for row_id in page] == [f"r{n}" for n in range(10)]
