"""The table's own calls where DynamoDB leaves something undone."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from anfl.problems import Problem
from anfl.registry.keys import Key
from anfl.registry.table import EXISTS, Check, LostRaceError, Table


class Busy:
    """Takes nothing at all, or one key at a time."""

    def __init__(self, *, takes: int) -> None:
        self._takes = takes
        self.calls = 0

    def batch_get_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803 - as botocore has it
        self.calls += 1
        keys = RequestItems["registry"]["Keys"]
        rest = keys[self._takes :]
        unprocessed = {"registry": {"Keys": rest}} if rest else {}
        return {"Responses": {"registry": keys[: self._takes]}, "UnprocessedKeys": unprocessed}

    def batch_write_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803 - as botocore has it
        self.calls += 1
        rest = RequestItems["registry"][self._takes :]
        return {"UnprocessedItems": {"registry": rest} if rest else {}}


@pytest.fixture(name="pauses")
def _pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr("anfl.registry.table.time.sleep", pauses.append)
    monkeypatch.setattr("anfl.registry.table.time.monotonic", lambda: sum(pauses))
    return pauses


KEYS = [{"pk": "acme#models", "sk": f"{number}"} for number in range(60)]
CALLS: list[Callable[[Table], object]] = [lambda table: table.get_many(KEYS), lambda table: table.remove(KEYS)]


@pytest.mark.parametrize("call", CALLS)
def test_who_is_given_nothing_for_long_is_told_to_come_again(
    call: Callable[[Table], object], pauses: list[float]
) -> None:
    with pytest.raises(Problem) as caught:
        call(Table(name="registry", client=Busy(takes=0)))  # type: ignore[arg-type]
    assert (caught.value.status, caught.value.headers()["retry-after"]) == (503, "1")
    assert 20 < sum(pauses) < 30
    assert max(pauses) <= 1
    assert len({*pauses}) == len(pauses), "processes that were refused together come again apart"


@pytest.mark.parametrize("call", CALLS)
def test_who_is_given_little_at_a_time_goes_on(call: Callable[[Table], object], pauses: list[float]) -> None:
    call(Table(name="registry", client=Busy(takes=1)))  # type: ignore[arg-type]
    assert len(pauses) >= 58
    assert max(pauses) < 0.1


def test_of_many_keys_that_are_removed_few_are_held(pauses: list[float]) -> None:
    """Those of a model's belongings come page by page from the table."""
    busy = Busy(takes=20)
    ahead: list[int] = []

    def keys() -> Iterator[Key]:
        for number in range(500):
            ahead.append(number - 20 * busy.calls)
            yield {"pk": "acme#model#1", "sk": f"{number}"}

    Table(name="registry", client=busy).remove(keys())  # type: ignore[arg-type]
    assert len(ahead) == 500
    assert max(ahead) <= 25
    assert pauses


@pytest.mark.parametrize("reason", ["ThrottlingError", "ProvisionedThroughputExceeded", "TransactionConflict"])
def test_a_transaction_that_was_throttled_is_begun_again(reason: str) -> None:
    class Throttled:
        def transact_write_items(self, **_: object) -> None:
            answer: Any = {
                "Error": {"Code": "TransactionCanceledException", "Message": "m"},
                "CancellationReasons": [{"Code": "None"}, {"Code": reason}],
            }
            raise ClientError(answer, "TransactWriteItems")

    with pytest.raises(LostRaceError):
        Table(name="registry", client=Throttled()).write(Check(key=KEYS[0], condition=EXISTS))  # type: ignore[arg-type]


@pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException", "TransactionCanceledException"])
def test_what_no_repetition_mends_is_told_as_it_is(code: str) -> None:
    class Refusing:
        def transact_write_items(self, **_: object) -> None:
            reasons = [{"Code": "ConditionalCheckFailed"}, {"Code": "ValidationError"}]
            answer: Any = {"Error": {"Code": code, "Message": "m"}, "CancellationReasons": reasons}
            raise ClientError(answer, "TransactWriteItems")

    with pytest.raises(ClientError):
        Table(name="registry", client=Refusing()).write(Check(key=KEYS[0], condition=EXISTS))  # type: ignore[arg-type]
