"""Requests that prove an IAM role to Vault's aws mount for some minutes: a signed GetCallerIdentity, for one addressee.

Signed with botocore rather than by hvac's own signer: it follows the session's region and refreshes credentials.
"""

import base64
import json

import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from anfl import aws, environment
from anfl.auth.names import former_server_id, server_id
from anfl.problems import unavailable

ADDRESSEE = "X-Vault-AWS-IAM-Server-ID"
"""Header that says for which Vault a request is; Vault's refusal of another one's names it."""


class _Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The process's environment."""

    environment: str = msgspec.field(name="ANFL_ENVIRONMENT")


def signed(environment_name: str) -> dict[str, str]:
    """The fields of a login to the Vault of an environment (``prod``) in the region of this process's AWS session.

    :raises Problem: 503 ``vault_unavailable``, no credentials or region to sign with.
    """
    return _signed(server_id(environment_name, _region()))


def own_environment() -> str:
    """Which environment this function or service belongs to, whose Vault it logs in to.

    :raises MissingSettingError: it was not told.
    """
    return environment.load(_Settings).environment


def former() -> dict[str, str]:
    """As the release before signed it. A Vault that this release has set up refuses it."""
    return _signed(former_server_id(_region()))


def _region() -> str:
    region = aws.session().region_name
    if region is None:
        raise unavailable("this process has no AWS region to log in to Vault", code="vault_unavailable")
    return region


def _signed(addressee: str) -> dict[str, str]:
    credentials, region = aws.session().get_credentials(), _region()
    if credentials is None:
        raise unavailable("this process has no AWS credentials to log in to Vault", code="vault_unavailable")
    host, body = f"sts.{region}.amazonaws.com", "Action=GetCallerIdentity&Version=2011-06-15"
    request = AWSRequest(
        method="POST",
        url=f"https://{host}/",
        data=body,
        headers={
            "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
            "Host": host,
            ADDRESSEE: addressee,
        },
    )
    SigV4Auth(credentials.get_frozen_credentials(), "sts", region).add_auth(request)
    headers = json.dumps({name: [value] for name, value in request.headers.items()})
    return {
        "iam_http_request_method": "POST",
        "iam_request_url": _encoded(f"https://{host}/"),
        "iam_request_body": _encoded(body),
        "iam_request_headers": _encoded(headers),
    }


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
