"""Somebody who makes, changes and deletes a collection of its own, while the table fails and the bucket is swept.

One caller, who does one thing after the other on either of two nodes, so that what has to be true is always known. Of a
call without an answer it is known once nothing of it can arrive any more: it happened as a whole, or not at all.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from anfl.vectors.janitor import Janitor
from anfl.vectors.model import Collection, CollectionSettings, Metric
from anfl.vectors.named import ORPHAN_SECONDS
from anfl.vectors.requests import CollectionPatch, Fetch, IndexPatch, NewRow, Upsert
from anfl.vectors.store import VectorStore
from tests.fault.oracle import expect
from tests.fault.simulation.actors import outages
from tests.fault.simulation.table import LATE_SECONDS
from tests.fault.simulation.world import DAY

if TYPE_CHECKING:
    from tests.fault.simulation.round import Round

TENANT = "demo"
NAME = "others"
ALIAS = "live"
_SETTINGS = CollectionSettings(name=NAME, dimension=2, metric=Metric.L2)


class Owner:
    """Its memory outlives its processes: what it was doing when it was killed may have happened."""

    def __init__(self, round_: "Round", begins: Sequence[Callable[[], VectorStore]]) -> None:
        self._round = round_
        self._begins = begins
        self._left = 30
        self._number = 0
        self._collection: Collection | None = None
        """What the catalogue has to have."""
        self._alias = False
        self._doubt: Callable[[Collection | None], bool] | None = None
        """What the catalogue may have, where the last call had no answer."""
        self._rows: set[str] = set()
        """Acknowledged."""
        self._asked: set[str] = set()

    def live(self) -> None:
        """From a start to the end, or to a crash."""
        world = self._round.world
        self._settle()
        stores = [begin() for begin in self._begins]
        while self._left > 0:
            self._left -= 1
            self._step(world.random.choice(stores), world.random.random())
            if world.random.random() < 0.3:
                world.sleep(world.random.choice([2.0, 400.0, 7200.0, DAY]))

    def judge(self, store: VectorStore, janitor: Janitor) -> None:
        """In the end everything is as it has to be, and nothing is left of what was deleted.

        :raises DivergenceError: it is not so.
        """
        world = self._round.world
        expect(self._round.registered(NAME) == self._collection, f"the catalogue has not {self._collection}")
        self._read(store)
        world.sleep(3 * ORPHAN_SECONDS)
        janitor.sweep(now=world.seconds)
        own = "" if self._collection is None else self._collection.prefix
        left = [key for key in self._round.home.objects if key.startswith(f"{TENANT}/{NAME}/")]
        expect(all(own and key.startswith(own) for key in left), f"of deleted collections there is left: {left}")
        self._read(store)

    def _step(self, store: VectorStore, kind: float) -> None:
        if self._collection is None:
            self._create(store)
        elif kind < 0.4:
            self._write(store)
        elif kind < 0.6:
            with outages():
                self._read(store)
        elif kind < 0.7:
            self._update(store, self._collection)
        elif kind < 0.8:
            self._name(store)
        else:
            self._delete(store, self._collection)

    def _create(self, store: VectorStore) -> None:
        with self._changing(lambda found: found is None or found.settings == _SETTINGS):
            self._become(store.create(TENANT, _SETTINGS)[0])

    def _delete(self, store: VectorStore, before: Collection) -> None:
        with self._changing(lambda found: found in (before, None)):
            store.delete(TENANT, NAME)
            self._alias = False
            expect(not self._round.has(ALIAS), "an alias of what is deleted is left")
            self._become(None)

    def _update(self, store: VectorStore, before: Collection) -> None:
        index = IndexPatch(ef_search=self._round.world.random.randint(10, 500))
        wanted = msgspec.structs.replace(before.settings.index, ef_search=index.ef_search)
        after = msgspec.structs.replace(
            before,
            settings=msgspec.structs.replace(before.settings, index=wanted),
            revision=before.revision + (wanted != before.settings.index),
        )
        with self._changing(lambda found: found in (before, after)):
            self._collection = store.update(TENANT, NAME, CollectionPatch(index=index))
            expect(self._collection == after, f"{self._collection} is not {after}")

    def _name(self, store: VectorStore) -> None:
        before = self._collection
        with self._changing(lambda found: found == before):
            if self._alias:
                store.delete_alias(TENANT, ALIAS)
            else:
                store.set_alias(TENANT, ALIAS, NAME)
            self._alias = not self._alias

    @contextmanager
    def _changing(self, allowed: Callable[[Collection | None], bool]) -> Iterator[None]:
        """Inside, something changes in the catalogue: with an answer, or not."""
        self._doubt = allowed
        with outages():
            yield
            self._doubt = None
        self._settle()

    def _settle(self) -> None:
        """Look what became of what had no answer, once nothing of it can arrive any more."""
        if self._doubt is None:
            return
        self._round.world.sleep(LATE_SECONDS + 1)
        found = self._round.registered(NAME)
        expect(self._doubt(found), f"half a change: {found}")
        self._alias = self._round.has(ALIAS)
        expect(found is not None or not self._alias, "an alias of what is deleted is left")
        if found is None or self._collection is None or found.incarnation != self._collection.incarnation:
            self._become(found)
        self._collection = found
        self._doubt = None

    def _become(self, collection: Collection | None) -> None:
        self._round.world.note(f"the owner has {collection.incarnation if collection else 'nothing'}")
        self._collection = collection
        self._rows, self._asked = set(), set()

    def _write(self, store: VectorStore) -> None:
        self._number += 1
        row_id = f"row{self._number}"
        self._asked.add(row_id)
        for _ in range(3):
            with outages():
                store.write(TENANT, self._some_name(), Upsert(vectors=[_row(row_id)], request_id=row_id))
                self._rows.add(row_id)
                self._round.world.note(f"the owner's {row_id} is acknowledged")
                return

    def _read(self, store: VectorStore) -> None:
        if self._collection is None:
            return
        name = self._some_name()
        described = store.describe(TENANT, name)
        expect(described == self._collection, f"{name} is described as {described}, not {self._collection}")
        fetch = Fetch(ids=[*sorted(self._asked), "never"], consistency="strong")
        found = {row.id for row in store.fetch(TENANT, name, fetch).vectors}
        expect(self._rows <= found <= self._asked, f"{name} has {found}, not {self._rows}")

    def _some_name(self) -> str:
        return ALIAS if self._alias and self._round.world.random.random() < 0.5 else NAME


def _row(row_id: str) -> NewRow:
    return NewRow(id=row_id, values=[1.0, 1.0])
