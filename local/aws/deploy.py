"""Deploys a cloud assembly to the embedded AWS with the real CDK CLI."""

import asyncio
import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from local.environment import isolated
from local.guard import require_loopback
from operations import toolkit
from operations.toolkit import CDK, Progress

DEPLOY_SECONDS = 300.0
BOOTSTRAP_VERSION = "30"
IMAGE = "ami-12c6146b"
"""One that moto knows."""
_ACCOUNT = "123456789012"
_CONFIG = Config(connect_timeout=2, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 3}, proxies={})


async def deploy(
    cdk_out: Path,
    endpoint: str,
    *,
    log: Path,
    cdk: Path = CDK,
    progress: Progress = toolkit.quiet,
    timeout: float = DEPLOY_SECONDS,
    stacks: Sequence[str] = ("**",),
) -> None:
    """Deploy stacks of the assembly, in whichever region each is, and what they need.

    :param stacks: patterns of names; all of them.
    :param log: gets everything that the CLI prints.
    :param timeout: seconds for all of it.
    :raises ToolkitFailedError: a stack failed, or time ran out.
    :raises NotLoopbackError: ``endpoint`` is not on this machine.
    """
    require_loopback(endpoint)
    await asyncio.to_thread(bootstrap, cdk_out, endpoint)
    # Change sets would lose exports and outputs in moto.
    await toolkit.run(
        ("deploy", *stacks, "--method=direct", "--require-approval=never"),
        assembly=cdk_out,
        variables=environment(endpoint),
        log=log,
        cdk=cdk,
        progress=progress,
        timeout=timeout,
    )


def environment(endpoint: str) -> dict[str, str]:
    """What the CLI and this project's commands need to work on the embedded AWS instead of an account."""
    return {
        **isolated(),
        "AWS_ENDPOINT_URL": endpoint,
        # Templates are handed to CloudFormation by an S3 URL, whose host moto must recognise.
        "AWS_ENDPOINT_URL_S3_FOR_CLOUDFORMATION": f"http://localhost:{urlsplit(endpoint).port}",
        "AWS_REGION": "us-east-1",
        "CDK_DEFAULT_ACCOUNT": _ACCOUNT,
        "CI": "true",
    }


def bootstrap(cdk_out: Path, endpoint: str) -> None:
    """Make what ``cdk bootstrap`` makes, as far as the assembly names it: parameters, buckets, roles.

    And the parameters by which an operator names images.
    """
    session = boto3.session.Session(aws_access_key_id="local", aws_secret_access_key="local")  # noqa: S106

    def client(service: Any, region: str) -> Any:  # noqa: ANN401 - boto3's overloads
        return session.client(service, region_name=region, endpoint_url=endpoint, config=_CONFIG)

    needs = sorted(_needs(cdk_out))
    for kind, region, name in needs:
        if kind == "parameter":
            client("ssm", region).put_parameter(Name=name, Value=BOOTSTRAP_VERSION, Type="String", Overwrite=True)
        elif kind == "image":
            client("ssm", region).put_parameter(Name=name, Value=IMAGE, Type="String", Overwrite=True)
        elif kind == "bucket":
            place: Mapping[str, Any] = (
                {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
            )
            s3 = client("s3", region)
            with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
                s3.create_bucket(Bucket=name, **place)
        else:
            iam = client("iam", region)
            with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
                iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(_TRUST))
            iam.attach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")


_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
}


def _needs(cdk_out: Path) -> Iterator[tuple[str, str, str]]:
    """(kind, region, name) of everything that the assembly expects to stand already; each at least once."""
    found: set[tuple[str, str, str]] = set()
    for manifest in cdk_out.rglob("manifest.json"):
        for artifact in json.loads(manifest.read_bytes()).get("artifacts", {}).values():
            region = artifact.get("environment", "").rpartition("/")[2]
            properties = artifact.get("properties", {})
            if artifact.get("type") != "aws:cloudformation:stack":
                continue
            if parameter := properties.get("bootstrapStackVersionSsmParameter"):
                found.add(("parameter", region, parameter))
            template = json.loads((manifest.parent / properties["templateFile"]).read_bytes())
            found |= {("image", region, name) for name in _images(template)}
            for key in ("assumeRoleArn", "cloudFormationExecutionRoleArn"):
                if arn := properties.get(key):
                    found.add(("role", "us-east-1", _resolved(arn, region).rpartition("/")[2]))
    for manifest in cdk_out.rglob("*.assets.json"):
        for asset in json.loads(manifest.read_bytes()).get("files", {}).values():
            for destination in asset["destinations"].values():
                region = destination["region"]
                found.add(("bucket", region, _resolved(destination["bucketName"], region)))
                if arn := destination.get("assumeRoleArn"):
                    found.add(("role", "us-east-1", _resolved(arn, region).rpartition("/")[2]))
    yield from found


def _images(template: Mapping[str, Any]) -> Iterator[str]:
    """Names of the parameters that name images and are none of AWS's own."""
    for parameter in template.get("Parameters", {}).values():
        if parameter["Type"] == "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>":
            name = str(parameter["Default"])
            if not name.startswith("/aws/"):
                yield name


def _resolved(text: str, region: str) -> str:
    for name, value in (("AccountId", _ACCOUNT), ("Partition", "aws"), ("Region", region)):
        text = text.replace(f"${{AWS::{name}}}", value)
    return text
