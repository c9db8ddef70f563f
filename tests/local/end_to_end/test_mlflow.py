"""MLflow's own client through the gateway, with a token: a model's whole life."""

import os
import subprocess

import pytest

from local.state import REPOSITORY
from tests.local.end_to_end.running import Run

CLIENT = REPOSITORY / ".venv-mlflow" / "bin" / "python"
"""In an environment of its own, which `make test-local` sets up."""


@pytest.mark.skipif(not CLIENT.exists(), reason="MLflow's client is not installed: make .venv-mlflow/.ready")
def test_a_model_is_registered_found_loaded_and_deleted(run: Run) -> None:
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PY"))}
    token = run.document["tokens"]["admin"]
    answered = subprocess.run(
        [CLIENT, "-m", "tests.mlflow_client.through_gateway", run.document["api"]],
        cwd=REPOSITORY,
        env=mine | {"MLFLOW_TRACKING_TOKEN": token, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert answered.returncode == 0, answered.stderr[-3000:]
