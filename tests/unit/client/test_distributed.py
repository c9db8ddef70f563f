"""The client and collections of the engine ``dynamodb``: batches are smaller there, and deletions take their time."""

import asyncio

import numpy as np
import pytest

from anfl.client import ApiError, AsyncClient, Client, Patch, new_rows
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.dynamodb.engine import DynamoDbEngine
from anfl.vectors.requests import Deletion
from anfl.vectors.store import VectorStore
from tests.unit.client.conftest import TOKEN
from tests.unit.vectors.importing import MemoryQueue, carry_out_all

IDS = [f"r{number:03}" for number in range(250)]
ROWS = np.ones((250, 2), dtype=np.float32)


@pytest.fixture(name="store")
def _store(store_with_a_class: VectorStore) -> VectorStore:
    return store_with_a_class


def test_large_batches_go_in_parts_where_they_are_allowed_to(client: Client) -> None:
    photos = client.create_collection("photos", dimension=2, metric="l2", engine="dynamodb")
    assert photos.load(new_rows(IDS, ROWS)) == photos.count() == 250
    with pytest.raises(ApiError, match="batch_not_atomic"):
        photos.upsert(new_rows(IDS, ROWS))
    assert photos.upsert(new_rows(IDS, ROWS), atomic=False).upserted == 250
    assert photos.patch([Patch(id=each, metadata={"n": 1}) for each in IDS], atomic=False).patched == 250
    assert photos.delete(IDS[:200], atomic=False).deleted == 200
    assert photos.count({"n": 1}) == 50


def test_it_has_no_parameters_of_a_graph(client: Client) -> None:
    photos = client.create_collection("photos", dimension=2, metric="l2", engine="dynamodb")
    assert photos.describe().index is None
    words = client.create_collection("words", dimension=2, metric="l2")
    assert [each.index for each in client.collections()] == [None, words.describe().index]


def test_deleting_by_filter_is_begun_and_watched(
    client: Client, url: str, queue: MemoryQueue, catalogue: Catalogue, engine: DynamoDbEngine
) -> None:
    photos = client.create_collection("photos", dimension=2, metric="l2", engine="dynamodb")
    photos.upsert(new_rows(["a", "b"], ROWS[:2], [{"n": 1}, {"n": 2}]))
    begun = photos.delete(where={"n": 2})
    assert isinstance(begun, Deletion)
    assert photos.deletion(begun.id).state == "RUNNING"
    carry_out_all(queue, catalogue, engine)
    assert photos.deletion(begun.id).deleted == 1

    async def other_way() -> Deletion:
        async with AsyncClient(url, token=TOKEN) as other:
            return await other.collection("photos").deletion(begun.id)

    assert asyncio.run(other_way()).state == "DONE"
    assert [row.id for row in photos.scroll()] == ["a"]
