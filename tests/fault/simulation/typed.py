"""A collection whose owner declares a field, and takes that back, while others write values of two types to it.

As long as the field is declared, no row contradicts it; and whatever became of who declared it, nothing is half done.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from anfl.problems import Problem
from anfl.vectors.model import Collection, CollectionSettings, FieldType, Metric, matches_type
from anfl.vectors.requests import CollectionPatch, Count, DeleteRows, NewRow, PatchRow, PatchRows, Scroll, Upsert
from anfl.vectors.store import VectorStore
from tests.fault.oracle import expect
from tests.fault.simulation.world import DAY

if TYPE_CHECKING:
    from tests.fault.simulation.round import Round

TENANT = "demo"
NAME = "typed"
FIELD = "x"
COLLECTION = Collection(
    tenant=TENANT,
    settings=CollectionSettings(name=NAME, dimension=2, metric=Metric.L2),
    incarnation="fedcba9876543210fedcba9876543210",
    created_at=1.0,
    epoch=1,
)
_IDS = [f"row{number}" for number in range(4)]
_VALUES: dict[FieldType, float | str] = {FieldType.NUMBER: 7, FieldType.STRING: "seven"}
_ACCEPTED = {"field_contradicted", "collection_changed", "field_not_ready", "version_conflict"}


class Declarer:
    """Its owner, at one of its nodes at a time."""

    def __init__(self, round_: "Round", begin: Callable[[], VectorStore]) -> None:
        self._round = round_
        self._begin = begin
        self._left = 12

    def live(self) -> None:
        """From a start to the end, or to a crash."""
        world = self._round.world
        store = self._begin()
        while self._left > 0:
            self._left -= 1
            kind = world.random.random()
            with _refusals():
                if kind < 0.5:
                    if world.random.random() < 0.5:  # so that nothing stands in its way
                        store.write(TENANT, NAME, DeleteRows(ids=_IDS))
                    fields = world.random.choice([{}, *({FIELD: declared} for declared in _VALUES)])
                    store.update(TENANT, NAME, CollectionPatch(fields=fields))
                elif kind < 0.8:
                    check(store)
                else:
                    store.hnsw.upkeep.once()
            world.sleep(world.random.choice([0.1, 1.0, 5.0]))


class Typist:
    """A process that writes what may or may not fit."""

    def __init__(self, round_: "Round", begin: Callable[[], VectorStore]) -> None:
        self._round = round_
        self._begin = begin
        self._left = 20

    def live(self) -> None:
        """From a start to the end, or to a crash."""
        world = self._round.world
        store = self._begin()
        while self._left > 0:
            self._left -= 1
            row_id, value = world.random.choice(_IDS), world.random.choice(list(_VALUES.values()))
            with _refusals():
                if world.random.random() < 0.7:
                    moment = world.random.choice([None, None, world.seconds + 100, world.seconds + 2 * DAY])
                    row = NewRow(id=row_id, values=[1.0, 1.0], metadata={FIELD: value}, expires_at=moment)
                    store.write(TENANT, NAME, Upsert(vectors=[row]))
                else:
                    store.write(TENANT, NAME, PatchRows(vectors=[PatchRow(id=row_id, metadata={FIELD: value})]))
            if world.random.random() < 0.3:
                with _refusals():
                    check(store)
            if world.random.random() < 0.2:
                store.hnsw.upkeep.once()
            world.sleep(world.random.choice([0.1, 0.5, 3.0]))


def check(store: VectorStore) -> None:
    """While the field is declared, no row contradicts it; while it is not ready, no filter can name it.

    :raises DivergenceError: it is not so.
    """
    before = store.describe(TENANT, NAME)
    rows = store.scroll(TENANT, NAME, Scroll(limit=1000, consistency="strong")).vectors
    wanted = {FIELD: {"$exists": True}}
    refused = False
    try:
        count = store.count(TENANT, NAME, Count(filter=wanted, consistency="strong")).count
    except Problem as problem:
        if problem.code != "field_not_ready":
            raise
        refused, count = True, 0
    after = store.describe(TENANT, NAME)
    if (before.revision, before.pending) != (after.revision, after.pending):
        return
    expect(refused == bool(before.building), f"a filter is {'' if refused else 'not '}refused of {before}")
    expect(refused or count <= len(_IDS), f"{count} of {len(_IDS)} rows have the field")
    declared = before.settings.fields.get(FIELD)
    wrong = [row.id for row in rows if declared and not matches_type((row.metadata or {}).get(FIELD), declared)]
    expect(not wrong, f"{FIELD} is declared as {declared}, and not so in {wrong}")


def judge(store: VectorStore) -> None:
    """In the end, whoever has the collection in memory brings what was begun to its end.

    :raises DivergenceError: it does not.
    """
    store.count(TENANT, NAME, Count(consistency="strong"))
    store.hnsw.upkeep.once()
    expect(not store.describe(TENANT, NAME).building, "a field is left half done")
    check(store)


@contextmanager
def _refusals() -> Iterator[None]:
    """What a caller has to live with: 503, a value that does not fit, and what somebody else has changed."""
    try:
        yield
    except Problem as problem:
        expect(problem.status in {400, 503} or problem.code in _ACCEPTED, str(problem))
