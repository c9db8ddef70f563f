"""The caretakers' handlers: an event of CloudFormation in, an answer and its effect out."""

import importlib.util
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from moto import mock_aws

from anfl import aws, custom_resource
from tests.unit.caretakers.test_replication import properties, rules

SOURCES = Path(__file__).resolve().parents[3] / "lambda_src"


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of nobody."""
    for name, value in (
        ("ACCESS_KEY_ID", "testing"),
        ("SECRET_ACCESS_KEY", "testing"),
        ("DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(f"AWS_{name}", value)


def handler_of(function: str) -> ModuleType:
    """The module that Lambda would import."""
    spec = importlib.util.spec_from_file_location(f"{function}_handler", SOURCES / function / "handler.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rules_come_with_the_resource_and_go_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = []

    def answer(event: Any, act: Callable[[Any], None], *, physical_id: str) -> None:
        act(event)
        answered.append(physical_id)

    monkeypatch.setattr(custom_resource, "answer", answer)
    with mock_aws():
        module = handler_of("bucket_replication")
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


def test_the_watch_says_each_minute_what_it_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("ANFL_ENVIRONMENT", "prod"),
        ("WATCHED_REGION", "eu-west-1"),
        ("WATCHED_HOST", "localhost.invalid"),  # no name server knows it: the region does not answer
        ("DRAINED_PARAMETER", "/anfl/prod/drained/eu-west-1"),
    ):
        monkeypatch.setenv(name, value)
    aws.session.cache_clear()
    with mock_aws():
        module = handler_of("watch")
        ssm = boto3.client("ssm")
        ssm.put_parameter(Name="/anfl/prod/drained/eu-west-1", Value="true", Type="String")
        module.handler({}, None)
        cloudwatch = boto3.client("cloudwatch")
        now = datetime.now(UTC)
        values = {
            metric: cloudwatch.get_metric_statistics(
                Namespace="ANFL",
                MetricName=metric,
                Dimensions=[{"Name": "Environment", "Value": "prod"}, {"Name": "Region", "Value": "eu-west-1"}],
                StartTime=now - timedelta(minutes=5),
                EndTime=now + timedelta(minutes=5),
                Period=60,
                Statistics=["Maximum"],
            )["Datapoints"][0]["Maximum"]
            for metric in ("RegionAnswers", "RegionDrained")
        }
    aws.session.cache_clear()
    assert values == {"RegionAnswers": 0, "RegionDrained": 1}
