"""The caretakers' handlers: an event of CloudFormation in, an answer and its effect out."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from anfl import custom_resource
from tests.unit.caretakers.test_replication import properties, rules

SOURCE = Path(__file__).resolve().parents[3] / "lambda_src" / "bucket_replication" / "handler.py"


def test_rules_come_with_the_resource_and_go_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("ACCESS_KEY_ID", "testing"),
        ("SECRET_ACCESS_KEY", "testing"),
        ("DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(f"AWS_{name}", value)
    answered = []

    def answer(event: Any, act: Callable[[Any], None], *, physical_id: str) -> None:
        act(event)
        answered.append(physical_id)

    monkeypatch.setattr(custom_resource, "answer", answer)
    with mock_aws():
        spec = importlib.util.spec_from_file_location("bucket_replication_handler", SOURCE)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        s3 = boto3.client("s3", region_name="us-east-1")
        for bucket in ("here", "there", "elsewhere"):
            s3.create_bucket(Bucket=bucket)
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        common = {
            "RequestId": "r",
            "ResponseURL": "http://127.0.0.1:1/",
            "StackId": "arn:aws:cloudformation:us-east-1:123456789012:stack/s/u",
            "LogicalResourceId": "Rules",
        }
        first, second = properties("here"), properties("there")
        module.handler({**common, "RequestType": "Create", "ResourceProperties": first}, None)
        assert rules(s3, "here")
        changed = {"ResourceProperties": second, "OldResourceProperties": first, "PhysicalResourceId": "p"}
        module.handler({**common, "RequestType": "Update", **changed}, None)
        assert not rules(s3, "here")
        assert rules(s3, "there")
        module.handler({**common, "RequestType": "Delete", "ResourceProperties": second}, None)
        assert not rules(s3, "there")
    assert answered == ["bucket-replication"] * 3
