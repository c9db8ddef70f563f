"""``ClientRequestToken``: for ten minutes, a transaction that comes again under its token is not carried out again.

boto3 sends one with every transaction, the same one when it tries again.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec
from moto.core.responses import ActionResult
from moto.dynamodb.exceptions import DynamodbException
from moto.dynamodb.responses import DynamoHandler

Carry = Callable[[DynamoHandler], ActionResult]
KEPT_SECONDS = 600
MOST = 100_000


class MismatchError(DynamodbException):
    """A token was used for another transaction."""

    def __init__(self) -> None:
        super().__init__(
            "com.amazonaws.dynamodb.v20120810#IdempotentParameterMismatchException",
            "The request token was used with other parameters.",
        )


class Tokens:
    """Those of transactions that were carried out. Used by one request at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[tuple[str, str], tuple[float, bytes, ActionResult]] = OrderedDict()

    def once(self, carry: Carry) -> Carry:
        """``carry``, for each token once."""

        def transact(handler: DynamoHandler) -> ActionResult:
            token = handler.body.get("ClientRequestToken")
            if token is None:
                return carry(handler)
            key, digest = (handler.region, token), _digest(handler.body["TransactItems"])
            self._forget()
            if key in self._known:
                _, before, answer = self._known[key]
                if before != digest:
                    raise MismatchError
                return answer
            answer = carry(handler)
            self._known[key] = (self._clock(), digest, answer)
            return answer

        return transact

    def _forget(self) -> None:
        oldest = self._clock() - KEPT_SECONDS
        while self._known and (len(self._known) > MOST or next(iter(self._known.values()))[0] < oldest):
            self._known.popitem(last=False)


def _digest(items: Any) -> bytes:  # noqa: ANN401 - as it came: a hundred vectors are as many megabytes in memory
    return hashlib.sha256(msgspec.json.encode(items, order="sorted")).digest()
