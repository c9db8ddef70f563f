"""What a team does with MLflow's client, against this registry: the same calls, answers and refusals."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import mlflow.pyfunc
import pandas as pd
import pytest
import requests
from mlflow import MlflowClient
from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent, WebhookStatus
from mlflow.exceptions import MlflowException, RestException
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository

from local.registry.running import Running
from tests.mlflow_client.conftest import ARTIFACTS

SOURCE = "s3://bucket/model"
EVENT = WebhookEvent(WebhookEntity.MODEL_VERSION, WebhookAction.CREATED)


class Doubles(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Predicts twice its input."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002
        """The prediction."""
        return model_input * 2


def made(client: MlflowClient, name: str = "bert", versions: int = 1) -> None:
    client.create_registered_model(name)
    for _ in range(versions):
        client.create_model_version(name, SOURCE, await_creation_for=0)


def refused(code: str, message: str, call: Callable[..., object], *args: Any, **kwargs: Any) -> None:
    with pytest.raises(RestException, match=message) as caught:
        call(*args, **kwargs)
    assert caught.value.error_code == code


def test_a_model_is_made_described_renamed_and_deleted(client: MlflowClient) -> None:
    created = client.create_registered_model("bert", tags={"team": "nlp"}, description="first")
    assert (created.name, created.tags, created.description) == ("bert", {"team": "nlp"}, "first")
    refused("RESOURCE_ALREADY_EXISTS", r"Registered Model \(name=bert\) already exists", made, client)
    client.create_model_version("bert", SOURCE, await_creation_for=0)
    client.set_registered_model_alias("bert", "champion", "1")
    client.update_registered_model("bert", "second")
    client.rename_registered_model("bert", "bart")
    renamed = client.get_registered_model("bart")
    assert (renamed.description, renamed.aliases) == ("second", {"champion": "1"})
    refused("RESOURCE_DOES_NOT_EXIST", "Registered Model with name=bert not found", client.get_registered_model, "bert")
    client.delete_registered_model("bart")
    assert list(client.search_registered_models()) == []


def test_versions_count_up_and_are_never_given_again(client: MlflowClient) -> None:
    made(client, versions=3)
    client.delete_model_version("bert", "3")
    version = client.create_model_version("bert", SOURCE, run_link="https://runs/1", tags={"k": "v"})
    assert (version.version, version.status, version.source) == ("4", "READY", SOURCE)
    assert client.get_model_version("bert", "4").tags == {"k": "v"}
    assert client.get_model_version_download_uri("bert", "4") == SOURCE
    missing = r"Model Version \(name=bert, version=3\) not found"
    for call in (client.get_model_version, client.delete_model_version, client.get_model_version_download_uri):
        refused("RESOURCE_DOES_NOT_EXIST", missing, call, "bert", "3")


def test_tags_are_set_and_taken_away(client: MlflowClient) -> None:
    made(client)
    client.set_registered_model_tag("bert", "large", "x" * 90_000)
    client.set_model_version_tag("bert", "1", "empty", "")
    assert client.get_registered_model("bert").tags == {"large": "x" * 90_000}
    assert client.get_model_version("bert", "1").tags == {"empty": ""}
    client.delete_registered_model_tag("bert", "large")
    client.delete_model_version_tag("bert", "1", "empty")
    client.delete_model_version_tag("bert", "1", "empty")
    assert client.get_model_version("bert", "1").tags == {}
    too_long = "exceeds the maximum length of 100000 characters"
    refused("INVALID_PARAMETER_VALUE", too_long, client.set_registered_model_tag, "bert", "k", "x" * 100_001)


def test_an_alias_moves_and_goes_with_its_version(client: MlflowClient) -> None:
    made(client, versions=2)
    client.set_registered_model_alias("bert", "champion", "1")
    client.set_registered_model_alias("bert", "champion", "2")
    assert client.get_model_version_by_alias("bert", "champion").version == "2"
    assert client.get_model_version("bert", "2").aliases == ["champion"]
    client.delete_model_version("bert", "2")
    gone = "Registered model alias champion not found."
    refused("INVALID_PARAMETER_VALUE", gone, client.get_model_version_by_alias, "bert", "champion")
    with pytest.raises(MlflowException, match="reserved"):
        client.set_registered_model_alias("bert", "latest", "1")


@pytest.mark.filterwarnings("ignore")
def test_stages(client: MlflowClient) -> None:
    made(client, versions=3)
    client.transition_model_version_stage("bert", "1", "Staging")
    client.transition_model_version_stage("bert", "2", "staging", archive_existing_versions=True)
    stages = {version.version: version.current_stage for version in client.get_latest_versions("bert")}
    assert stages == {"1": "Archived", "2": "Staging", "3": "None"}
    wrong = "Invalid Model Version stage: Prod"
    refused("INVALID_PARAMETER_VALUE", wrong, client.transition_model_version_stage, "bert", "1", "Prod")


def test_search_filters_orders_and_pages(client: MlflowClient) -> None:
    for number in range(7):
        client.create_registered_model(f"m{number}", tags={"parity": str(number % 2)})
        client.create_model_version(f"m{number}", f"s3://bucket/{number}", await_creation_for=0)

    def names(**query: Any) -> list[str]:
        page = client.search_registered_models(max_results=2, **query)
        found = [*page]
        while page.token:
            page = client.search_registered_models(max_results=2, page_token=page.token, **query)
            found += page
        return [model.name for model in found]

    assert names() == [f"m{number}" for number in range(7)]
    assert names(filter_string="tags.parity = '1'", order_by=["name DESC"]) == ["m5", "m3", "m1"]
    assert names(filter_string="name ILIKE 'M_' AND name != 'm0'", order_by=["timestamp DESC"])[0] == "m6"
    versions = client.search_model_versions("source_path LIKE 's3://bucket/%'", order_by=["name DESC"], max_results=3)
    assert [version.name for version in versions] == ["m6", "m5", "m4"]
    for wrong in ("name = 'a' OR name = 'b'", "name =", "yaml = 'x'", "name IN ()"):
        refused("INVALID_PARAMETER_VALUE", "", client.search_registered_models, wrong)


def test_a_copy_names_its_originals_artefacts(client: MlflowClient) -> None:
    made(client)
    copied = client.copy_model_version("models:/bert/1", "prod")
    assert (copied.name, copied.version, copied.source) == ("prod", "1", "models:/bert/1")
    again = client.copy_model_version("models:/prod/1", "prod")
    assert client.get_model_version_download_uri("prod", again.version) == SOURCE


@pytest.fixture(name="registered")
def _registered(client: MlflowClient, service: Running, tmp_path: Path) -> MlflowClient:
    """A model whose three versions multiply, uploaded through the proxy."""
    folder = tmp_path / "model"
    mlflow.pyfunc.save_model(folder, python_model=Doubles(), pip_requirements=[])
    client.create_registered_model("doubles")
    for number in range(1, 4):
        place = f"{service.url}{ARTIFACTS}/doubles/{number}"
        HttpArtifactRepository(place).log_artifacts(str(folder))
        client.create_model_version("doubles", place, await_creation_for=0)
    client.set_registered_model_alias("doubles", "champion", "2")
    client.transition_model_version_stage("doubles", "1", "Production")
    return client


@pytest.mark.parametrize("reference", ["doubles@champion", "doubles/3", "doubles/latest", "doubles/Production"])
@pytest.mark.usefixtures("registered")
def test_models_are_loaded_by_alias_version_latest_and_stage(reference: str) -> None:
    model = mlflow.pyfunc.load_model(f"models:/{reference}")
    assert model.predict(pd.DataFrame({"x": [1, 2]}))["x"].tolist() == [2, 4]


def test_artefacts_of_a_version_cannot_change(registered: MlflowClient, service: Running, tmp_path: Path) -> None:
    file = tmp_path / "MLmodel"
    file.write_text("evil")
    repository = HttpArtifactRepository(f"{service.url}{ARTIFACTS}/doubles/1")
    with pytest.raises(requests.HTTPError, match="409"):
        repository.log_artifact(str(file))
    with pytest.raises(requests.HTTPError, match="409"):
        repository.delete_artifacts()
    registered.delete_model_version("doubles", "1")
    repository.log_artifact(str(file))
    assert Path(repository.download_artifacts("MLmodel")).read_text() == "evil"


def test_the_proxy_lists_downloads_and_uploads_in_parts(
    client: MlflowClient, service: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del client  # its token is used
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "true")
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", str(6 * 1024**2))
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE", str(5 * 1024**2))
    large = bytes(range(256)) * 4096 * 11
    (tmp_path / "up" / "sub").mkdir(parents=True)
    (tmp_path / "up" / "large.bin").write_bytes(large)
    (tmp_path / "up" / "sub" / "small.txt").write_text("small")
    repository = HttpArtifactRepository(f"{service.url}{ARTIFACTS}/parts")
    repository.log_artifacts(str(tmp_path / "up"))
    assert {(info.path, info.file_size) for info in repository.list_artifacts()} == {
        ("large.bin", len(large)),
        ("sub", None),
    }
    down = Path(repository.download_artifacts(""))
    assert hashlib.sha256((down / "large.bin").read_bytes()).digest() == hashlib.sha256(large).digest()
    assert (down / "sub" / "small.txt").read_text() == "small"


def test_webhooks(client: MlflowClient) -> None:
    hook = client.create_webhook("hook", "https://example.com/a", [EVENT], secret="s")
    assert (hook.events, hook.secret, hook.status) == ([EVENT], None, WebhookStatus.ACTIVE)
    changed = client.update_webhook(hook.webhook_id, status=WebhookStatus.DISABLED)
    assert (changed.name, changed.status) == ("hook", WebhookStatus.DISABLED)
    assert [one.webhook_id for one in client.list_webhooks()] == [hook.webhook_id]
    client.delete_webhook(hook.webhook_id)
    refused("RESOURCE_DOES_NOT_EXIST", "not found", client.get_webhook, hook.webhook_id)
    http = "Invalid webhook URL scheme"
    refused("INVALID_PARAMETER_VALUE", http, client.create_webhook, "hook", "http://example.com", [EVENT])


def test_without_a_token_nothing_is_told(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_TOKEN")
    refused("UNAUTHENTICATED", "Bearer", client.search_registered_models)
