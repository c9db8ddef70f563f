"""Request ids, as items beside the rows: written in the transaction that they name, so that it is carried out once."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from anfl.problems import conflict
from anfl.vectors.batch import AppliedRequest
from anfl.vectors.dynamodb.items import EXPIRES_AT, PARTITION, SORT, TTL, requests_of
from anfl.vectors.dynamodb.table import Table
from anfl.vectors.model import Collection
from anfl.vectors.refusals import Refusal
from anfl.vectors.state import REQUEST_SECONDS

_DIGEST, _COUNT = "digest", "count"


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """A request that was carried out."""

    digest: bytes
    count: int

    def check(self, digest: bytes) -> int:
        """Its answer.

        :raises Problem: 409 ``request_id_reused``, it asked for something else.
        """
        if self.digest != digest:
            raise conflict("This request_id was used for another request.", code=Refusal.REQUEST_ID_REUSED)
        return self.count


class Requests:
    """Those of the last 24 hours."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def find(self, collection: Collection, request_id: str, now: float) -> Earlier | None:
        """What was carried out under ``request_id``; newer than anything acknowledged."""
        item = self._table.get([_key(collection, request_id)]).get(request_id)
        if item is None or float(item[EXPIRES_AT]["N"]) <= now:
            return None
        return Earlier(digest=item[_DIGEST]["B"], count=int(item[_COUNT]["N"]))

    def page(self, collection: Collection, after: str, now: float, *, most: int) -> list[AppliedRequest]:
        """Up to ``most`` of those behind the id ``after``, by id."""
        items = self._table.partition(requests_of(collection), after=after, limit=most)
        alive = (item for item in items if float(item[EXPIRES_AT]["N"]) > now)
        return [
            AppliedRequest(request_id=item[SORT]["S"], digest=item[_DIGEST]["B"], count=int(item[_COUNT]["N"]))
            for item in islice(alive, most)
        ]

    def remember(self, collection: Collection, requests: Iterable[AppliedRequest], now: float) -> None:
        """Note requests that another collection has carried out."""
        distinct = {each.request_id: each for each in requests}
        self._table.write(
            {"PutRequest": {"Item": _item(collection, each.request_id, each.digest, each.count, now)}}
            for each in distinct.values()
        )

    def mark(self, collection: Collection, request_id: str, digest: bytes, count: int, now: float) -> dict[str, Any]:
        """The write that notes it, in the transaction that carries it out; its condition: nobody has done so."""
        return {
            "Put": {
                "Item": _item(collection, request_id, digest, count, now),
                "ConditionExpression": "attribute_not_exists(#p) OR #e <= :now",
                "ExpressionAttributeNames": {"#p": PARTITION, "#e": EXPIRES_AT},
                "ExpressionAttributeValues": {":now": {"N": repr(now)}},
            }
        }


def _item(collection: Collection, request_id: str, digest: bytes, count: int, now: float) -> dict[str, Any]:
    expires_at = now + REQUEST_SECONDS
    return {
        **_key(collection, request_id),
        _DIGEST: {"B": digest},
        _COUNT: {"N": str(count)},
        EXPIRES_AT: {"N": repr(expires_at)},
        TTL: {"N": str(int(expires_at) + 1)},
    }


def _key(collection: Collection, request_id: str) -> dict[str, Any]:
    return {PARTITION: {"S": requests_of(collection)}, SORT: {"S": request_id}}
