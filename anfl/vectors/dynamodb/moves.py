"""What moves (`anfl.vectors.moving`) ask of a class: request ids, rounds, and exact searches."""

from collections.abc import Sequence

from anfl.vectors.batch import AppliedRequest
from anfl.vectors.clock import Clock
from anfl.vectors.dynamodb.exact import nearest
from anfl.vectors.dynamodb.reading import Reader
from anfl.vectors.dynamodb.requests import Requests
from anfl.vectors.dynamodb.rounds import Rounds
from anfl.vectors.dynamodb.table import Table
from anfl.vectors.engines import RequestPage
from anfl.vectors.model import Collection, Values
from anfl.vectors.moving.access import check_writable


class Moves:
    """Safe for threads."""

    def __init__(self, table: Table, reader: Reader, clock: Clock) -> None:
        self.rounds = Rounds(table)
        self._requests = Requests(table)
        self._reader = reader
        self._clock = clock

    def requests(self, collection: Collection, after: str, *, most: int) -> RequestPage:
        """See `Engine.requests`."""
        return self._requests.page(collection, after, self._clock.wall(), most=most)

    def remember(self, collection: Collection, requests: Sequence[AppliedRequest], *, filling: int) -> None:
        """See `Engine.remember`. Whoever does so too late says nothing new."""
        check_writable(collection, filling=filling)
        self._requests.remember(collection, requests, self._clock.wall())

    def exact(self, collection: Collection, queries: Values, k: int) -> list[list[tuple[float, str]]]:
        """See `Engine.exact`."""
        rows = ((row.id, row.values) for row in self._reader.in_order(collection, values=True))
        return nearest(rows, queries, k, collection.settings.metric)
