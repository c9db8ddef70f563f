"""How many live entries of the deny-list each tenant has made: a counter for each hour and region.

In the auth table's partition ``revocations``, by ``<tenant>/own/<hour>/<region>``, and ``others`` for logins of others.
Every function and service holds the whole list in memory, so a tenant's share of it is limited: one half each, because
anybody may log in and revoke that without end, and would keep those from revoking who operate the tenant. A counter
expires with the last entry that it counts; as for every item of the table, one region writes it. Counting is right
however many calls count at once; over the limit goes only what regions count within the second in which they do not see
each other yet, or calls over the change of an hour.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from anfl import aws
from anfl.items import Attributes, Items
from anfl.resources import AuthPartition

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_HOUR = 3600


class RevocationCounts:
    """Those that one region counts, and sees. Methods raise botocore's errors."""

    def __init__(
        self,
        *,
        table: str,
        region: str,
        most: int,
        session: int,
        client: "DynamoDBClient | None" = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """:param most: live entries of a tenant, in both halves.

        :param session: seconds, the longest that one lives.
        """
        client = client or aws.session().client("dynamodb", config=aws.soon())
        self._items = Items(client, table=table, partition=AuthPartition.REVOCATIONS)
        self._region = region
        self._most = most // 2
        self._session = session
        self._clock = clock

    def add(self, tenant: str, *, own: bool = False, beyond: bool = False) -> int | None:
        """Count one more; before its entry is written, so that none is ever missed.

        :param own: it is a login of who revokes it. :param beyond: also over the limit.
        :returns: None: counted. Otherwise in how many seconds the tenant has room again.
        """
        now = int(self._clock())
        half = _half(tenant, own=own)
        key, ends = self._current(half, now)
        found = dict(self._items.all(beginning=half))
        alive = {name: item for name, item in found.items() if _number(item, "expires_at") > now}
        room = self._most - sum(_number(item, "count") for name, item in alive.items() if name != key)
        condition = "attribute_not_exists(#count) OR #count < :room"
        if (beyond or room > 0) and self._change(
            key, 1, ends=ends, room=2**53 if beyond else room, condition=condition
        ):
            return None
        return min((_number(item, "expires_at") for item in alive.values()), default=ends) - now

    def take_back(self, tenant: str, *, own: bool = False) -> None:
        """Count one less: its entry was there already. Later than the hour of `add` it is left counted."""
        key, ends = self._current(_half(tenant, own=own), int(self._clock()))
        self._change(key, -1, ends=ends, room=0, condition="#count > :room")

    def _current(self, half: str, now: int) -> tuple[str, int]:
        """Key of the counter, and when it expires."""
        hour = now // _HOUR
        return f"{half}{hour}/{self._region}", (hour + 1) * _HOUR + self._session

    def _change(self, key: str, by: int, *, ends: int, room: int, condition: str) -> bool:
        return self._items.update(
            key,
            "ADD #count :by SET #expires_at = :ends",
            condition=condition,
            names=("count", "expires_at"),
            values={":by": {"N": str(by)}, ":ends": {"N": str(ends)}, ":room": {"N": str(room)}},
        )


def _half(tenant: str, *, own: bool) -> str:
    """What the keys of its counters begin with. No tenant's name holds a slash."""
    return f"{tenant}/{'own' if own else 'others'}/"


def _number(item: Attributes, name: str) -> int:
    return int(item[name]["N"])
