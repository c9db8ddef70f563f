"""``python -m tests.benchmarks.registry.in_memory PORT MODELS``: the service over a store that answers from memory.

moto takes seconds for a megabyte of items, so searches over many models are measured without it: their whole time is
the service's own. The answers are those of botocore after it has parsed them.
"""

import bisect
import dataclasses
import gc
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
from anfl.registry.marks import DOCUMENT
from anfl.registry.records import Records
from anfl.registry.registry import build_registry
from anfl.registry.search import Search, VersionPage
from anfl.registry.table import encode
from anfl.resources import PARTITION_KEY, SORT_KEY
from services.model_registry.app import assemble
from tests.benchmarks.registry.filling import TENANT, rows

CHANGED = 100
"""Models that change before each search of some tenants."""


MANY = f"{TENANT}-many"
"""A tenant, and token, whose versions take too much memory to be kept."""


def changing(number: object) -> str:
    """A tenant, and token, of whose models `CHANGED` change before each search."""
    return f"{TENANT}-changing-{number}"


class Bench:
    """A token is the name of its tenant. All have the same models; those of `changing` change all the time."""

    def cached(self, token: str) -> Principal | None:
        """See `anfl.http.service.Verifier`."""
        if token.rstrip("0123456789") not in (TENANT, MANY, changing("")):
            return None
        return Principal(subject="b", tenant=token, roles=frozenset({Role.ADMIN}), token_id="b", expires_at=2**40)

    def verify(self, token: str) -> Principal:
        """See `anfl.http.service.Verifier`."""
        raise Problem(401, "token_malformed", f"{token} is no token")


class Searches(Search):
    """A process's first search has nothing to forget, so nor has each tenant's here; of `MANY` nothing is kept."""

    def __init__(self, records: Records) -> None:
        super().__init__(records, max_bytes=2**40)
        self._many = Search(records, max_bytes=0)

    def versions(self, tenant: str, **asked: Any) -> VersionPage:
        """See `Search`."""
        return self._many.versions(tenant, **asked) if tenant == MANY else super().versions(tenant, **asked)


class Memory:
    """What searches ask of DynamoDB's client."""

    def __init__(self, models: int) -> None:
        self._keys: dict[str, list[str]] = defaultdict(list)
        self._items: dict[tuple[str, str], dict[str, Any]] = {}
        self._answers: dict[tuple[bool, str], dict[str, Any]] = {}
        self._changed: dict[str, dict[str, Any]] = {}
        """Models as they are now, of tenants of which some change."""
        for row in sorted(rows(models), key=lambda row: (row[PARTITION_KEY], row[SORT_KEY])):
            self._keys[row[PARTITION_KEY]].append(row[SORT_KEY])
            # In order, and each text anew, as a parser makes them: where they lie in memory counts.
            self._items[row[PARTITION_KEY], row[SORT_KEY]] = json.loads(json.dumps(encode(row)))

    def query(self, **asked: Any) -> dict[str, Any]:
        """One page, whatever its size. Looked for once: what DynamoDB takes is no time of the service."""
        tenant, _, partition = asked["ExpressionAttributeValues"][":p"]["S"].partition("#")
        asked["ExpressionAttributeValues"][":p"] = {"S": f"{TENANT}#{partition}"}
        changes = "revision" in asked["ExpressionAttributeNames"].values() and _changes(tenant)
        key = changes, repr(asked)
        if key not in self._answers:
            found = list(self._asked_for(asked))
            # A projection leaves nothing between two items in memory, neither there nor here.
            self._answers[key] = {"Items": json.loads(json.dumps(found)) if "ProjectionExpression" in asked else found}
        if changes:
            self._change(self._answers[key]["Items"][:CHANGED])
        return self._answers[key]

    def _change(self, shown: list[dict[str, Any]]) -> None:
        """Give models another revision, in the table and where they were shown."""
        for item in shown:
            name = item[SORT_KEY]["S"]
            stored = self._changed.get(name) or self._items[f"{TENANT}#models", name]
            before, now = item["revision"]["N"], str(int(item["revision"]["N"]) + 1)
            changed = stored[DOCUMENT]["S"].replace(f'"revision":{before},', f'"revision":{now},')
            item["revision"] = {"N": now}  # quickly: it is no time of the service
            self._changed[name] = {**stored, "revision": item["revision"], DOCUMENT: {"S": changed}}

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
        item = self._item(asked["Key"])
        return {} if item is None else {"Item": item}

    def batch_get_item(self, **asked: Any) -> dict[str, Any]:
        """Those of the items that there are."""
        ((table, wanted),) = asked["RequestItems"].items()
        there = ((key, item) for key in wanted["Keys"] if (item := self._item(key)) is not None)
        return {"Responses": {table: [item | key for key, item in there]}}

    def _item(self, key: dict[str, Any]) -> dict[str, Any] | None:
        sort = key[SORT_KEY]["S"]
        tenant, _, partition = key[PARTITION_KEY]["S"].partition("#")
        changed = self._changed.get(sort) if _changes(tenant) and partition == "models" else None
        return changed or self._items.get((f"{TENANT}#{partition}", sort))


def _changes(tenant: str) -> bool:
    return tenant.startswith(changing(""))


def main(port: int, models: int) -> None:
    """Serve."""
    import uvicorn

    store: Any = Memory(models)
    registry = build_registry(table="t", dynamodb=store, bucket="b", s3=store)
    registry = dataclasses.replace(registry, search=Searches(registry.records))
    service = assemble(registry, verifier=Bench())
    gc.collect()
    gc.freeze()  # what stands in the store is no garbage of the service, which freezes what it begins with, too
    with socket.create_server(("127.0.0.1", port), backlog=BACKLOG) as listener:
        uvicorn.Server(configuration(service)).run(sockets=[listener])


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
