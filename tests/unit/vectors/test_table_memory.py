"""What reads of a table of the engine ``dynamodb`` keep in memory."""

from itertools import islice
from typing import Any, cast
from weakref import ref

from anfl.vectors.dynamodb.table import Table


class Parsed(dict[str, Any]):
    """An item as an answer has it, which can be watched."""


class Client:
    """Of a table with two pages of three items."""

    def __init__(self) -> None:
        self._told: list[ref[Parsed]] = []

    @property
    def alive(self) -> int:
        """How many items are still somewhere."""
        return sum(each() is not None for each in self._told)

    def query(self, **request: Any) -> dict[str, Any]:
        """See boto3."""
        first = "ExclusiveStartKey" not in request
        page = [Parsed(sk={"S": f"{number + 3 * (not first)}"}) for number in range(3)]
        self._told += map(ref, page)
        return {"Items": page, "Count": 3} | ({"LastEvaluatedKey": {"sk": {"S": "2"}}} if first else {})


def test_of_a_page_only_what_is_made_of_its_items_is_kept() -> None:
    client = Client()
    rows = Table(cast("Any", client), "small").partition("p", lambda item: str(item["sk"]["S"]))
    for number in range(2):
        assert list(islice(rows, 1)) == [str(3 * number)]
        assert not client.alive, "items with values take dozens of times as much memory as the values"
        list(islice(rows, 2))
