"""Numbers that transactions check, so that one which has been on its way for however long is refused.

A transaction gets in the way of another that holds one of its items, if only as a check (DynamoDB Developer Guide,
"Transaction conflict handling"). So each number stands in `PLACES` items of partitions of their own: a transaction
checks the one that its first row's id comes to, and all of them change in one transaction.

``pk = {tenant}#{incarnation}#{kind}#{place}``, ``sk`` the kind.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from anfl.problems import Problem
from anfl.vectors.dynamodb.items import PARTITION, SORT, hash_of
from anfl.vectors.dynamodb.table import ConditionError, Table
from anfl.vectors.model import Collection

PLACES = 96
"""As many as one transaction can change, and some to spare. Of ``n`` transactions at a time each meets another with a
probability of about ``n / PLACES``, and is tried again."""
_NUMBER = "number"


class Fence:
    """One kind of number, of each collection. Safe for threads."""

    def __init__(self, table: Table, kind: str) -> None:
        self._table = table
        self._kind = kind

    def advance(self, collection: Collection, number: int) -> None:
        """Let transactions that know less be refused from now on; can be repeated."""
        value = {"N": str(number)}
        put = {
            "ConditionExpression": "attribute_not_exists(#p) OR #n < :n",
            "ExpressionAttributeNames": {"#p": PARTITION, "#n": _NUMBER},
            "ExpressionAttributeValues": {":n": value},
        }
        keys = (self._key(collection, place) for place in range(PLACES))
        try:
            self._table.transact([{"Put": {"Item": {**key, _NUMBER: value}, **put}} for key in keys])
        except ConditionError:  # it is the present one, or a later one stands there
            return

    def check(self, collection: Collection, number: int, *, by: str, only: bool) -> dict[str, Any]:
        """What a transaction holds beside its writes.

        :param by: what tells which item is checked, such as a row's id.
        :param only: whether the number has to be there, and this one; else it may be less, or none.
        """
        names = {"#n": _NUMBER} if only else {"#n": _NUMBER, "#p": PARTITION}
        return {
            "ConditionCheck": {
                "Key": self._key(collection, zlib.crc32(by.encode()) % PLACES),
                "ConditionExpression": "#n = :n" if only else "attribute_not_exists(#p) OR #n <= :n",
                "ExpressionAttributeNames": names,
                "ExpressionAttributeValues": {":n": {"N": str(number)}},
            }
        }

    def number(self, collection: Collection) -> int | None:
        """The number that stands there; newer than anything acknowledged."""
        found = self._table.get([self._key(collection, 0)]).get(self._kind)
        return None if found is None else int(found[_NUMBER]["N"])

    def remove(self, collection: Collection) -> None:
        """Forget the number."""
        self._table.write({"DeleteRequest": {"Key": self._key(collection, place)}} for place in range(PLACES))

    def _key(self, collection: Collection, place: int) -> dict[str, Any]:
        return {PARTITION: {"S": f"{hash_of(collection)}#{self._kind}#{place:02}"}, SORT: {"S": self._kind}}


@dataclass(frozen=True, kw_only=True)
class Guard:
    """Lets a process write to ``collection`` that knows ``number``, and as long as the fence does not say otherwise."""

    fence: Fence
    collection: Collection
    number: int
    only: bool
    """Whether it has to be this very number."""
    refusal: Callable[[], Problem]

    def transact(self, table: Table, writes: Sequence[dict[str, Any]], *, by: str) -> None:
        """Carry out ``writes``, if the fence lets them pass.

        :param by: see `Fence.check`.
        :raises ConditionError: one of theirs fails.
        :raises Problem: the fence says otherwise; 503.
        """
        try:
            table.transact([*writes, self.fence.check(self.collection, self.number, by=by, only=self.only)])
        except ConditionError as error:
            if len(writes) in error.failed:
                raise self.refusal() from error
            raise

    def look(self) -> None:
        """Ask once more, after a transaction that had no room for the check.

        :raises Problem: the fence says otherwise by now; 503.
        """
        found = self.fence.number(self.collection)
        if found != self.number if self.only else found is not None and found > self.number:
            raise self.refusal()
