"""Every route as a request: with a body that gets as far as the resource, where the route names one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from anfl.auth.rbac import Route

_MLFLOW = re.compile(r"/(?:ajax-)?api/2\.0/mlflow/(?P<call>.+)")
_ONES: Mapping[str, Mapping[str, Any]] = {
    "POST /v1/collections": {"dimension": 0},
    "PATCH /v1/collections/{name}": {"index": {"ef_search": 99}},
    "PUT /v1/collections/{name}/vectors": {"vectors": [{"id": "a", "values": [1.0]}]},
    "PATCH /v1/collections/{name}/vectors": {"vectors": [{"id": "a", "metadata": {"a": 1}}]},
    "POST /v1/collections/{name}/vectors/delete": {"ids": ["a"]},
    "POST /v1/collections/{name}/vectors/fetch": {"ids": ["a"]},
    "POST /v1/collections/{name}/query": {"vector": [1.0], "k": 1},
    "POST /v1/collections/{name}/snapshots/delete": {"snapshot": "absent"},
    "POST /v1/collections/{name}/restore": {"snapshot": "absent", "into": "elsewhere"},
    "POST /v1/collections/{name}/imports": {"files": [{"name": "a.jsonl", "bytes": 1}]},
}


@dataclass(frozen=True, kw_only=True)
class Names:
    """What the walk asks for."""

    collection: str
    model: str
    path: str
    """Of an artefact."""
    other: str
    """Of anything else: aliases, imports, webhooks."""


def send(client: httpx.Client, route: Route, names: Names) -> httpx.Response:
    """Ask for ``route``."""
    model = "/models/" in route.path
    values = {"name": names.model if model else names.collection, "version": "1", "path": names.path}
    target = re.sub(r"\{(\w+)\+?\}", lambda match: values.get(match[1], names.other), route.path)
    given: dict[str, Any] = dict(_ONES.get(f"{route.method} {route.path}", {}))
    query: dict[str, str] = {}
    if _MLFLOW.fullmatch(route.path):
        fields = {"name": names.model, "version": "1", "key": "k", "alias": "a"}
        query = fields if route.method == "GET" and "search" not in route.path else {}
        given |= {} if query else {**fields, "value": "v", "new_name": f"{names.model}-2", "stage": "Staging"}
    options: dict[str, Any] = {"params": query} if route.method == "GET" else {"json": given, "params": query}
    return client.request(route.method, target, **options)
