"""The nodes that benchmarks measure take writes and answer, the one that seals and the one that does not."""

from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from anfl.client import Client, NewRow
from tests.benchmarks.http.node import aws, node
from tests.benchmarks.registry.servers import service
from tests.benchmarks.sealing.vault import vault_for


@pytest.mark.parametrize("seals", [False, True])
def test_a_node_is_loaded_and_answers(seals: bool, tmp_path: Path) -> None:
    with ExitStack() as exits:
        storage = vault_for(exits.enter_context(aws(tmp_path)), exits, seals=seals)
        running = exits.enter_context(node(storage, tmp_path, workers=1))
        client = exits.enter_context(Client(running.url, token=running.token))
        collection = client.create_collection("some", dimension=2)
        collection.upsert([NewRow(id="a", values=[1, 0]), NewRow(id="b", values=[0, 1])])
        assert [match.id for match in collection.query([1.0, 0.1], k=2)] == ["a", "b"]


def test_the_registry_takes_a_model_and_shows_it(tmp_path: Path) -> None:
    with ExitStack() as exits:
        registry = exits.enter_context(service(exits.enter_context(aws(tmp_path)), tmp_path, workers=1))
        with httpx.Client(
            base_url=f"{registry.url}/api/2.0/mlflow", headers=registry.headers, trust_env=False
        ) as client:
            assert client.post("/registered-models/create", json={"name": "m"}).status_code == 200
            assert client.get("/registered-models/get", params={"name": "m"}).status_code == 200
