"""An embedded AWS in its own process, and a small stack deployed to it."""

import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

REPOSITORY = Path(__file__).resolve().parents[3]
REGION = "us-west-1"
CANARY = "canary-of-the-host"
"""Stands in the host's environment where the real credentials, profile and proxies would."""
HOST = {
    "AWS_PROFILE": CANARY,
    "AWS_ACCESS_KEY_ID": CANARY,
    "AWS_SECRET_ACCESS_KEY": CANARY,
    "AWS_SESSION_TOKEN": CANARY,
    "HTTPS_PROXY": f"http://{CANARY}:1",
    "HTTP_PROXY": f"http://{CANARY}:1",
    "NO_PROXY": "127.0.0.1",
}

HANDLER = """
import json, os, subprocess, sys, time
import boto3

COUNT = 0

def handler(event, context):
    global COUNT
    COUNT += 1
    if "Records" in event:
        return queue(event["Records"])
    if event.get("source") == "aws.events":
        note(event["resources"][0].rpartition("/")[2], event["id"])
    do = event.get("do")
    if do == "report":
        sts = boto3.client("sts")
        return {"pid": os.getpid(), "count": COUNT, "env": dict(os.environ), "path": sys.path,
                "arn": sts.get_caller_identity()["Arn"], "remaining": context.get_remaining_time_in_millis(),
                "memory": context.memory_limit_in_mb}
    if do == "sleep":
        time.sleep(event["seconds"])
        return os.getpid()
    if do == "allocate":
        block = bytearray(os.urandom(1024) * 1024 * event["mb"])
        time.sleep(1)
        return len(block)
    if do == "reserve":
        import mmap
        return len(mmap.mmap(-1, event["mb"] * 1024 * 1024))
    if do == "exit":
        os._exit(3)
    if do == "raise":
        raise ValueError("no such thing")
    if do == "print":
        print("said by the handler")
    if do == "large":
        return "x" * 7_000_000
    return {"ok": True}

def queue(records):
    failed = []
    for record in records:
        body = json.loads(record["body"])
        note(body["run"], f"{body['id']}#{record['attributes']['ApproximateReceiveCount']}")
        if body.get("fail"):
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}

def note(run, what):
    table = boto3.client("dynamodb")
    table.put_item(TableName=os.environ["TABLE"], Item={"pk": {"S": run}, "sk": {"S": what}})
"""


MAY = [
    {
        "Effect": "Allow",
        "Action": "dynamodb:PutItem",
        "Resource": {"Fn::Join": ["", ["arn:aws:dynamodb:", {"Ref": "AWS::Region"}, ":123456789012:table/events"]]},
    },
    {
        "Effect": "Allow",
        "Action": ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"],
        "Resource": {"Fn::GetAtt": ["Work", "Arn"]},
    },
]
"""What the probe's role may do: write its table, and have the queue polled for it."""


@dataclass(frozen=True)
class Aws:
    """A running embedded AWS."""

    endpoint: str
    pid: int
    logs: Path

    def client(self, service: Any, region: str = REGION) -> Any:
        """A client with dummy credentials."""
        session = boto3.session.Session(aws_access_key_id="local", aws_secret_access_key="local")
        config = Config(retries={"total_max_attempts": 1}, read_timeout=30, max_pool_connections=32)
        return session.client(service, region_name=region, endpoint_url=self.endpoint, config=config)

    def get(self, path: str) -> Any:
        """JSON from a control address."""
        with urllib.request.urlopen(self.endpoint + path, timeout=30) as answer:  # noqa: S310 - loopback
            return json.load(answer)

    def create(self, name: str, resources: dict[str, Any], region: str = REGION, **sections: Any) -> None:
        """Create a stack."""
        template = json.dumps({"Resources": resources, **sections})
        self.client("cloudformation", region).create_stack(StackName=name, TemplateBody=template)

    def resource(self, stack: str, logical_id: str) -> dict[str, Any]:
        """A deployed resource as the embedded AWS describes it."""
        found = [r for r in self.get("/_anfl/resources") if (r["stack"], r["logical_id"]) == (stack, logical_id)]
        assert len(found) == 1, found
        return dict(found[0])

    def noted(self, run: str) -> set[str]:
        """What the probe has written down under ``run``."""
        answer = self.client("dynamodb").query(
            TableName="events", KeyConditionExpression="pk = :run", ExpressionAttributeValues={":run": {"S": run}}
        )
        return {item["sk"]["S"] for item in answer["Items"]}

    def invoke(self, function: str, event: object, **options: Any) -> tuple[Any, str | None]:
        """The function's result and error kind."""
        answer = self.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event), **options)
        return json.loads(answer["Payload"].read()), answer.get("FunctionError")


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    """The embedded AWS, for all tests here."""
    with running(tmp_path_factory.mktemp("aws"), "--minute", "0.5") as server:
        yield server


