"""A client of DynamoDB that fails as DynamoDB does: before, after, and in part."""

import random
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

_SEARCHES = frozenset({"search_vectors"})


class Faulty:
    """Passes calls on to ``client``; each fails with the probability ``rate``, up to three times in a row."""

    def __init__(self, client: Any, dice: random.Random, rate: float) -> None:
        self._client = client
        self._dice = dice
        self._rate = rate
        self._row = 0
        self.failed = 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda **request: self._call(name, request)

    def _call(self, name: str, request: dict[str, Any]) -> Any:
        if self._row >= 3 or self._dice.random() >= self._rate:
            self._row = 0
            return getattr(self._client, name)(**request)
        self._row += 1
        self.failed += 1
        fault = self._dice.choice(["throttled", "lost", "part"])
        if fault == "lost":  # it was carried out, and the answer does not come
            getattr(self._client, name)(**request)
            raise ReadTimeoutError(endpoint_url="http://127.0.0.1")
        if fault == "part" and name == "batch_write_item":
            ((table, writes),) = request["RequestItems"].items()
            done, left = writes[: len(writes) // 2], writes[len(writes) // 2 :]
            if done:
                self._client.batch_write_item(RequestItems={table: done})
            return {"UnprocessedItems": {table: left}}
        if fault == "part" and name == "batch_get_item":
            ((table, wanted),) = request["RequestItems"].items()
            keys = wanted["Keys"]
            left = {**wanted, "Keys": keys[len(keys) // 2 :]}
            done = keys[: len(keys) // 2]
            answer = self._client.batch_get_item(RequestItems={table: {**wanted, "Keys": done}}) if done else {}
            return {"Responses": answer.get("Responses", {}), "UnprocessedKeys": {table: left}}
        if fault == "part" and name == "transact_write_items":
            raise _error("TransactionCanceledException", CancellationReasons=[{"Code": "TransactionConflict"}])
        if fault == "part" and name in _SEARCHES:
            raise _error("ValidationException", "The table does not have the specified index: nearest")
        raise _error("ThrottlingException")


def _error(code: str, message: str = "", **more: Any) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}, **more}, "operation")  # type: ignore[typeddict-item]
