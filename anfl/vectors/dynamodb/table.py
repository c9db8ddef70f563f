"""The table of a class: reads, writes and searches that are tried again until they are done, or said to have failed.

DynamoDB refuses parts of what is asked when it is busy: unprocessed keys and items, throttling, transactions in each
other's way. Nothing of that reaches a caller; what lasts too long is 503 ``storage_unavailable``.
"""

import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import batched
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from anfl.problems import Problem, unavailable
from anfl.resources import VECTOR_INDEX
from anfl.vectors import pace
from anfl.vectors.dynamodb.items import PARTITION, SORT, Item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MOST_READ, MOST_WRITTEN, MOST_TOGETHER = 100, 25, 100
"""Items of a BatchGetItem, of a BatchWriteItem, of a transaction."""
MOST_PAGE = 500
"""Items of a page, where it could be a megabyte and less is to be asked for."""
LEAST_PAGE = 16
"""What asks for as few is no faster for fewer, and has to ask more often."""
PATIENCE_SECONDS = 8.0
"""How long something is tried again."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
_BUSY = frozenset(
    {
        "InternalServerError",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingError",
        "ThrottlingException",
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
T = TypeVar("T")


class ConditionError(Exception):
    """Conditions of a transaction do not hold; nothing was written. ``failed``: the places of those writes in it."""

    def __init__(self, failed: tuple[int, ...]) -> None:
        super().__init__(failed)
        self.failed = failed


class LaterError(Exception):
    """Reading on would take longer than there is time for. ``after``: the sort key up to which it was read."""

    def __init__(self, after: str) -> None:
        super().__init__(after)
        self.after = after


class Table:
    """Safe for threads. Every method raises `Problem` 503 ``storage_unavailable`` where DynamoDB does not answer."""

    def __init__(
        self,
        client: "DynamoDBClient",
        name: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._name = name
        self._sleep = sleep
        self._clock = clock
        self._slowdown = 0
        """How often less was to be asked for lately (`anfl.vectors.pace`)."""

    def get(self, keys: Sequence[Mapping[str, Any]]) -> dict[str, Item]:
        """The items of distinct ``keys`` that there are, by sort key; newer than anything acknowledged."""
        found: dict[str, Item] = {}
        for some in batched(keys, MOST_READ):
            for wanted in self._rests(list(some)):
                request: Any = {self._name: {"Keys": wanted, "ConsistentRead": True}}
                answer = self._once(partial(self._client.batch_get_item, RequestItems=request))
                if answer is not None:
                    for item in answer["Responses"].get(self._name, []):
                        found[item[SORT]["S"]] = item
                    left: Any = answer.get("UnprocessedKeys", {})
                    wanted[:] = left[self._name]["Keys"] if left else []
        return found

    def write(self, writes: Iterable[Mapping[str, Any]]) -> None:
        """Carry out ``PutRequest`` and ``DeleteRequest``s of distinct keys, each by itself."""
        for some in batched(writes, MOST_WRITTEN):
            for left in self._rests(list(some)):
                request: Any = {self._name: left}
                answer = self._once(partial(self._client.batch_write_item, RequestItems=request))
                if answer is not None:
                    left[:] = answer.get("UnprocessedItems", {}).get(self._name, [])

    def transact(self, writes: Sequence[Mapping[str, Any]]) -> None:
        """Carry out up to 100 ``Put``, ``Update``, ``Delete`` and ``ConditionCheck`` together, or none of them.

        :raises ConditionError: conditions do not hold.
        """
        # The same token for each attempt: one whose answer got lost is not carried out again.
        token = uuid.uuid4().hex
        named: Any = [{kind: {"TableName": self._name, **write} for kind, write in each.items()} for each in writes]
        for pause in self._pauses():
            try:
                self._client.transact_write_items(TransactItems=named, ClientRequestToken=token)
            except ClientError as error:
                reasons = [str(each.get("Code")) for each in error.response.get("CancellationReasons", [])]
                failed = tuple(place for place, code in enumerate(reasons) if code == "ConditionalCheckFailed")
                if failed:
                    raise ConditionError(failed) from error
                if not (_is_busy(error) or any(code in _BUSY for code in reasons)):
                    raise _unavailable() from error
            except BotoCoreError:
                pass  # it may have been done; the token says so
            else:
                return
            self._sleep(pause)

    def partition(
        self,
        partition: str,
        convert: Callable[[Item], T],
        *,
        after: str = "",
        limit: int | None = None,
        attributes: Sequence[str] = (),
        is_late: Callable[[], bool] = bool,
    ) -> Iterator[T]:
        """The items of one partition behind the sort key ``after``, in its order, read as they are taken.

        :param convert: what to make of each item. Of a page it is made as the page comes, since an item of many values
            takes dozens of times as much memory as they do.
        :param limit: items a request; None: a megabyte. Fewer, while the table is slow.
        :param attributes: those to read; none: all.
        :param is_late: asked before each request but the first, whether it is not to be made any more.
        :raises LaterError: it is not.
        """
        request = self._of_partition(partition, after, None)
        if limit:
            request["Limit"] = limit
        if attributes:
            names = {f"#a{number}": name for number, name in enumerate(attributes)}
            request["ExpressionAttributeNames"] |= names
            request["ProjectionExpression"] = ", ".join(names)
        for page in self._pages(request):
            yield from list(map(convert, page.pop("Items")))
            if "LastEvaluatedKey" in page and is_late():
                raise LaterError(page["LastEvaluatedKey"][SORT]["S"])

    def count(self, partition: str, *, condition: Mapping[str, Any]) -> int:
        """How many items of one partition fulfil ``condition``."""
        request = self._of_partition(partition, "", condition) | {"Select": "COUNT"}
        return sum(int(page["Count"]) for page in self._pages(request))

    def _of_partition(self, partition: str, after: str, condition: Mapping[str, Any] | None) -> dict[str, Any]:
        names, values = {"#p": PARTITION}, {":p": {"S": partition}}
        expression = "#p = :p"
        if after:
            names["#s"], values[":s"] = SORT, {"S": after}
            expression += " AND #s > :s"
        request: dict[str, Any] = {
            "TableName": self._name,
            "KeyConditionExpression": expression,
            "ExpressionAttributeNames": names | (condition or {}).get("names", {}),
            "ExpressionAttributeValues": values | (condition or {}).get("values", {}),
            "ConsistentRead": True,
        }
        if condition:
            request["FilterExpression"] = condition["expression"]
        return request

    def _pages(self, request: dict[str, Any]) -> Iterator[Any]:
        most = request.pop("Limit", None)
        while True:
            page = self._tried(lambda: self._paced(request, most))
            yield page
            if "LastEvaluatedKey" not in page:
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def search(
        self, vector: Sequence[Mapping[str, str]], *, top: int, equal: Mapping[str, Any], attributes: Sequence[str]
    ) -> list[Any]:
        """What the vector index finds nearest, as ``SearchVectors`` tells it.

        :param equal: the value of each attribute that a row must have, the index's partition key among them.
        :param attributes: those to tell.
        """
        names = {f"#a{number}": name for number, name in enumerate(equal)}
        shown = {f"#s{number}": name for number, name in enumerate(attributes)}
        values = {f":a{number}": value for number, value in enumerate(equal.values())}
        request: Any = {
            "TableName": self._name,
            "IndexName": VECTOR_INDEX,
            "SearchVector": list(vector),
            "TopK": top,
            "SearchConditionExpression": " AND ".join(f"#a{number} = :a{number}" for number in range(len(equal))),
            "ProjectionExpression": ", ".join(shown),
            "ExpressionAttributeNames": names | shown,
            "ExpressionAttributeValues": values,
        }
        return list(self._tried(lambda: self._once(lambda: self._client.search_vectors(**request)))["SearchResults"])

    def _paced(self, request: Mapping[str, Any], most: int | None) -> Any | None:  # noqa: ANN401 - boto3's
        """A page of up to ``most`` items, or fewer; None where it is worth asking again."""
        began, slowdown = self._clock(), self._slowdown
        fewer = max(pace.of(most or MOST_PAGE, slowdown), min(most or MOST_PAGE, LEAST_PAGE))
        limit: dict[str, Any] = {"Limit": fewer} if most or slowdown else {}
        page = self._once(lambda: self._client.query(**request, **limit))
        self._slowdown = pace.slower(slowdown) if page is None else pace.after(slowdown, self._clock() - began)
        return page

    def _tried(self, attempt: Callable[[], T | None]) -> T:
        for pause in self._pauses():
            answer = attempt()
            if answer is not None:
                return answer
            self._sleep(pause)
        raise AssertionError("pauses end with an exception")

    def _once(self, call: Callable[[], T]) -> T | None:
        """The answer; None where it is worth asking again."""
        try:
            return call()
        except ClientError as error:
            if not _is_busy(error):
                raise _unavailable() from error
        except BotoCoreError:
            pass
        return None

    def _rests(self, left: list[Any]) -> Iterator[list[Any]]:
        """What is ``left``, until whoever takes it has left nothing; where it becomes less, there is patience anew.

        An answer has a megabyte of each partition at most: that it is not all does not say that the table is busy.

        :raises Problem: see `_pauses`.
        """
        pauses, before = self._pauses(), len(left)
        while left:
            yield left
            if len(left) < before:
                pauses, before = self._pauses(), len(left)
            if left:
                self._sleep(next(pauses))

    def _pauses(self) -> Iterator[float]:
        """How long to wait before each next attempt.

        :raises Problem: 503, it has been tried long enough.
        """
        end = self._clock() + PATIENCE_SECONDS
        longest = _FIRST_PAUSE
        while True:
            yield random.uniform(0, longest)  # noqa: S311 - jitter
            longest = min(2 * longest, _LONGEST_PAUSE)
            if self._clock() >= end:
                raise _unavailable()


def _is_busy(error: ClientError) -> bool:
    code = error.response["Error"]["Code"]
    if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:
        return True  # of DynamoDB, or of what stands in between, with whichever code
    if code == "ValidationException":  # the endpoint that searches may not know an index yet that is active
        return "does not have the specified index" in str(error) or "backfilling" in str(error)
    return code in _BUSY


def _unavailable() -> Problem:
    return unavailable("The table of the collection does not answer; try again.", code="storage_unavailable")