@contextmanager
def running(folder: Path, *options: str) -> Iterator[Aws]:
    """The embedded AWS, started from a shell that holds somebody's credentials."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "functions.log"
    addresses = json.dumps({"http://vault.anfl.internal:8200": "http://127.0.0.1:8201"})
    command = [sys.executable, "-m", "local.aws", "--port", str(port), "--log", str(log), "--addresses", addresses]
    with (folder / "aws.log").open("wb") as output:
        process = subprocess.Popen(
            [*command, "--cache", str(folder / "cache"), *options],
            cwd=REPOSITORY,
            env={**os.environ, **HOST},
            stdout=output,
            stderr=output,
        )
    server = Aws(f"http://127.0.0.1:{port}", process.pid, folder)
    try:
        wait_until(lambda: process.poll() is not None or _answers(server), seconds=120)
        assert process.poll() is None, (folder / "aws.log").read_text()
        yield server
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="session")
def function(aws: Aws) -> str:
    """Name of a deployed function with 256 MB and 2 s."""
    bundle = io.BytesIO()
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr("handler.py", HANDLER)
        archive.writestr("broken.py", "raise RuntimeError('cannot load')")
    aws.client("s3", "us-east-1").create_bucket(Bucket="assets")
    aws.client("s3").put_object(Bucket="assets", Key="function.zip", Body=bundle.getvalue())
    code = {"S3Bucket": "assets", "S3Key": "function.zip"}
    common = {
        "Code": code,
        "Runtime": "python3.13",
        "Role": {"Fn::GetAtt": ["Role", "Arn"]},
        "MemorySize": 256,
        "Timeout": 2,
        "Environment": {
            "Variables": {"TABLE": {"Ref": "Table"}, "VAULT_ADDR": "http://vault.anfl.internal:8200", "KEPT": "as is"}
        },
    }
    aws.create(
        "functions",
        {
            "Role": {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "RoleName": "probe-role",
                    "AssumeRolePolicyDocument": {"Statement": []},
                    "Policies": [{"PolicyName": "probe", "PolicyDocument": {"Statement": MAY}}],
                },
            },
            "Table": {
                "Type": "AWS::DynamoDB::GlobalTable",
                "Properties": {
                    "TableName": "events",
                    "BillingMode": "PAY_PER_REQUEST",
                    "AttributeDefinitions": [{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "sk")],
                    "KeySchema": [
                        {"AttributeName": "pk", "KeyType": "HASH"},
                        {"AttributeName": "sk", "KeyType": "RANGE"},
                    ],
                    "Replicas": [{"Region": REGION}, {"Region": "eu-west-1"}],
                },
            },
            "Probe": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    **common,
                    "FunctionName": "probe",
                    "Handler": "handler.handler",
                    "EphemeralStorage": {"Size": 1024},
                },
            },
            "Broken": {
                "Type": "AWS::Lambda::Function",
                "Properties": {**common, "FunctionName": "broken", "Handler": "broken.handler"},
            },
            "Dead": {"Type": "AWS::SQS::Queue"},
            "Work": {
                "Type": "AWS::SQS::Queue",
                "Properties": {
                    "QueueName": "work",
                    "VisibilityTimeout": 1,
                    "RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}, "maxReceiveCount": 2},
                },
            },
            "Mapping": {
                "Type": "AWS::Lambda::EventSourceMapping",
                "Properties": {
                    "EventSourceArn": {"Fn::GetAtt": ["Work", "Arn"]},
                    "FunctionName": {"Ref": "Probe"},
                    "BatchSize": 10,
                    "FunctionResponseTypes": ["ReportBatchItemFailures"],
                },
            },
        },
    )
    return "probe"


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], None]:
    """Wait until a condition holds."""
    return wait_until


def wait_until(condition: Callable[[], object], *, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def _answers(server: Aws) -> bool:
    try:
        return bool(server.get("/_anfl/health"))
    except OSError:
        return False
