"""What STS says to signatures that are not as AWS has them: Vault takes its word for who logs in."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import boto3
import botocore.auth
import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from hvac.aws_utils import SigV4Auth as HvacSigner
from hvac.aws_utils import generate_sigv4_auth_request

from tests.local.aws.conftest import REGION, Aws

BODY = "Action=GetCallerIdentity&Version=2011-06-15"
ARN = "arn:aws:sts::123456789012:assumed-role/signer/me"
HEADERS = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8", "X-Mine": "one  two"}


@pytest.fixture(name="session", scope="module")
def _session(aws: Aws) -> Credentials:
    """Of a role that may do nothing; but anybody may ask who they are."""
    aws.client("iam").create_role(RoleName="signer", AssumeRolePolicyDocument="{}")
    arn = "arn:aws:iam::123456789012:role/signer"
    given = aws.client("sts").assume_role(RoleArn=arn, RoleSessionName="me")["Credentials"]
    return Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])


def signed(
    session: Credentials, *, region: str = REGION, service: str = "sts", host: str = f"sts.{REGION}.amazonaws.com"
) -> dict[str, str]:
    """Headers, as a function or service signs them for Vault."""
    request = AWSRequest("POST", f"https://{host}/", data=BODY, headers={**HEADERS, "Host": host})
    SigV4Auth(session, service, region).add_auth(request)
    return dict(request.headers)


def answered(aws: Aws, headers: Mapping[str, str], *, body: str = BODY, path: str = "/") -> tuple[int, str, str]:
    """(status, ARN or the error's code, its message)"""
    with httpx.Client(trust_env=False) as client:
        answer = client.post(aws.endpoint + path, content=body, headers=dict(headers))
    found = dict(re.findall(r"<(Arn|Code|Message)>([^<]*)", answer.text))
    return answer.status_code, found.get("Arn") or found["Code"], unescape(found.get("Message", ""))


def refused(aws: Aws, headers: Mapping[str, str], **sent: Any) -> str:
    """The message of a refusal as a wrong signature."""
    status, code, message = answered(aws, headers, **sent)
    assert (status, code) == (403, "SignatureDoesNotMatch")
    return message


def test_the_right_signature_is_taken(aws: Aws, session: Credentials) -> None:
    assert answered(aws, signed(session))[:2] == (200, ARN)
    assert answered(aws, signed(session, host="sts.amazonaws.com", region="us-east-1"))[:2] == (200, ARN)
    as_others_fold = signed(session) | {"X-Mine": "one two"}
    assert answered(aws, as_others_fold)[:2] == (200, ARN), "runs of spaces are one"
    unsigned = signed(session) | {"X-Another": "of a proxy on the way"}
    assert answered(aws, unsigned)[:2] == (200, ARN)


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
def test_the_signature_of_vaults_client_is_taken(aws: Aws, session: Credentials) -> None:
    """hvac has a signer of its own, which signs the length too."""
    request = generate_sigv4_auth_request(header_value="this-vault")
    HvacSigner(session.access_key, session.secret_key, session.token).add_auth(request)
    assert answered(aws, request.headers, body=request.body)[:2] == (200, ARN)


@pytest.mark.parametrize("name", ["X-Mine", "Content-Type", "Host"])
def test_an_altered_header_is_noticed(aws: Aws, session: Credentials, name: str) -> None:
    headers = signed(session)
    altered = {"Host": "sts.elsewhere.test"}.get(name, headers[name] + "x")
    assert "does not match the signature" in refused(aws, headers | {name: altered})


def test_a_header_that_was_left_out_is_noticed(aws: Aws, session: Credentials) -> None:
    left = {name: value for name, value in signed(session).items() if name != "X-Mine"}
    assert "does not match the signature" in refused(aws, left)


def test_an_altered_body_path_or_query_is_noticed(aws: Aws, session: Credentials) -> None:
    headers = signed(session)
    told = [
        refused(aws, headers, body=f"{BODY}&RoleArn=another"),
        refused(aws, headers, body=""),
        refused(aws, headers, path="/another"),
        refused(aws, headers, path="/?Action=GetCallerIdentity"),
    ]
    assert all("does not match the signature" in each for each in told)


def test_what_another_signed_is_not_the_roles(aws: Aws, session: Credentials) -> None:
    stranger = Credentials(session.access_key, "another secret", session.token)
    assert "does not match the signature" in refused(aws, signed(stranger))
    headers = signed(session)
    signature = headers["Authorization"].rpartition("=")[2]
    for wrong in ("0" * 64, signature[:-1] + ("0" if signature[-1] != "0" else "1")):
        assert "does not match" in refused(
            aws, headers | {"Authorization": headers["Authorization"].replace(signature, wrong)}
        )


def test_a_key_that_nobody_has_is_told_as_such(aws: Aws, session: Credentials) -> None:
    for unknown in (
        Credentials("ASIAUNKNOWN", session.secret_key, session.token),
        Credentials(session.access_key, session.secret_key, "another session"),
    ):
        assert answered(aws, signed(unknown))[:2] == (403, "InvalidClientTokenId")


def test_not_even_an_operators_key_is_believed_by_its_name(aws: Aws) -> None:
    """It may do everything here, so whoever only knows what it is called could take on any role."""
    given = boto3.session.Session("local", "a guess", region_name=REGION).client("sts", endpoint_url=aws.endpoint)
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        given.assume_role(RoleArn="arn:aws:iam::123456789012:role/signer", RoleSessionName="me")


@pytest.mark.parametrize(
    ("minutes", "told"),
    [(-14, None), (14, None), (-16, "Signature expired: "), (16, "Signature not yet current: "), (-1500, "expired")],
)
def test_a_request_is_good_for_a_quarter_of_an_hour(
    aws: Aws, session: Credentials, minutes: int, told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = datetime.now(UTC) + timedelta(minutes=minutes)
    with monkeypatch.context() as clock:
        clock.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: at)
        headers = signed(session)
    if told is None:
        assert answered(aws, headers)[:2] == (200, ARN)
        return
    assert told in refused(aws, headers)
    for fresh in (signed(session)["X-Amz-Date"], "now", ""):
        assert answered(aws, headers | {"X-Amz-Date": fresh})[0] == 403, "nor does another date make it younger"


@pytest.mark.parametrize(
    ("scope", "told"),
    [
        ({"region": "eu-west-1"}, "Credential should be scoped to a valid region."),
        ({"host": "sts.amazonaws.com"}, "Credential should be scoped to a valid region."),
        ({"service": "s3"}, "Credential should be scoped to correct service: 'sts'."),
        ({"service": "iam"}, "Credential should be scoped to correct service: 'sts'."),
    ],
)
def test_a_signature_for_another_place_is_refused(
    aws: Aws, session: Credentials, scope: dict[str, str], told: str
) -> None:
    status, _, message = answered(aws, signed(session, **scope))
    assert (status, message) == (403, told)


def test_half_a_signature_is_told_from_a_wrong_one(aws: Aws, session: Credentials) -> None:
    headers = signed(session)
    whole = headers["Authorization"]
    for half in (
        whole.partition(", Signature")[0],
        f"{whole}, Credential=another/1/2/3/4",
        whole.replace("AWS4", "AWS3"),
    ):
        assert answered(aws, headers | {"Authorization": half})[:2] == (403, "IncompleteSignature")
    without_host = whole.replace("host;", "")
    assert "'Host'" in refused(aws, headers | {"Authorization": without_host})
