"""What DynamoDB answers where the same may succeed a moment later, and where it never will."""

from collections.abc import Callable
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from anfl.problems import Problem
from anfl.vectors.dynamodb.table import Table

KEY = {"pk": {"S": "p"}, "sk": {"S": "s"}}
PASSING = [
    (400, "ThrottlingException"),
    (400, "ProvisionedThroughputExceededException"),
    (500, "InternalServerError"),
    (503, "ServiceUnavailable"),
    (502, "502"),  # what stands in between has no words of DynamoDB's
    (504, "504"),
]
CALLS: dict[str, Callable[[Table], object]] = {
    "get": lambda table: table.get([KEY]),
    "write": lambda table: table.write([{"DeleteRequest": {"Key": KEY}}]),
    "transact": lambda table: table.transact([{"Delete": {"Key": KEY}}]),
    "partition": lambda table: list(table.partition("p", dict)),
    "count": lambda table: table.count("p", condition={}),
    "search": lambda table: table.search([{"N": "1"}], top=1, equal={"h": {"S": "h"}}, attributes=["sk"]),
}


class Client:
    """Fails so often, and then answers with nothing."""

    def __init__(self, error: Exception, *, times: int) -> None:
        self.error = error
        self.left = times
        self.tokens: set[str | None] = set()

    def __getattr__(self, _name: str) -> Callable[..., dict[str, Any]]:
        def call(**request: Any) -> dict[str, Any]:
            self.tokens.add(request.get("ClientRequestToken"))
            self.left -= 1
            if self.left >= 0:
                raise self.error
            return {"Responses": {}, "Items": [], "Count": 0, "SearchResults": []}

        return call


def error_of(status: int, code: str) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "call")  # type: ignore[typeddict-item]


def table_of(client: Client) -> Table:
    return Table(cast("Any", client), "small", sleep=lambda _seconds: None)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    "error",
    [*(error_of(*each) for each in PASSING), EndpointConnectionError(endpoint_url="http://127.0.0.1")],
    ids=[*(f"{status} {code}" for status, code in PASSING), "no connection"],
)
def test_what_may_pass_is_tried_again(call: Callable[[Table], object], error: Exception) -> None:
    client = Client(error, times=3)
    call(table_of(client))
    assert client.left == -1
    assert len(client.tokens) == 1  # of a transaction, so that it is carried out once


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException", "ValidationException"])
def test_what_does_not_is_told_at_once(call: Callable[[Table], object], code: str) -> None:
    client = Client(error_of(400, code), times=1)
    with pytest.raises(Problem) as refused:
        call(table_of(client))
    assert (refused.value.status, refused.value.code) == (503, "storage_unavailable")
    assert client.left == 0


def test_who_gets_some_of_what_was_asked_for_asks_for_the_rest_at_once() -> None:
    """DynamoDB answers with a megabyte of each partition at most, busy or not."""
    seconds, keys = [0.0], [{"pk": {"S": "p"}, "sk": {"S": str(number)}} for number in range(100)]
    slept: list[float] = []

    class Some:
        """Answers with five items, or carries out five writes, in as many seconds."""

        def batch_get_item(self, *, RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803 - boto3's
            asked = RequestItems["small"]["Keys"]
            seconds[0] += 5.0
            return {"Responses": {"small": asked[:5]}, "UnprocessedKeys": {"small": {"Keys": asked[5:]}}}

        def batch_write_item(self, *, RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803 - boto3's
            seconds[0] += 5.0
            return {"UnprocessedItems": {"small": RequestItems["small"][5:]}}

    table = Table(cast("Any", Some()), "small", sleep=slept.append, clock=lambda: seconds[0])
    assert table.get(keys).keys() == {str(number) for number in range(100)}
    table.write({"DeleteRequest": {"Key": key}} for key in keys)
    assert max(slept) < 0.1
