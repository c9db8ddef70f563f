"""CloudFormation always gets its answer, the bootstrap's included."""

import importlib.util
import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from anfl import custom_resource
from anfl.telemetry.logs import JsonFormatter
from tests.unit.invocation import Invocation

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class CloudFormation:
    """Takes answers."""

    url: str = ""
    refusals: int = 0
    taken: list[dict[str, Any]] = field(default_factory=list)
    content_types: list[str | None] = field(default_factory=list)

    def event(self, kind: str = "Create", **members: Any) -> dict[str, Any]:
        ids = {"StackId": "stack", "RequestId": "request", "LogicalResourceId": "Vault"}
        return {"RequestType": kind, "ResponseURL": self.url, "ResourceProperties": {}, **ids, **members}


@pytest.fixture
def cloudformation(monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudFormation]:
    found = CloudFormation()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.content_types.append(self.headers["Content-Type"])
            if found.refusals:
                found.refusals -= 1
                self.send_response(503)
            else:
                found.taken.append(json.loads(body))
                self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
    found.url = f"http://127.0.0.1:{server.server_address[1]}/answer"
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


def test_success(cloudformation: CloudFormation) -> None:
    custom_resource.answer(cloudformation.event(), lambda _event: None, physical_id="vault")

    (answer,) = cloudformation.taken
    assert answer == {
        "Status": "SUCCESS",
        "Reason": "",
        "PhysicalResourceId": "vault",
        "StackId": "stack",
        "RequestId": "request",
        "LogicalResourceId": "Vault",
    }
    assert cloudformation.content_types == [""], "the pre-signed address admits no other"


def test_an_update_keeps_the_physical_id(cloudformation: CloudFormation) -> None:
    event = cloudformation.event("Update", PhysicalResourceId="earlier")
    custom_resource.answer(event, lambda _event: None, physical_id="vault")

    assert cloudformation.taken[0]["PhysicalResourceId"] == "earlier"


def test_a_failure_is_told_with_its_reason_cut_to_what_cloudformation_takes(cloudformation: CloudFormation) -> None:
    def act(_event: custom_resource.Event) -> None:
        raise ValueError("x" * 10_000)

    custom_resource.answer(cloudformation.event(), act, physical_id="vault")

    (answer,) = cloudformation.taken
    assert answer["Status"] == "FAILED"
    assert answer["Reason"].startswith("ValueError: xxx")
    assert len(json.dumps(answer)) < 4096


def test_an_answer_that_is_not_taken_is_sent_again(cloudformation: CloudFormation) -> None:
    cloudformation.refusals = 2
    custom_resource.answer(cloudformation.event(), lambda _event: None, physical_id="vault")

    assert len(cloudformation.taken) == 1


@pytest.mark.parametrize("address", ["{server}?{signature}", "http://127.0.0.1:1/answer?{signature}"])
def test_where_the_answer_goes_is_in_no_log(
    cloudformation: CloudFormation, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """The address is signed: whoever reads it there may answer in our place."""
    cloudformation.refusals = 3
    cloudformation.url = address.format(server=cloudformation.url, signature="X-Amz-Signature=canary")
    monkeypatch.setenv("AWS_ENDPOINT_URL", cloudformation.url.partition("/answer")[0])
    custom_resource.answer(cloudformation.event(), lambda _event: None, physical_id="vault")

    told = [JsonFormatter().format(record) for record in caplog.records if record.name == custom_resource.__name__]
    assert len(told) == 3
    assert not [line for line in told if "canary" in line]


BUCKET = "cloudformation-custom-resource-response-useast1"


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        (f"https://{BUCKET}.s3.amazonaws.com/arn%3Aaws%3Acloudformation?X-Amz-Signature=s", True),
        (f"https://{BUCKET}.s3.us-east-1.amazonaws.com/a?b", True),
        (f"https://{BUCKET}.s3-us-east-1.amazonaws.com/a?b", True),
        (f"https://{BUCKET}.s3.us-east-1.amazonaws.com.cn/a?b", True),
        ("https://cloudformation-custom-resource-response-euwest1.s3.eu-west-1.amazonaws.com/a?b", False),
        ("https://cloudformation-custom-resource-response-somebodys1.s3.amazonaws.com/a?b", False),
        (f"https://s3.us-east-1.amazonaws.com/{BUCKET}/a?b", True),
        (f"http://{BUCKET}.s3.amazonaws.com/a?b", False),
        ("https://somebodys.s3.amazonaws.com/a?b", False),
        (f"https://s3.amazonaws.com/somebodys/{BUCKET}/a", False),
        (f"https://{BUCKET}.s3.amazonaws.com@127.0.0.1/a", False),
        (f"https://{BUCKET}.s3.amazonaws.com.example.test/a", False),
        (f"https://example.test/{BUCKET}.s3.amazonaws.com/a", False),
        (f"https://{BUCKET}.s3.amazonaws.com:8443/a", False),
        (f"https://{BUCKET}.s3.x.example.test\\.amazonaws.com/a", False),
        ("http://169.254.170.2/v2/credentials", False),
        ("", False),
    ],
)
def test_answers_go_to_cloudformation_alone(monkeypatch: pytest.MonkeyPatch, url: str, sent: bool) -> None:
    """Who may invoke a function is not to make it send from inside the network."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    gone = list[str]()
    monkeypatch.setattr(custom_resource, "_send", lambda to, _body: gone.append(to))
    custom_resource.answer(CloudFormation(url=url).event(), lambda _event: None, physical_id="vault")
    assert gone == [url] * sent


@pytest.fixture
def bootstrap() -> ModuleType:
    path = ROOT / "lambda_src" / "vault_bootstrap" / "handler.py"
    spec = importlib.util.spec_from_file_location("vault_bootstrap_handler", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_deleting_the_bootstrap_touches_nothing(cloudformation: CloudFormation, bootstrap: ModuleType) -> None:
    bootstrap.handler(cloudformation.event("Delete", PhysicalResourceId="vault"), Invocation(seconds=900))

    assert cloudformation.taken[0]["Status"] == "SUCCESS"


def test_a_bootstrap_that_is_set_up_wrongly_fails_the_deployment_at_once(
    cloudformation: CloudFormation, bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VAULT_CLUSTER", raising=False)
    properties = {"ServiceToken": "arn", "IamRoles": {}}
    bootstrap.handler(cloudformation.event(ResourceProperties=properties), Invocation(seconds=900))

    (answer,) = cloudformation.taken
    assert answer["Status"] == "FAILED"
    assert "MissingSettingError" in answer["Reason"]


def test_properties_that_the_template_must_give(cloudformation: CloudFormation, bootstrap: ModuleType) -> None:
    bootstrap.handler(cloudformation.event(), Invocation(seconds=900))

    assert "iam_roles" in cloudformation.taken[0]["Reason"].lower() or "IamRoles" in cloudformation.taken[0]["Reason"]
