"""What the roles of functions and services may do and no other test here has them do."""

import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from anfl.registry.queues import Delivery
from tests.local.end_to_end.permissions import Permissions
from tests.local.end_to_end.running import Run, operator

API, FILES = "/api/2.0/mlflow", "/api/2.0/mlflow-artifacts"
WAIT_SECONDS = 30
AGAIN_SECONDS = 8


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.2)


def done(response: httpx.Response) -> dict[str, Any]:
    assert response.is_success, response.text
    document: dict[str, Any] = response.json()
    return document


def test_a_file_is_listed_fetched_by_a_link_and_removed(run: Run) -> None:
    folder = f"loose-{uuid.uuid4().hex[:8]}"
    with run.client("registrar") as client:
        done(client.put(f"{FILES}/artifacts/{folder}/a.txt", content=b"content"))
        assert done(client.get(f"{FILES}/artifacts", params={"path": folder}))["files"][0]["path"] == "a.txt"
        link = done(client.get(f"{FILES}/presigned/{folder}/a.txt"))["url"]
        assert httpx.get(link, trust_env=False).content == b"content"
        done(client.delete(f"{FILES}/artifacts/{folder}/a.txt"))
        assert client.get(f"{FILES}/artifacts/{folder}/a.txt").status_code == 404


def test_a_file_is_sent_in_parts_by_links_or_given_up(run: Run) -> None:
    path = f"parts-{uuid.uuid4().hex[:8]}"
    with run.client("registrar") as client:
        for last in ("complete", "abort"):
            begun = done(client.post(f"{FILES}/mpu/create/{path}", json={"path": "a.txt", "num_parts": 1}))
            sent = httpx.put(begun["credentials"][0]["url"], content=b"part", trust_env=False)
            assert sent.is_success, sent.text
            given = {"path": "a.txt", "upload_id": begun["upload_id"]}
            parts = [{"part_number": 1, "etag": sent.headers["etag"]}] if last == "complete" else None
            done(client.post(f"{FILES}/mpu/{last}/{path}", json=given | ({"parts": parts} if parts else {})))
        assert client.get(f"{FILES}/artifacts/{path}/a.txt").content == b"part"


def test_a_model_is_renamed_and_deleted(run: Run) -> None:
    name = f"gone-{uuid.uuid4().hex[:8]}"
    with run.client("registrar") as client:
        done(client.post(f"{API}/registered-models/create", json={"name": name}))
        done(client.post(f"{API}/registered-models/rename", json={"name": name, "new_name": f"{name}-2"}))
        done(client.request("DELETE", f"{API}/registered-models/delete", json={"name": f"{name}-2"}))
        assert client.get(f"{API}/registered-models/get", params={"name": f"{name}-2"}).status_code == 404


@pytest.mark.parametrize(
    ("queue", "role", "action"),
    [
        ("webhooks", "WebhooksFunction", "dynamodb:GetItem"),
        ("webhooks", "WebhooksFunction", "sqs:ChangeMessageVisibility"),
        ("chunks", "VectorProcessingFunction", "sqs:ChangeMessageVisibility"),
        ("jobs", "VectorStoreServiceTask", "sqs:ChangeMessageVisibility"),
    ],
)
def test_a_message_that_makes_no_sense_comes_again_later(
    run: Run, permissions: Permissions, queue: str, role: str, action: str
) -> None:
    """The first one is about a webhook that was deleted, which makes sense: it is dropped, and nothing is sent."""
    queues = operator(run, "sqs")
    body = "nonsense" if action.startswith("sqs:") else about_nobody(run.document["tenant"])
    url = queues.get_queue_url(QueueName=f"anfl-{run.document['environment']}-{queue}")["QueueUrl"]
    sent_at = float("-inf")

    def used() -> bool:
        nonlocal sent_at
        if time.monotonic() - sent_at > AGAIN_SECONDS:  # one may be with a reader that an earlier test has killed
            queues.send_message(QueueUrl=url, MessageBody=body)
            sent_at = time.monotonic()
        return any(role in grant[0] and grant[2] == action for grant in permissions.used())

    eventually(used)


def about_nobody(tenant: str) -> str:
    event = "REGISTERED_MODEL.CREATED"
    gone = Delivery(id="d", tenant=tenant, webhook_id="gone", event=event, data={}, at=0.0)
    return msgspec.json.encode(gone).decode()
