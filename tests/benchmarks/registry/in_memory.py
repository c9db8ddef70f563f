"""``python -m tests.benchmarks.registry.in_memory PORT MODELS``: the service over a store that answers from memory.

moto takes seconds for a megabyte of items, so searches over many models are measured without it: their whole time is
the service's own. The answers are those of botocore after it has parsed them.
"""

import bisect
import json
import re
import socket
import sys
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from anfl.auth.principal import Principal, Role
from anfl.http.serve import BACKLOG, configuration
from anfl.problems import Problem
from anfl.registry.registry import build_registry
from anfl.registry.table import encode
from anfl.resources import PARTITION_KEY, SORT_KEY
from services.model_registry.app import assemble
from tests.benchmarks.registry.filling import TENANT, rows

TOKEN = "bench"


class Bench:
    """Knows one token."""

    def cached(self, token: str) -> Principal | None:
        """See `anfl.http.service.Verifier`."""
        if token != TOKEN:
            return None
        return Principal(subject="b", tenant=TENANT, roles=frozenset({Role.ADMIN}), token_id="b", expires_at=2**40)

    def verify(self, token: str) -> Principal:
        """See `anfl.http.service.Verifier`."""
        raise Problem(401, "token_malformed", f"{token} is no token")


class Memory:
    """What searches ask of DynamoDB's client."""

    def __init__(self, models: int) -> None:
        self._keys: dict[str, list[str]] = defaultdict(list)
        self._items: dict[tuple[str, str], dict[str, Any]] = {}
        self._answers: dict[str, dict[str, Any]] = {}
        for row in sorted(rows(models), key=lambda row: (row[PARTITION_KEY], row[SORT_KEY])):
            self._keys[row[PARTITION_KEY]].append(row[SORT_KEY])
            # In order, and each text anew, as a parser makes them: where they lie in memory counts.
            self._items[row[PARTITION_KEY], row[SORT_KEY]] = json.loads(json.dumps(encode(row)))

    def query(self, **asked: Any) -> dict[str, Any]:
        """One page, whatever its size. Looked for once: what DynamoDB takes is no time of the service."""
        key = repr(asked)
        if key not in self._answers:
            self._answers[key] = {"Items": list(self._asked_for(asked))}
        return self._answers[key]

    def _asked_for(self, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        values = asked["ExpressionAttributeValues"]
        partition, prefix = values[":p"]["S"], values.get(":s", {}).get("S", "")
        listed = self._keys[partition]
        found = listed[bisect.bisect_left(listed, prefix) : bisect.bisect_left(listed, prefix + "\U0010ffff")]
        names = asked["ExpressionAttributeNames"]
        groups = [
            [(names[held], values[name]["S"]) for held, name in re.findall(r"contains\((#\w), (:f\d+)\)", either)]
            for either in asked.get("FilterExpression", "").split(" AND ")
        ]
        shown = {names[name] for name in asked.get("ProjectionExpression", "").split(", ") if name}
        for sort in found if asked["ScanIndexForward"] else found[::-1]:
            item = self._items[partition, sort]
            if all(not group or any(text in item[held]["S"] for held, text in group) for group in groups):
                yield {name: value for name, value in item.items() if name in shown} if shown else item

    def get_item(self, **asked: Any) -> dict[str, Any]:
        """One item."""
        item = self._items.get(_place(asked["Key"]))
        return {} if item is None else {"Item": item}

    def batch_get_item(self, **asked: Any) -> dict[str, Any]:
        """Those of the items that there are."""
        ((table, wanted),) = asked["RequestItems"].items()
        return {"Responses": {table: [self._items[p] for p in map(_place, wanted["Keys"]) if p in self._items]}}


def _place(key: dict[str, Any]) -> tuple[str, str]:
    return key[PARTITION_KEY]["S"], key[SORT_KEY]["S"]


def main(port: int, models: int) -> None:
    """Serve."""
    import uvicorn

    store: Any = Memory(models)
    service = assemble(build_registry(table="t", dynamodb=store, bucket="b", s3=store), verifier=Bench())
    with socket.create_server(("127.0.0.1", port), backlog=BACKLOG) as listener:
        uvicorn.Server(configuration(service)).run(sockets=[listener])


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
