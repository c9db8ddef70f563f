"""A model's way: registered, inspected through the queue, judged."""

import io
import pickle
import time
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest

from anfl.registry import audit
from anfl.registry.trails import Page
from tests.local.end_to_end.running import Run

API = "/api/2.0/mlflow"
VERDICT_SECONDS = 60


class Exploit:
    """What unpickles into a command."""

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, ("true",)


def array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.arange(12, dtype=np.float32).reshape(3, 4))
    return buffer.getvalue()


def register(client: httpx.Client, name: str, file: str, content: bytes) -> str:
    created = client.post(f"{API}/registered-models/create", json={"name": name})
    assert created.status_code == 200, created.text
    place = f"models/{name}/1"
    stored = client.put(f"/api/2.0/mlflow-artifacts/artifacts/{place}/{file}", content=content)
    assert stored.status_code == 200, stored.text
    body = {"name": name, "source": f"mlflow-artifacts:/{place}"}
    version = client.post(f"{API}/model-versions/create", json=body)
    assert version.status_code == 200, version.text
    return str(version.json()["model_version"]["version"])


def verdict(client: httpx.Client, name: str, version: str) -> dict[str, Any]:
    deadline = time.monotonic() + VERDICT_SECONDS
    while True:
        response = client.get(f"/v1/models/{name}/versions/{version}/validation")
        assert response.status_code == 200, response.text
        document: dict[str, Any] = response.json()
        if document["status"] in {"VALIDATED", "REJECTED", "QUARANTINED"}:
            return document
        assert time.monotonic() < deadline, f"no verdict: {document}"
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [("weights.npy", array(), {"VALIDATED"}), ("model.pkl", pickle.dumps(Exploit()), {"REJECTED", "QUARANTINED"})],
)
def test_verdict_arrives_through_the_queue(run: Run, file: str, content: bytes, expected: set[str]) -> None:
    name = f"model-{time.time_ns():x}"
    with run.client("registrar") as client:
        version = register(client, name, file, content)
        assert version == "1"
        document = verdict(client, name, version)
        stored = client.get(f"/api/2.0/mlflow-artifacts/artifacts/models/{name}/1/{file}")

    assert document["status"] in expected, document
    assert stored.content == content


def test_a_reader_may_not_register(run: Run) -> None:
    with run.client("reader") as client:
        response = client.post(f"{API}/registered-models/create", json={"name": "forbidden"})

    assert response.status_code == 403


def refusal(client: httpx.Client, alias: dict[str, str]) -> str:
    """Why an alias cannot be set."""
    refused = client.post(f"{API}/registered-models/alias", json=alias)
    assert refused.status_code == 409, refused.text
    assert refused.json()["error_code"] == "RESOURCE_CONFLICT"
    return str(refused.json()["message"])


def test_prod_takes_a_verdict_and_two_people_and_the_audit_tells_of_it(run: Run) -> None:
    name = f"governed-{time.time_ns():x}"
    with run.client("registrar") as registrar, run.client("approver") as approver, run.client("admin") as admin:
        version = register(registrar, name, "weights.npy", array())
        assert verdict(registrar, name, version)["status"] == "VALIDATED"
        bad = {"name": f"{name}-bad", "alias": "prod", "version": "1"}
        register(registrar, bad["name"], "model.pkl", pickle.dumps(Exploit()))
        assert verdict(registrar, bad["name"], "1")["status"] != "VALIDATED"
        assert "validated (its validation is" in refusal(registrar, bad)
        alias = {"name": name, "alias": "prod", "version": version}
        assert "approved (0 of 2 people have approved it)" in refusal(registrar, alias)
        path = f"/v1/models/{name}/versions/{version}/approvals"
        asked = registrar.post(path, json={"alias": "prod"})
        assert asked.status_code == 201, asked.text
        approval = f"/v1/models/{name}/approvals/{asked.json()['id']}"
        for person in (approver, admin):
            approved = person.post(f"{approval}/approve", json={})
            assert approved.status_code == 200, approved.text
            if person is approver:
                assert person.post(f"{approval}/approve", json={}).status_code == 409
                assert "approved (1 of 2 people have approved it)" in refusal(registrar, alias)
        done = registrar.post(f"{API}/registered-models/alias", json=alias)
        assert done.status_code == 200, done.text
        page = msgspec.json.decode(approver.get(f"/v1/models/{name}/audit").content, type=Page)
    assert audit.verify(page.chain, page.entries, page.head) is None
    assert [entry.action for entry in page.entries] == [
        "model.created",
        "version.created",
        "validation.recorded",
        "approval.requested",
        "approval.given",
        "approval.given",
        "alias.set",
    ]
