"""The index is late, as AWS's may be: queries are of a moment ago, nothing else is, and nothing is lost."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.local.aws.conftest import Aws
from tests.local.aws.test_vector_indexes import set_delays
from tests.local.dynamodb_engine.contract import VECTOR, Api
from tests.unit.vectors.importing import Place

LATE = 3600.0
"""Seconds, so that it stays so for as long as a test wants."""


@pytest.fixture(name="late")
def _late(server: Aws) -> Iterator[Callable[[float], None]]:
    """Sets how late the indexes are."""
    yield lambda seconds: set_delays(server, indexing=seconds)
    set_delays(server)


@pytest.fixture(name="api")
def _api(service: tuple[httpx.Client, Place, Callable[[], None]]) -> Api:
    return Api("dynamodb", *service)


def test_what_was_written_is_found_once_the_index_has_it_and_read_at_once(
    api: Api, late: Callable[[float], None]
) -> None:
    api.create()
    late(LATE)
    api.upsert(*({"id": f"r{n}", "values": VECTOR, "metadata": {"n": n}} for n in range(5)))
    assert api.query(vector=VECTOR) == []
    assert api.call("POST", "/count", {})["count"] == 5
    assert len(api.call("POST", "/vectors/fetch", {"ids": ["r0", "r4"]})["vectors"]) == 2
    assert len(api.call("GET", "/vectors")["vectors"]) == 5
    late(0.0)
    assert len(api.query(vector=VECTOR)) == 5


def test_a_row_that_changed_is_found_as_it_was_and_shown_with_the_values_it_has(
    api: Api, late: Callable[[float], None]
) -> None:
    api.create(metric="l2")
    near, far = [0.0] * 8, [10.0] * 8
    api.upsert({"id": "moves", "values": near}, {"id": "goes", "values": near}, {"id": "stays", "values": VECTOR})
    assert len(api.query(vector=near, k=3)) == 3
    late(LATE)
    api.upsert({"id": "moves", "values": far})
    api.call("POST", "/vectors/delete", {"ids": ["goes"]})
    assert [match["id"] for match in api.query(vector=near, k=3)] == ["goes", "moves", "stays"]
    shown = api.query(vector=near, k=3, include=["values"])
    assert [(match["id"], match["values"]) for match in shown] == [("moves", far), ("stays", VECTOR)]
    late(0.0)
    assert [match["id"] for match in api.query(vector=near, k=3)] == ["stays", "moves"]


def test_a_row_that_the_filter_does_not_fit_any_more_is_not_shown_with_metadata_that_contradict_it(
    api: Api, late: Callable[[float], None]
) -> None:
    api.create(fields={"kind": "string"})
    api.upsert(*({"id": name, "values": VECTOR, "metadata": {"kind": "a"}} for name in ("changed", "same")))
    assert len(api.query(vector=VECTOR)) == 2
    late(LATE)
    api.upsert({"id": "changed", "values": VECTOR, "metadata": {"kind": "b"}})
    shown = api.query(vector=VECTOR, filter={"kind": "a"}, include=["values", "metadata"])
    assert [(match["id"], match["metadata"]) for match in shown] == [("same", {"kind": "a"})]
    assert len(api.query(vector=VECTOR, filter={"kind": "a"}, include=["metadata"])) == 2, "as the index has them"


def test_deleting_by_filter_does_not_rely_on_the_index(api: Api, late: Callable[[float], None]) -> None:
    api.create()
    late(LATE)
    api.upsert(*({"id": f"r{n}", "values": VECTOR, "metadata": {"n": n}} for n in range(10)))
    assert api.deleted({"n": {"$lt": 4}}) == 4
    late(0.0)
    assert sorted(match["id"] for match in api.query(vector=VECTOR)) == [f"r{n}" for n in range(4, 10)]
