"""A service on loopback, and a way to it on which things go wrong."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from anfl.client import Client
from anfl.vectors.imports.imports import Imports
from anfl.vectors.store import VectorStore
from services.vector_store.app import assemble
from tests.unit.vectors import conftest as vectors
from tests.unit.vectors.serving import PlainTokens, served

TOKEN = "demo.admin"
session = vectors._session
catalogue = vectors._catalogue
s3 = vectors._s3
objects = vectors._objects
store = vectors._store
queue = vectors._queue
engine = vectors._engine
store_with_a_class = vectors._store_with_a_class
function_bytes = vectors.function_bytes
place = vectors._place
imports = vectors._imports
door = vectors._door


class FaultyWay(httpx.HTTPTransport):
    """Connections on which requests and answers get lost, come twice, or are answered by somebody in between."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str | httpx.Response] = []
        """What happens to the next requests: ``lost``, ``answer lost``, ``twice``, or an answer; else nothing."""
        self.seen: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one request over, or not."""
        self.seen.append(request)
        fault = self.faults.pop(0) if self.faults else ""
        match fault:
            case httpx.Response():
                return fault
            case "lost":
                raise httpx.WriteError("the connection broke", request=request)
            case "answer lost":
                super().handle_request(request).read()
                raise httpx.ReadError("the connection broke", request=request)
            case "twice":
                super().handle_request(request).read()
        return super().handle_request(request)


@pytest.fixture(name="url")
def _url(store: VectorStore, imports: Imports) -> Iterator[str]:
    with served(assemble(store, imports, verifier=PlainTokens())) as url:
        yield url


@pytest.fixture(name="way")
def _way() -> FaultyWay:
    return FaultyWay()


@pytest.fixture(name="client")
def _client(url: str, way: FaultyWay) -> Iterator[Client]:
    with Client(url, token=TOKEN, transport=way) as client:
        yield client


@pytest.fixture(name="waited", autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []

    async def noted(seconds: float) -> Any:
        waited.append(seconds)

    monkeypatch.setattr("anfl.client.connection.sleep", waited.append)
    monkeypatch.setattr("anfl.client.asynchronous.sleep", noted)
    return waited
