"""The round in which a collection is filled (`anfl.vectors.moving`), as an item that the move's transactions check.

So a transaction that has been on its way for however long is refused once the item says another round. Ordinary writes
do not look at it: they would get in each other's way.
"""

from typing import Any

from anfl.vectors.dynamodb.items import PARTITION, SORT, hash_of
from anfl.vectors.dynamodb.table import ConditionError, Table
from anfl.vectors.model import Collection

_NUMBER = "round"


class Rounds:
    """Safe for threads."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def begin(self, collection: Collection) -> None:
        """Let writes of earlier rounds than the collection's be refused; can be repeated."""
        if collection.filling is None:
            return
        number = {"N": str(collection.filling.round)}
        put = {
            "Item": {**_key(collection), _NUMBER: number},
            "ConditionExpression": "attribute_not_exists(#p) OR #n < :n",
            "ExpressionAttributeNames": {"#p": PARTITION, "#n": _NUMBER},
            "ExpressionAttributeValues": {":n": number},
        }
        try:
            self._table.transact([{"Put": put}])
        except ConditionError:  # it is the present one, or a later one has begun
            return

    def check(self, collection: Collection, number: int) -> dict[str, Any]:
        """What a transaction of a round holds beside its writes: the item as it is, which takes no right of its own."""
        value = {"N": str(number)}
        return {
            "Put": {
                "Item": {**_key(collection), _NUMBER: value},
                "ConditionExpression": "#n = :n",
                "ExpressionAttributeNames": {"#n": _NUMBER},
                "ExpressionAttributeValues": {":n": value},
            }
        }

    def end(self, collection: Collection) -> None:
        """Refuse writes of all rounds: the collection is gone."""
        self._table.write([{"DeleteRequest": {"Key": _key(collection)}}])


def _key(collection: Collection) -> dict[str, Any]:
    return {PARTITION: {"S": f"{hash_of(collection)}#round"}, SORT: {"S": "round"}}
