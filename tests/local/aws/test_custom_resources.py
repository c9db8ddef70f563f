"""Custom resources: the function's answer makes or breaks the stack."""

import io
import json
import re
import zipfile
from typing import Any

import pytest

from local.aws.custom_resources import texts
from tests.local.aws.conftest import Aws

HANDLER = """
import json, urllib.request
import boto3

def handler(event, context):
    properties = event["ResourceProperties"]
    if properties.get("Silent"):
        return {"nothing": "said"}
    boto3.client("s3").put_object(Bucket="custom-assets", Key=event["RequestType"], Body=json.dumps(event))
    failed = properties.get("Fail") == event["RequestType"]
    answer = {
        "Status": "FAILED" if failed else "SUCCESS",
        "Reason": "as it was asked to",
        "PhysicalResourceId": event.get("PhysicalResourceId", "made"),
        "StackId": event["StackId"], "RequestId": event["RequestId"], "LogicalResourceId": event["LogicalResourceId"],
        "Data": {"Size": properties["Size"]},
    }
    request = urllib.request.Request(event["ResponseURL"], data=json.dumps(answer).encode(), method="PUT")
    urllib.request.urlopen(request, timeout=5)
"""

WRITE = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::custom-assets/*"}


@pytest.fixture(scope="module")
def token(aws: Aws) -> str:
    """ARN of the function behind the custom resources."""
    bundle = io.BytesIO()
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr("handler.py", HANDLER)
    aws.client("s3", "us-east-1").create_bucket(Bucket="custom-assets")
    aws.client("s3").put_object(Bucket="custom-assets", Key="function.zip", Body=bundle.getvalue())
    aws.create(
        "custom-function",
        {
            "Role": {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "AssumeRolePolicyDocument": {"Statement": []},
                    "Policies": [{"PolicyName": "write", "PolicyDocument": {"Statement": [WRITE]}}],
                },
            },
            "Function": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "FunctionName": "custom",
                    "Code": {"S3Bucket": "custom-assets", "S3Key": "function.zip"},
                    "Runtime": "python3.13",
                    "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                    "Handler": "handler.handler",
                    "MemorySize": 256,
                    "Timeout": 10,
                },
            },
        },
    )
    return str(aws.resource("custom-function", "Function")["attributes"]["Arn"])


def resources(token: str, **properties: object) -> dict[str, Any]:
    return {
        "Thing": {"Type": "Custom::Thing", "Properties": {"ServiceToken": token, **properties}},
        "User": {"Type": "AWS::WAFv2::IPSet", "Properties": {"Name": {"Fn::GetAtt": ["Thing", "Size"]}}},
    }


def event(aws: Aws, kind: str) -> dict[str, Any]:
    """What the function got last."""
    body = aws.client("s3").get_object(Bucket="custom-assets", Key=kind)["Body"].read()
    return dict(json.loads(body))


def test_a_resource_is_made_changed_and_deleted_by_its_function(aws: Aws, token: str) -> None:
    aws.create("custom", resources(token, Size=1, On=True))
    assert aws.resource("custom", "Thing")["physical_id"] == "made"
    assert aws.resource("custom", "User")["properties"]["Name"] == "1"
    made = event(aws, "Create")
    assert made["ResourceType"] == "Custom::Thing"
    assert made["ResourceProperties"] == {"ServiceToken": token, "Size": "1", "On": "true"}
    cloudformation = aws.client("cloudformation")
    cloudformation.update_stack(
        StackName="custom", TemplateBody=json.dumps({"Resources": resources(token, Size=2, On=True)})
    )
    changed = event(aws, "Update")
    assert changed["PhysicalResourceId"] == "made"
    assert (changed["OldResourceProperties"]["Size"], changed["ResourceProperties"]["Size"]) == ("1", "2")
    cloudformation.delete_stack(StackName="custom")
    gone = event(aws, "Delete")
    assert (gone["PhysicalResourceId"], gone["ResourceProperties"]["Size"]) == ("made", "2")


def reasons(aws: Aws, stack: str) -> str:
    """Why the stack was rolled back."""
    events = aws.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"]
    return " ".join(
        event["ResourceStatusReason"] for event in events if event["ResourceStatus"] == "ROLLBACK_IN_PROGRESS"
    )


def test_a_function_that_fails_fails_the_stack_with_its_reason(aws: Aws, token: str) -> None:
    aws.create("custom-failing", resources(token, Size=1, Fail="Create"))
    assert re.search(r"Thing \(Custom::Thing\).*as it was asked to", reasons(aws, "custom-failing"))


def test_a_function_that_says_nothing_fails_the_stack_too(aws: Aws, token: str) -> None:
    aws.create("custom-silent", resources(token, Size=1, Silent=True))
    assert "did not answer" in reasons(aws, "custom-silent")


def test_scalars_are_text() -> None:
    assert texts({"a": [1, True, None, "b", {"c": 1.5}]}) == {"a": ["1", "true", None, "b", {"c": "1.5"}]}


def test_nobody_sets_up_vault_nodes_that_never_boot(aws: Aws) -> None:
    """A placeholder: its function is not even there."""
    arn = "arn:aws:lambda:us-west-1:123456789012:function:anfl-prod-vault-bootstrap"
    resource = {"Type": "AWS::CloudFormation::CustomResource", "Properties": {"ServiceToken": arn}}
    aws.create("no-vault", {"Configuration": resource})

    (found,) = aws.client("cloudformation").describe_stack_resources(StackName="no-vault")["StackResources"]
    assert found["PhysicalResourceId"] == "placeholder"
