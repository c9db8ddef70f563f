"""What the calls about a collection ask of its engine. Names, settings, aliases, routing are none of its business."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from anfl.problems import invalid
from anfl.vectors.batch import AppliedRequest
from anfl.vectors.changes import Change
from anfl.vectors.model import Collection, CollectionSettings, Values
from anfl.vectors.requests import (
    Answer,
    CollectionPatch,
    Count,
    Counted,
    DeleteRows,
    Deletion,
    Fetch,
    Query,
    Results,
    Rows,
    Scroll,
    Stats,
    Written,
)


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What was written between two positions: ids of rows that may be others, or gone, and requests carried out."""

    position: str
    ids: Sequence[str] = ()
    requests: Sequence[AppliedRequest] = ()
    behind: int = 0
    """How many batches came after those, when it was looked at."""


@dataclass(frozen=True, kw_only=True)
class RequestPage:
    """Some of the requests that are remembered. ``cursor`` leads to those behind them."""

    requests: Sequence[AppliedRequest]
    cursor: str
    more: bool


class Engine(Protocol):
    """Keeps the rows of collections and answers about them. Safe for threads.

    ``collection`` is what the catalogue has, not older than the request allows. Every method raises `Problem`.
    """

    on_nodes: bool
    """Whether nodes have collections in their memory, so that it matters which one is asked."""
    follows: bool
    """Whether `changes` tells what was written."""

    def place(self, settings: CollectionSettings) -> str | None:
        """Where a collection that is to be made will be, for the catalogue to remember (`Collection.engine_class`).

        What its settings ask for and the engine has not is 400.
        """

    def check(self, collection: Collection, change: Change) -> None:
        """Refuse what is wrong with a change, whatever rows there are: 400, 413 naming the row and field."""

    def check_home(self, collection: Collection) -> None:
        """Refuse what has to be done in another region: 409 ``written_elsewhere``."""

    def write(self, collection: Collection, change: Change, *, filling: int | None = None) -> Written:
        """Upsert, patch, or delete by ids or by filter: all or nothing. When this returns, it is there for good.

        :param filling: the round of who fills the collection (`anfl.vectors.moving`).
        """

    def delete_later(self, collection: Collection, change: DeleteRows) -> Deletion | None:
        """Note for good that rows are to be deleted by filter; None: `write` does it at once."""

    def deletion(self, collection: Collection, deletion_id: str) -> Deletion:
        """How far a deletion is that was noted; 404 ``deletion_not_found``."""

    def query(self, collection: Collection, request: Query) -> Answer | Results:
        """The nearest rows to one vector, several, or a row."""

    def fetch(self, collection: Collection, request: Fetch) -> Rows:
        """Rows by id."""

    def scroll(self, collection: Collection, request: Scroll) -> Rows:
        """A page of rows in id order."""

    def count(self, collection: Collection, request: Count) -> Counted:
        """How many rows match."""

    def stats(self, collection: Collection) -> Stats:
        """Sizes and position."""

    def position(self, collection: Collection) -> str:
        """The position that answers have now."""

    def at_once(self, collection: Collection, request: Query | Fetch) -> Answer | Results | Rows | None:
        """As `query` or `fetch`, for an event loop; None where that would wait for anything, or compute for long."""

    def warm(self, collection: Collection) -> bool:
        """Begin to make it fast; returns whether it is."""

    def check_update(self, collection: Collection, patch: CollectionPatch) -> None:
        """Refuse changes that cannot be made, such as declarations that rows contradict: 409 ``field_contradicted``."""

    def check_snapshots(self) -> None:
        """Refuse, where there are no named snapshots."""

    def build_fields(self, collection: Collection) -> Collection:
        """Take the pending fields as far as it goes now; returns the collection as it is in the catalogue then.

        Can be repeated, by any process; see `anfl.vectors.backfill`.
        """

    def about_to_drop(self, collection: Collection) -> None:
        """It is about to go from the catalogue: note what must not be forgotten then."""

    def changes(self, collection: Collection, since: str | None, *, most: int) -> Changes | None:
        """What was written behind the position ``since``, about ``most`` rows of it; None where that is not known
        (any more). ``since`` None: nothing but the position, of a moment after this call began."""

    def requests(self, collection: Collection, after: str, *, most: int) -> RequestPage:
        """Request ids that are remembered, about ``most`` of those behind ``after``; of all of them, where it is empty.
        Where the engine does not follow, those that came meanwhile may be before it."""

    def remember(self, collection: Collection, requests: Sequence[AppliedRequest], *, filling: int) -> None:
        """Take requests for carried out; can be repeated. ``filling`` as for `write`."""

    def fence(self, collection: Collection) -> float:
        """See to it that whoever writes from now on knows what ``collection`` says of moving and filling; can be
        repeated. Returns for how many seconds ordinary writes may still come whose writers did not know."""

    def exact(self, collection: Collection, queries: Values, k: int) -> list[list[tuple[float, str]]]:
        """The nearest ``k`` rows, as of now, to each of the ``queries`` (q, dimension), every row compared: distances
        in float64 and ids, ascending."""

    def drop(self, collection: Collection) -> None:
        """It has gone from the catalogue: let no write begin any more, and remove everything of it."""


class Engines:
    """Those there are, by the name that a collection's settings say."""

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self._engines = engines

    def of(self, collection: Collection) -> Engine:
        """The engine of a collection."""
        return self._engines[collection.settings.engine]

    def place(self, settings: CollectionSettings) -> str | None:
        """See `Engine.place`.

        :raises Problem: 400, there is no such engine, naming those there are; or as there.
        """
        engine = self._engines.get(settings.engine)
        if engine is None:
            there = ", ".join(self._engines)
            raise invalid(f"There is no engine {settings.engine}; there are: {there}.", field="engine")
        return engine.place(settings)
