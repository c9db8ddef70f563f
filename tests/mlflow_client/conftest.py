"""The service on loopback, and MLflow's client pointed at it with a token, as a team would do it."""

from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from local.registry.running import Running, new_token, running

ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture(name="service", scope="session")
def _service() -> Iterator[Running]:
    with running() as service:
        yield service


@pytest.fixture(name="client")
def _client(service: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MlflowClient:
    """A client of an empty registry; runs are tracked elsewhere, in a folder."""
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", new_token())
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    tracking = (tmp_path / "runs").as_uri()
    mlflow.set_tracking_uri(tracking)
    mlflow.set_registry_uri(service.url)
    return MlflowClient(tracking_uri=tracking, registry_uri=service.url)
