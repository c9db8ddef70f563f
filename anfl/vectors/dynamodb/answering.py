"""The engine's part that answers: all but queries as of now."""

from anfl.problems import conflict
from anfl.vectors.clock import Clock
from anfl.vectors.dynamodb.pages import fetched, scrolled
from anfl.vectors.dynamodb.querying import matches
from anfl.vectors.dynamodb.tables import Classes
from anfl.vectors.filters import compile_filter
from anfl.vectors.model import Collection, Position
from anfl.vectors.refusals import Refusal
from anfl.vectors.requests import (
    Answer,
    Count,
    Counted,
    Fetch,
    MatchList,
    Query,
    Read,
    Results,
    Rows,
    Scroll,
    Stats,
    position_of,
)

NOWHERE = str(Position(0, 0))
"""There are no positions: this one is reached by every read."""


class Answering:
    """Reads of `anfl.vectors.engines.Engine`."""

    _classes: Classes
    _clock: Clock

    def query(self, collection: Collection, request: Query) -> Answer | Results:
        """See `Engine.query`: as the index was a moment ago."""
        _check_position(request)
        answers = matches(self._classes.of(collection).reader, collection, request)
        if request.vectors is None:
            return Answer(matches=answers[0], sequence=NOWHERE)
        return Results(results=[MatchList(matches=each) for each in answers], sequence=NOWHERE)

    def fetch(self, collection: Collection, request: Fetch) -> Rows:
        """See `Engine.fetch`; strong."""
        _check_position(request)
        return fetched(self._classes.of(collection).reader, collection, request, sequence=NOWHERE)

    def scroll(self, collection: Collection, request: Scroll) -> Rows:
        """See `Engine.scroll`; strong, each page by itself."""
        _check_position(request)
        reader = self._classes.of(collection).reader
        return scrolled(reader, collection, request, sequence=NOWHERE, clock=self._clock)

    def count(self, collection: Collection, request: Count) -> Counted:
        """See `Engine.count`; strong. It reads every row."""
        _check_position(request)
        reader = self._classes.of(collection).reader
        if not request.filter:
            return Counted(count=reader.count(collection), sequence=NOWHERE)
        wanted = compile_filter(request.filter)
        matching = sum(wanted(row.metadata) for row in reader.in_order(collection))
        return Counted(count=matching, sequence=NOWHERE)

    def stats(self, collection: Collection) -> Stats:
        """See `Engine.stats`: nothing of it is in this process's memory."""
        return Stats(
            rows=self._classes.of(collection).reader.count(collection),
            expired=0,
            unmerged_rows=0,
            segments=0,
            private_bytes=0,
            mapped_bytes=0,
            sequence=NOWHERE,
        )

    def position(self, _collection: Collection) -> str:
        """See `Engine.position`."""
        return NOWHERE

    def at_once(self, _collection: Collection, _request: Query | Fetch) -> None:
        """See `Engine.at_once`: everything waits for DynamoDB."""

    def warm(self, _collection: Collection) -> bool:
        """See `Engine.warm`: it always is."""
        return True


def _check_position(request: Read) -> None:
    """Refuse a position of what an alias stood for before, perhaps."""
    if request.min_sequence is not None and str(position_of(request.min_sequence)) != NOWHERE:
        detail = f"The position {request.min_sequence} is of another collection; here all are {NOWHERE}."
        raise conflict(detail, code=Refusal.HISTORY_LOST)
