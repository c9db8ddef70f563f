"""The requests that both servers get, by plain HTTP, and how long each takes."""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.benchmarks.errors import BenchmarkError
from tests.benchmarks.registry.servers import Server

API = "/api/2.0/mlflow"


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request."""

    method: str
    path: str
    given: Mapping[str, Any]

    def send(self, client: httpx.Client) -> dict[str, Any]:
        """Send it.

        :raises BenchmarkError: the answer is none of success.
        """
        place = f"{API}/{self.path}"
        answer = (
            client.get(place, params=dict(self.given))
            if self.method == "GET"
            else client.request(self.method, place, json=dict(self.given))
        )
        if answer.status_code != 200:
            raise BenchmarkError(f"{self.method} {self.path} gave {answer.status_code}: {answer.text[:500]}")
        found: dict[str, Any] = answer.json()
        return found

    def milliseconds(self, client: httpx.Client) -> float:
        """Send it; returns how long that takes."""
        started = time.perf_counter()
        self.send(client)
        return 1000 * (time.perf_counter() - started)


def client(server: Server) -> httpx.Client:
    """One connection."""
    return httpx.Client(base_url=server.url, headers=server.headers, trust_env=False, timeout=120)


def small(name: str) -> list[tuple[str, Request]]:
    """What a team does with one model, in order."""
    version = {"name": name, "version": "1"}
    made = {"name": name, "source": f"s3://bucket/{name}", "tags": [{"key": "k", "value": "v"}]}
    find = {"filter": f"name = '{name}'", "max_results": 100}
    return [
        ("create model", Request(method="POST", path="registered-models/create", given={"name": name})),
        ("create version", Request(method="POST", path="model-versions/create", given=made)),
        ("set tag", Request(method="POST", path="model-versions/set-tag", given=version | {"key": "a", "value": "b"})),
        ("set alias", Request(method="POST", path="registered-models/alias", given=version | {"alias": "champion"})),
        ("get model", Request(method="GET", path="registered-models/get", given={"name": name})),
        ("get version", Request(method="GET", path="model-versions/get", given=version)),
        (
            "get by alias",
            Request(method="GET", path="registered-models/alias", given={"name": name, "alias": "champion"}),
        ),
        ("search by name", Request(method="GET", path="model-versions/search", given=find)),
    ]


def searches(models: int) -> list[tuple[str, Request]]:
    """Over all models."""
    middle = models // 2
    asked: list[tuple[str, str, dict[str, str]]] = [
        ("models whose names begin so", "registered-models", {"filter": f"name LIKE 'model-{middle // 100:03}%'"}),
        (
            "models of a tag, latest first",
            "registered-models",
            {"filter": "tags.team = 'text'", "order_by": "last_updated_timestamp DESC"},
        ),
        (
            "versions of a model",
            "model-versions",
            {"filter": f"name = 'model-{middle:05}'", "order_by": "version_number DESC"},
        ),
        ("versions of a run", "model-versions", {"filter": f"run_id = 'run-{middle:05}-2'"}),
        ("versions of a tag, latest first", "model-versions", {"filter": "tags.quality = '2'"}),
        ("versions of a tag that all have, latest first", "model-versions", {"filter": "tags.quality LIKE '%'"}),
        ("versions, latest first", "model-versions", {}),
        ("versions of models whose names are like nothing", "model-versions", {"filter": "name LIKE '%nothing'"}),
        ("models, latest first", "registered-models", {"order_by": "last_updated_timestamp DESC"}),
        ("versions whose tag is like nothing", "model-versions", {"filter": "tags.quality LIKE '%none'"}),
        ("versions of a tag, by name", "model-versions", {"filter": "tags.quality = '2'", "order_by": "name DESC"}),
        ("models whose names are like nothing, in any case", "registered-models", {"filter": "name ILIKE '%nothing%'"}),
        ("models of whose names one in a hundred is like it", "registered-models", {"filter": "name LIKE '%d%77'"}),
        (
            "models whose names end so, latest first",
            "registered-models",
            {"filter": "name ILIKE '%77'", "order_by": "last_updated_timestamp DESC"},
        ),
    ]
    return [(what, _search(kind, given)) for what, kind, given in asked]


def everything() -> Request:
    """What has a process read all versions, and keep them."""
    return _search("model-versions", {})


def unprepared() -> list[tuple[str, Request]]:
    """Over all versions, by a process that does not know how they are now, or that cannot keep as many."""
    return [
        ("versions, latest first", everything()),
        ("versions of a tag, latest first", _search("model-versions", {"filter": "tags.quality = '2'"})),
    ]


def in_vain() -> list[tuple[str, Request]]:
    """The same, whose filter holds for none."""
    asked = [
        ("versions whose tag is like nothing", "tags.quality LIKE '%nothing'"),
        ("versions whose tag is like nothing, in any case", "tags.quality ILIKE '%nothing'"),
        ("versions of models whose names are like nothing", "name LIKE '%nothing'"),
        ("versions of models whose names are like nothing, in any case", "name ILIKE '%nothing'"),
    ]
    return [(what, _search("model-versions", {"filter": condition})) for what, condition in asked]


def _search(kind: str, given: Mapping[str, str]) -> Request:
    return Request(method="GET", path=f"{kind}/search", given={**given, "max_results": 100})


@dataclass(frozen=True, kw_only=True)
class Timed:
    """Milliseconds, of each time."""

    whole: list[float] = field(default_factory=list)
    store: list[float] = field(default_factory=list)

    def median(self) -> tuple[float, float]:
        """Of the whole, and of the store."""
        return statistics.median(self.whole), statistics.median(self.store) if self.store else 0.0


def timed(server: Server, requests: Sequence[Request], *, stored: bool) -> Timed:
    """Send each of ``requests``; ``stored``: ask the server how long it was in its store."""
    whole: list[float] = []
    store: list[float] = []
    with client(server) as connection:
        for request in requests:
            before = server.store_seconds() if stored else 0.0
            whole.append(request.milliseconds(connection))
            if stored:
                store.append(1000 * (server.store_seconds() - before))
    return Timed(whole=whole, store=store)
