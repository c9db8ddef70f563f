"""A simulated table of a class of the engine ``dynamodb``: every call can fail, be lost, come late, take the turn away.

In the place of `anfl.vectors.dynamodb.table.Table`, which tries again what fails; here what fails is 503 at once.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, TypeVar

import numpy as np

from anfl.problems import unavailable
from anfl.vectors.dynamodb.items import PARTITION, SORT, VALUES
from anfl.vectors.dynamodb.table import ConditionError, LaterError
from tests.fault.simulation.replicas import Replica
from tests.fault.simulation.world import World

LATE_SECONDS = 20.0
"""Within this time a transaction arrives, or never."""
INDEX_SECONDS = 1.0
"""By how much the index lags behind."""
_READS = 20
"""A page of rows takes so many of them, and more; and the real one tries again."""
Key = tuple[str, str]
T = TypeVar("T")
Entry = tuple[float, list[dict[str, Any]]]
_COMPARISON = re.compile(r"(#\w+) (=|<>|<=|<|>) (:\w+)")
_ABSENT = re.compile(r"attribute_not_exists\((#\w+)\)")


class ClassTable:
    """``journal``: when each write took effect, in order, as transactions have them.

    ``slow``: how likely a call takes its time, up to a second, so that more happens in between.
    """

    slow = 0.0

    def __init__(self, world: World, *, journal: list[Entry] | None = None) -> None:
        """:param journal: of all regions, where there are others."""
        self._world = world
        self.replica: Replica[Key] = Replica(self._index)
        self.items: Mapping[Key, dict[str, Any]] = self.replica.items
        self.journal: list[Entry] = [] if journal is None else journal
        self._indexed: list[tuple[float, dict[Key, dict[str, Any]]]] = []

    def get(self, keys: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """See `Table.get`."""
        self._ask("get")
        found = (self.items.get(_key_of(key)) for key in keys)
        answer = {item[SORT]["S"]: deepcopy(item) for item in found if item is not None}
        self._world.pause()
        return answer

    def write(self, writes: Iterable[Mapping[str, Any]]) -> None:
        """See `Table.write`."""
        for each in writes:
            ((kind, write),) = each.items()
            put = {"Put": {"Item": write["Item"]}} if kind == "PutRequest" else {"Delete": {"Key": write["Key"]}}
            self.transact([put])

    def transact(self, writes: Sequence[Mapping[str, Any]]) -> None:
        """See `Table.transact`."""
        world = self._world
        self._wait()
        chance, faults = world.random.random(), world.weather.outages
        if chance < faults / 3:
            self._fail("a transaction failed")
        if chance < 2 * faults / 3:
            due = world.seconds + LATE_SECONDS
            world.later(lambda: self._quietly(writes, due), most=LATE_SECONDS)
            self._fail("a transaction is late")
        self._carry_out(writes, world.seconds)
        if chance < faults:
            self._fail("a transaction has no answer")
        world.pause()

    def partition(
        self,
        partition: str,
        convert: Callable[[Any], T],
        *,
        after: str = "",
        limit: int | None = None,
        attributes: Sequence[str] = (),
        is_late: Callable[[], bool] = bool,
    ) -> Iterator[T]:
        """See `Table.partition`: a page at a time, between two of which others write."""
        while True:
            self._ask("query")
            page = sorted(key for key in self.items if key[0] == partition and key[1] > after)[: limit or 3]
            found = [deepcopy(self.items[key]) for key in page]
            self._world.pause()
            shown = ({name: item[name] for name in attributes or item if name in item} for item in found)
            yield from list(map(convert, shown))
            if len(page) < (limit or 3):
                return
            after = page[-1][1]
            if is_late():
                raise LaterError(after)

    def count(self, partition: str, *, condition: Mapping[str, Any]) -> int:
        """See `Table.count`."""
        return sum(_of(condition, item) for item in self.partition(partition, dict))

    def search(
        self, vector: Sequence[Mapping[str, str]], *, top: int, equal: Mapping[str, Any], attributes: Sequence[str]
    ) -> list[Any]:
        """See `Table.search`, for Euclidean distances."""
        self._ask("search")
        query = _numbers(vector)
        seen = self._seen()
        items = [item for item in seen.values() if VALUES in item and all(item.get(n) == v for n, v in equal.items())]
        scored = sorted((float(np.linalg.norm(_numbers(item[VALUES]["L"]) - query)), item[SORT]["S"]) for item in items)
        by_id = {item[SORT]["S"]: item for item in items}
        self._world.pause()
        return [
            {"Score": score, "Item": {name: by_id[row][name] for name in attributes if name in by_id[row]}}
            for score, row in scored[:top]
        ]

    def _seen(self) -> Mapping[Key, dict[str, Any]]:
        """As the index has it."""
        if self._world.random.random() < 0.5:
            return self.items
        return next(
            (items for moment, items in reversed(self._indexed) if moment < self._world.seconds - INDEX_SECONDS), {}
        )

    def _carry_out(self, writes: Sequence[Mapping[str, Any]], moment: float) -> None:
        failed = []
        for place, each in enumerate(writes):
            ((_, write),) = each.items()
            item = self.items.get(_key_of(write.get("Item") or write["Key"]), {})
            if "ConditionExpression" in write and not _holds(write, item):
                failed.append(place)
        if failed:
            raise ConditionError(tuple(failed))
        for each in writes:
            ((kind, write),) = each.items()
            if kind == "Put":
                self.replica.write(_key_of(write["Item"]), deepcopy(write["Item"]))
            elif kind == "Delete":
                self.replica.write(_key_of(write["Key"]), None)
        self.journal.append((moment, [deepcopy(dict(each)) for each in writes]))
        self._index()

    def _index(self) -> None:
        self._indexed.append((self._world.seconds, dict(self.items)))

    def _quietly(self, writes: Sequence[Mapping[str, Any]], due: float) -> None:
        try:  # where nobody was awake, it arrived before
            self._carry_out(writes, min(due, self._world.seconds))
        except ConditionError:
            return

    def _wait(self) -> None:
        if self.slow and self._world.random.random() < self.slow:
            self._world.sleep(self._world.random.random())
        else:
            self._world.pause()

    def _ask(self, what: str) -> None:
        self._wait()
        if self._world.random.random() < self._world.weather.outages / _READS:
            self._fail(f"{what} failed")

    def _fail(self, text: str) -> None:
        self._world.note(f"{self._world.name}: {text}")
        raise unavailable("simulated", code="storage_unavailable")


def _of(condition: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    return _holds(
        {
            "ConditionExpression": condition["expression"],
            "ExpressionAttributeNames": condition["names"],
            "ExpressionAttributeValues": condition["values"],
        },
        item,
    )


def _holds(write: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    """Of conditions of the form ``a``, ``a OR b`` and ``a AND (b OR c)``."""
    names, values = write["ExpressionAttributeNames"], write["ExpressionAttributeValues"]

    def part(text: str) -> bool:
        absent = _ABSENT.fullmatch(text)
        if absent is not None:
            return names[absent[1]] not in item
        found = _COMPARISON.fullmatch(text)
        if found is None:
            raise ValueError(text)
        if names[found[1]] not in item:
            return False
        ((_, left),), ((_, right),) = item[names[found[1]]].items(), values[found[3]].items()
        return _COMPARE[found[2]](float(left), float(right))

    return all(
        any(map(part, each.strip("()").split(" OR "))) if " OR " in each else part(each)
        for each in write["ConditionExpression"].split(" AND ")
    )


_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<=": lambda a, b: a <= b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
}


def _numbers(vector: Sequence[Mapping[str, str]]) -> Any:
    return np.array([each["N"] for each in vector], dtype=np.float32).astype(np.float64)


def _key_of(item: Mapping[str, Any]) -> Key:
    return item[PARTITION]["S"], item[SORT]["S"]
