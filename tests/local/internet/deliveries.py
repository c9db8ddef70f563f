"""Webhooks to a receiver on the internet: `test_internet` begins it."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.state import REPOSITORY
from tests.local.end_to_end.running import Run, operator
from tests.local.internet.public import ADDRESS, eventually, told
from tests.local.internet.receiver import Got, Receiver, receiving

CLIENT = REPOSITORY / ".venv-mlflow" / "bin" / "python"
SECRET = "a secret of the receiver's"
UNKNOWN_SECONDS = 11
"""How long a process of the service may not know of a new webhook."""
HOOKS = "/api/2.0/mlflow/webhooks"
NEW_MODEL = {"entity": "REGISTERED_MODEL", "action": "CREATED"}


@pytest.fixture(name="receiver", scope="module")
def _receiver(certificate: Path, run: Run) -> Iterator[Receiver]:
    told(run, "webhooks", certificate=certificate)
    with receiving(certificate) as receiver:
        yield receiver


def mlflow(run: Run, *arguments: str, given: str = "") -> str:
    """MLflow's own client and code."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PY"))}
    done = subprocess.run(
        [CLIENT, "-m", "tests.mlflow_client.hooks", *arguments],
        cwd=REPOSITORY,
        env=mine | {"MLFLOW_TRACKING_TOKEN": run.document["tokens"]["admin"], "NO_PROXY": "127.0.0.1"},
        input=given,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def hooked(run: Run, receiver: Receiver, path: str) -> str:
    """A webhook for new models that every process of the service knows; its id."""
    given = {"name": path.strip("/"), "url": f"https://{ADDRESS}:{receiver.port}{path}", "secret": SECRET}
    with run.client("admin") as admin:
        answer = admin.post(HOOKS, json=given | {"events": [NEW_MODEL]})
    assert answer.status_code == 200, answer.text
    time.sleep(UNKNOWN_SECONDS)
    return str(answer.json()["webhook"]["webhook_id"])


def new_model(run: Run, name: str) -> None:
    with run.client("registrar") as registrar:
        answer = registrar.post("/api/2.0/mlflow/registered-models/create", json={"name": name})
    assert answer.status_code == 200, answer.text


def signed_as_by_mlflow(run: Run, got: list[Got]) -> None:
    """By MLflow's own code."""
    signed = [(one.delivery, one.headers["x-mlflow-timestamp"], one.body) for one in got]
    expected = json.loads(mlflow(run, "signatures", SECRET, given=json.dumps(signed)))
    assert [one.headers["x-mlflow-signature"] for one in got] == expected


def test_what_mlflows_client_changes_arrives_signed_as_mlflow_signs(run: Run, receiver: Receiver) -> None:
    events = "registered_model.created,model_version.created,model_version_tag.set,model_version_alias.created"
    url = f"https://{ADDRESS}:{receiver.port}/all?of=them"
    mlflow(run, "create", run.document["api"], "all", url, events, SECRET)
    time.sleep(UNKNOWN_SECONDS)
    mlflow(run, "change", run.document["api"], "told")
    eventually(lambda: len(receiver.at("/all?of=them")) == 4, seconds=30)
    got = {one.event: one for one in receiver.at("/all?of=them")}
    assert sorted(got) == sorted(events.split(","))
    assert got["registered_model.created"].data["description"] == "made by MLflow's client"
    assert got["model_version_tag.set"].data == {"name": "told", "version": "1", "key": "quality", "value": "good"}
    assert got["model_version_alias.created"].data == {"name": "told", "alias": "champion", "version": "1"}
    assert len({one.delivery for one in got.values()}) == 4
    signed_as_by_mlflow(run, list(got.values()))
    for one in got.values():
        assert abs(one.at - int(one.headers["x-mlflow-timestamp"])) < 10
        assert one.headers["host"] == f"{ADDRESS}:{receiver.port}"
        assert not {"authorization", "cookie"} & one.headers.keys()


def test_what_is_not_taken_is_sent_again_under_its_id_and_signed_anew(run: Run, receiver: Receiver) -> None:
    receiver.answers["/again"] = lambda got: 500 if len(got) == 1 else 204
    hooked(run, receiver, "/again")
    new_model(run, "again")
    eventually(lambda: len(receiver.at("/again")) == 2, seconds=45)
    first, second = receiver.at("/again")
    assert (first.delivery, first.body) == (second.delivery, second.body)
    assert 7 <= second.at - first.at <= 25
    assert int(second.headers["x-mlflow-timestamp"]) - int(first.headers["x-mlflow-timestamp"]) >= 7
    assert first.headers["x-mlflow-signature"] != second.headers["x-mlflow-signature"]
    signed_as_by_mlflow(run, [first, second])


def test_what_is_never_taken_is_among_the_dead_letters_after_the_last_attempt(run: Run, receiver: Receiver) -> None:
    """After the second here, so that nobody waits for half an hour; the template's number is another test's."""
    sqs, name = operator(run, "sqs"), f"anfl-{run.document['environment']}-webhooks"
    queue = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    policy = json.loads(
        sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["RedrivePolicy"])["Attributes"]["RedrivePolicy"]
    )
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": json.dumps(policy | {"maxReceiveCount": 2})})
    receiver.answers["/never"] = lambda _: 500
    webhook = hooked(run, receiver, "/never")
    new_model(run, "never")
    dead = sqs.get_queue_url(QueueName=policy["deadLetterTargetArn"].rpartition(":")[2])["QueueUrl"]
    found: list[Any] = []

    def died() -> bool:
        found.extend(sqs.receive_message(QueueUrl=dead).get("Messages", []))
        return bool(found)

    eventually(died, seconds=120)
    letter = json.loads(found[0]["Body"])
    got = receiver.at("/never")
    assert [one.delivery for one in got] == [letter["id"]] * 2
    assert (letter["webhook_id"], letter["data"]["name"]) == (webhook, "never")
    assert SECRET not in found[0]["Body"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"])
def test_no_webhook_leads_back_to_this_machine(run: Run, receiver: Receiver, host: str) -> None:
    given = {"name": "inside", "url": f"https://{host}:{receiver.port}/inside", "secret": SECRET}
    with run.client("admin") as admin:
        answer = admin.post(HOOKS, json=given | {"events": [NEW_MODEL]})
    assert (answer.status_code, "non-public" in answer.text) == (400, True), answer.text
    assert receiver.at("/inside") == []
