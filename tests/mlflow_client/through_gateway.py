"""``python -m tests.mlflow_client.through_gateway URL``: a model's whole life through a gateway, with MLflow's client.

The token is the environment's ``MLFLOW_TRACKING_TOKEN``. Ends with 1 and the reason where an answer is another one.
"""

import hashlib
import os
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

import mlflow
import mlflow.pyfunc
import pandas as pd
import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository
from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository


class Times(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Predicts a multiple of its input, by which a loaded version can be told."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002
        """The prediction."""
        return model_input * self.factor


def expect(found: object, wanted: object) -> None:
    """End where an answer is not the one that is wanted."""
    if found != wanted:
        sys.exit(f"{found!r} where {wanted!r} should be")


def loaded(reference: str) -> int:
    """The factor of the version that is loaded by a reference."""
    model = mlflow.pyfunc.load_model(f"models:/{reference}")
    return int(model.predict(pd.DataFrame({"x": [1]}))["x"][0])


def past_the_service(url: str, name: str, folder: Path) -> None:
    """By links: a file is put, registered and got; in a folder of its own, in parts."""
    content = b"weights" * 1000
    sha256 = hashlib.sha256(content).hexdigest()
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {os.environ['MLFLOW_TRACKING_TOKEN']}"
        asked: Any = {"path": "linked/weights", "size": len(content), "sha256": sha256}
        link = session.post(f"{url}/v1/models/{name}/uploads", json=asked, timeout=60).json()
        expect(requests.put(link["url"], content, headers=link["headers"], timeout=60).status_code, 200)
        shown = session.get(f"{url}/api/2.0/mlflow-artifacts/presigned/{link['path']}", timeout=60).json()
    expect(requests.get(shown["url"], timeout=60).content, content)
    os.environ |= {
        "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "true",
        "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "true",
        "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": "1000",
    }
    artifacts = MlflowArtifactsRepository(f"mlflow-artifacts:/models/{name}", tracking_uri=url)
    got = Path(artifacts.download_artifacts("linked/weights", str(folder)))
    expect(got.read_bytes(), content)
    artifacts.log_artifact(str(got), "parts")
    for flag in ("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD"):
        del os.environ[flag]
    expect(Path(artifacts.download_artifacts("parts/weights", str(folder))).read_bytes(), content)


def main(url: str, folder: Path) -> None:
    """Register, tag, alias, search, stage, load, copy, rename, delete."""
    mlflow.set_tracking_uri((folder / "runs").as_uri())
    mlflow.set_registry_uri(url)
    client = MlflowClient(tracking_uri=(folder / "runs").as_uri(), registry_uri=url)
    name = f"times-{uuid.uuid4().hex[:8]}"
    client.create_registered_model(name, tags={"team": "gateway"}, description="first")
    for factor in (1, 2, 3):
        local = folder / str(factor)
        mlflow.pyfunc.save_model(local, python_model=Times(factor), pip_requirements=[])
        place = f"{url}/api/2.0/mlflow-artifacts/artifacts/{name}/{factor}"
        HttpArtifactRepository(place).log_artifacts(str(local))
        expect(client.create_model_version(name, place, await_creation_for=0).version, str(factor))
    past_the_service(url, name, folder)
    client.set_registered_model_alias(name, "champion", "2")
    client.transition_model_version_stage(name, "1", "Production", archive_existing_versions=True)
    client.set_model_version_tag(name, "3", "k", "v")
    expect([loaded(f"{name}{how}") for how in ("@champion", "/1", "/latest", "/Production")], [2, 1, 3, 1])
    expect(
        [model.name for model in client.search_registered_models(f"name = '{name}' AND tags.team = 'gateway'")], [name]
    )
    found = client.search_model_versions(f"name = '{name}'", order_by=["version_number DESC"])
    expect([(version.version, version.tags) for version in found], [("3", {"k": "v"}), ("2", {}), ("1", {})])
    expect(client.copy_model_version(f"models:/{name}@champion", f"{name}-copy").version, "1")
    client.rename_registered_model(name, f"{name}-renamed")
    expect(client.get_model_version_by_alias(f"{name}-renamed", "champion").version, "2")
    client.update_registered_model(f"{name}-renamed", "second")
    client.delete_registered_model_alias(f"{name}-renamed", "champion")
    client.delete_model_version(f"{name}-renamed", "3")
    expect(client.get_latest_versions(f"{name}-renamed", ["Production"])[0].version, "1")
    expect(loaded(f"{name}-copy/1"), 2)
    for made in (f"{name}-renamed", f"{name}-copy"):
        client.delete_registered_model(made)
    os.environ["MLFLOW_TRACKING_TOKEN"] = "none"
    try:
        client.get_registered_model(name)
    except MlflowException as error:  # the gateway's own refusal
        expect((error.error_code, "valid bearer token" in str(error)), ("UNAUTHENTICATED", True))
    else:
        sys.exit("without a token something was told")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(sys.argv[1], Path(name))
