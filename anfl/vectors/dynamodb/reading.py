"""Reads of one class's collections: by id and in id order as of now, by distance as of a moment ago."""

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from itertools import batched, chain, islice, product

from anfl.vectors.clock import Clock
from anfl.vectors.dynamodb import items
from anfl.vectors.dynamodb.capabilities import MOST_MATCHES
from anfl.vectors.dynamodb.conditions import Equalities
from anfl.vectors.dynamodb.items import EXPIRES_AT, HASH, METADATA, SHARDS, SORT, StoredItem
from anfl.vectors.dynamodb.table import Table
from anfl.vectors.model import Collection, Metric, Values
from anfl.vectors.requests import can_be_an_id

BESIDE = 32
"""Searches of one query that are under way at a time; what they find is in memory until it is merged."""
SPARE = 10
"""Results beside those wanted: some may have expired, and where several are as far as the last one the ids decide."""


class Reader:
    """Safe for threads."""

    def __init__(self, table: Table, clock: Clock, together: Executor) -> None:
        """:param together: carries out searches, and reads of partitions, beside each other."""
        self._table = table
        self._clock = clock
        self._together = together

    def rows(self, collection: Collection, ids: Sequence[str]) -> dict[str, StoredItem]:
        """The rows of ``ids`` that there are."""
        now = self._clock.wall()
        possible = filter(can_be_an_id, dict.fromkeys(ids))  # of what is too long for a key DynamoDB says nothing else
        found = self._table.get([items.key_of(collection, row_id) for row_id in possible])
        rows = {row_id: items.decode(item) for row_id, item in found.items()}
        return {row_id: row for row_id, row in rows.items() if row.is_there(now)}

    def in_order(
        self,
        collection: Collection,
        *,
        after: str = "",
        page: int | None = None,
        values: bool = False,
        is_late: Callable[[], bool] = bool,
    ) -> Iterator[StoredItem]:
        """The rows behind ``after`` by id, read as they are taken; the first of each partition beside each other.

        :param page: rows of each partition that are read at a time.
        :param values: whether those are read, too.
        :param is_late: see `Table.partition`.
        :raises LaterError: what is not behind its ``after`` was shown.
        """
        now = self._clock.wall()
        attributes = () if values else items.WITHOUT_VALUES
        shards = [
            self._table.partition(
                items.partition_of(collection, shard),
                items.decode,
                after=after,
                limit=page,
                attributes=attributes,
                is_late=is_late,
            )
            for shard in range(SHARDS)
        ]
        for row in heapq.merge(*self._together.map(_begun, shards), key=_id):
            if row.is_there(now):
                yield row

    def count(self, collection: Collection) -> int:
        """How many rows there are. It reads all of them."""
        now = {"N": repr(self._clock.wall())}
        alive = {
            "expression": "attribute_not_exists(#e) OR #e > :now",
            "names": {"#e": EXPIRES_AT},
            "values": {":now": now},
        }

        def of(shard: int) -> int:
            partition = items.partition_of(collection, shard)
            return self._table.count(partition, condition=alive)

        return sum(self._together.map(of, range(SHARDS)))

    def nearest(
        self,
        collection: Collection,
        queries: Values,
        k: int,
        alternatives: Sequence[Equalities],
        *,
        skip: str | None,
        metadata: bool,
    ) -> Iterator[list[tuple[float, StoredItem]]]:
        """The nearest k rows to each of the ``queries`` (q, dimension) that one of the ``alternatives`` allows.

        Ascending by distance, then id; rows without values. They are searched for as they are taken, some beside each
        other.

        :param skip: an id to leave out.
        :param metadata: whether rows have theirs.
        """
        attributes = (SORT, EXPIRES_AT, METADATA) if metadata else (SORT, EXPIRES_AT)

        def search(task: tuple[Values, Equalities]) -> list[tuple[float, StoredItem]]:
            return self._search(collection, task[0], task[1], k, skip, attributes)

        width = len(alternatives)
        for some in batched(queries, max(BESIDE // max(width, 1), 1)):
            found = list(self._together.map(search, product(some, alternatives)))
            for number in range(len(some)):
                yield _merged(found[number * width : (number + 1) * width], k)

    def _search(
        self,
        collection: Collection,
        query: Values,
        equal: Equalities,
        k: int,
        skip: str | None,
        attributes: Sequence[str],
    ) -> list[tuple[float, StoredItem]]:
        vector = items.numbers(query)
        wanted = {HASH: {"S": items.hash_of(collection)}, **equal}
        convert = _CONVERSIONS[collection.settings.metric]
        for top in sorted({min(k + SPARE, MOST_MATCHES), MOST_MATCHES}):
            results = self._table.search(vector, top=top, equal=wanted, attributes=attributes)
            now = self._clock.wall()
            rows = [(convert(each["Score"]), items.decode(each["Item"])) for each in results]
            there = [(distance, row) for distance, row in rows if row.is_there(now) and row.id != skip]
            if len(results) < top or len(there) >= k:
                break
        return there


def _merged(found: Sequence[Sequence[tuple[float, StoredItem]]], k: int) -> list[tuple[float, StoredItem]]:
    nearest = {row.id: (distance, row) for part in found for distance, row in part}
    return sorted(nearest.values(), key=lambda each: (each[0], each[1].id))[:k]


def _begun(rows: Iterator[StoredItem]) -> Iterator[StoredItem]:
    """The same, of which the first page has been read."""
    return chain(list(islice(rows, 1)), rows)


def _id(row: StoredItem) -> str:
    return row.id


_CONVERSIONS: Mapping[Metric, Callable[[float], float]] = {
    Metric.COSINE: lambda score: max(0.0, score),
    Metric.L2: lambda score: score,
    Metric.IP: lambda score: -score,
}
"""From scores, which for the inner product grow with likeness."""
