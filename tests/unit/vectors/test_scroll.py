"""What a reading of all rows, page by page, promises while others write."""

import random
from collections.abc import Iterator

import pytest

from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.model import CollectionSettings, Metric
from anfl.vectors.objects import S3ObjectStore
from anfl.vectors.requests import Count, Rows, Scroll
from anfl.vectors.store import VectorStore
from tests.unit.vectors.builders import delete, storage, upsert
from tests.unit.vectors.simulated import SimulatedTime

WORDS = CollectionSettings(name="words", dimension=2, metric=Metric.L2)
IDS = [f"r{number:02}" for number in range(40)]


@pytest.fixture(name="nodes")
def _nodes(catalogue: Catalogue, objects: S3ObjectStore) -> Iterator[tuple[VectorStore, VectorStore]]:
    """Two, of which time stands still for the second: by itself it looks for no news."""
    one = VectorStore(catalogue, storage(objects, clock=Clock()))
    other = VectorStore(catalogue, storage(objects, clock=SimulatedTime().clock()))
    one.create("demo", WORDS)
    one.write("demo", "words", upsert(*((row_id, (1, 1)) for row_id in IDS), metadata={"kept": True}))
    assert other.count("demo", "words", Count()).count == len(IDS)
    yield one, other
    one.close()
    other.close()


@pytest.mark.parametrize("old", [None, "1.1"])
def test_no_page_is_of_an_older_state_than_the_one_before_it(
    nodes: tuple[VectorStore, VectorStore], old: str | None
) -> None:
    """Also where the caller asks for another position, as a client does by that of its own last write."""
    one, other = nodes
    one.write("demo", "words", upsert(("r00a", (1, 1))))
    first = one.scroll("demo", "words", Scroll(limit=1))
    second = other.scroll("demo", "words", Scroll(limit=1, cursor=first.cursor, min_sequence=old))
    assert [row.id for row in second.vectors] == ["r00a"]


def test_a_row_that_is_there_all_the_while_is_shown_once_whatever_is_written_meanwhile(
    nodes: tuple[VectorStore, VectorStore],
) -> None:
    dice = random.Random(3)
    for _ in range(12):
        history = {row.id: {row.version} for page in pages(nodes, dice) for row in page.vectors}
        throughout = set(history)
        seen: list[str] = []
        position = 0
        for page in pages(nodes, dice):
            assert int(page.sequence.partition(".")[2]) >= position
            position = int(page.sequence.partition(".")[2])
            seen += [row.id for row in page.vectors]
            for row in page.vectors:
                assert row.version in history[row.id], "as it was at some moment of the reading"
            for _ in range(dice.randint(0, 3)):
                row_id = dice.choice(IDS) + dice.choice(["", "", "x", "y"])
                if dice.random() < 0.4:
                    nodes[0].write("demo", "words", delete(row_id))
                    throughout.discard(row_id)
                else:
                    change = upsert((row_id, (1, 1)), metadata={"kept": True})
                    written = nodes[0].write("demo", "words", change)
                    history.setdefault(row_id, set()).add(int(written.sequence.partition(".")[2]))
        assert seen == sorted(set(seen)), "in the order of their ids, and none twice"
        assert throughout <= set(seen) <= set(history)


def pages(nodes: tuple[VectorStore, VectorStore], dice: random.Random) -> Iterator[Rows]:
    """All pages, each from either node; the first one as fresh as can be."""
    cursor: str | None = None
    while True:
        request = Scroll(limit=dice.randint(1, 9), cursor=cursor, filter=dice.choice([None, {"kept": True}]))
        if cursor is None:
            request = Scroll(limit=request.limit, consistency="strong")
        page = dice.choice(nodes).scroll("demo", "words", request)
        yield page
        cursor = page.cursor
        if cursor is None:
            return
