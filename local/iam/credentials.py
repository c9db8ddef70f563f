"""Temporary credentials of a role, from the embedded AWS."""

import re

import boto3
from botocore.config import Config

from local.guard import require_loopback

_CONFIG = Config(connect_timeout=2, read_timeout=15, retries={"mode": "standard", "total_max_attempts": 3}, proxies={})
SESSION_SECONDS = 43200


def role_environment(endpoint: str, role_arn: str, region: str, *, session_name: str | None = None) -> dict[str, str]:
    """Variables for a process that runs as ``role_arn``: its credentials, region and AWS endpoint.

    :param session_name: last part of the caller's ARN; the role's name where none is given.
    :raises NotLoopbackError: ``endpoint`` is not on this machine.
    """
    require_loopback(endpoint)
    # A session of its own, with explicit keys: the user's profile and credential files are never looked at.
    session = boto3.session.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name=region)  # noqa: S106 - opens nothing
    sts = session.client("sts", endpoint_url=endpoint, config=_CONFIG)
    name = re.sub(r"[^\w+=,.@-]", "-", session_name or role_arn.rpartition("/")[2])[:64]
    answer = sts.assume_role(RoleArn=role_arn, RoleSessionName=name, DurationSeconds=SESSION_SECONDS)["Credentials"]
    keys = (answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"])
    return environment(endpoint, region, *keys)


def environment(endpoint: str, region: str, access_key: str, secret: str, token: str) -> dict[str, str]:
    """The variables that hold temporary credentials and where to use them."""
    return {
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_SESSION_TOKEN": token,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
