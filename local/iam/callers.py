"""Who sends a request: an operator of the run, who may do everything, or a role that somebody has taken on."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qs

from moto.awslambda_simple.models import lambda_simple_backends
from moto.sts.models import AssumedRole, sts_backends

from local.iam.calls import Context, context
from local.iam.decisions import Principal
from local.iam.deployed import ACCOUNT
from local.iam.refusals import RefusedError

OPERATORS = frozenset({"local", "gateway"})
"""Access keys that stand for what no template gives rights to: whoever deploys and sets up, and API Gateway itself.

Each is its own secret."""


@dataclass(frozen=True, kw_only=True)
class Credential:
    """What a signature says of itself."""

    key: str
    region: str
    service: str
    token: str
    """Of a session; empty where there is none."""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """A role's session, and what conditions may ask about it."""

    principal: Principal
    context: Context


def credential(environ: Mapping[str, str]) -> Credential | None:
    """Of a request signed by version 4, in a header or in a link; None where it is not signed."""
    header = environ.get("HTTP_AUTHORIZATION", "")
    query = parse_qs(environ.get("QUERY_STRING", "")) if "X-Amz-Credential" in environ.get("QUERY_STRING", "") else {}
    scope = header.partition("Credential=")[2].partition(",")[0] or query.get("X-Amz-Credential", [""])[0]
    parts = scope.strip().split("/")
    if len(parts) != 5:
        return None
    token = environ.get("HTTP_X_AMZ_SECURITY_TOKEN") or query.get("X-Amz-Security-Token", [""])[0]
    return Credential(key=parts[0], region=parts[2], service=parts[3], token=token)


def caller(given: Credential | None) -> Caller | None:
    """The role behind a credential; None where it is an operator's.

    :raises RefusedError: nobody has it.
    """
    if given is None:
        raise RefusedError.unsigned()
    if given.key in OPERATORS:
        return None
    session = _session(given.key)
    if session.session_token != given.token:
        raise RefusedError.unknown_key()
    return _of_session(session)


def secret(key: str) -> str:
    """With which the holder of an access key signs.

    :raises RefusedError: nobody has it.
    """
    return key if key in OPERATORS else str(_session(key).secret_access_key)


@lru_cache(maxsize=1024)
def _session(key: str) -> AssumedRole:
    for session in reversed(sts_backends[ACCOUNT]["aws"].assumed_roles):
        if session.access_key_id == key:
            return session
    raise RefusedError.unknown_key()


@lru_cache(maxsize=1024)
def _of_session(session: AssumedRole) -> Caller:
    return _caller(str(session.role_arn), str(session.session_name), _function(session))


@lru_cache(maxsize=256)
def _caller(role: str, session: str, function: str | None) -> Caller:
    name = role.rpartition("/")[2]
    told = {
        "aws:PrincipalAccount": ACCOUNT,
        "aws:PrincipalArn": role,
        "aws:PrincipalIsAWSService": "false",
        "aws:ResourceAccount": ACCOUNT,
        # As from inside the VPC of a deployment; here everything stays on loopback, in plain text.
        "aws:SecureTransport": "true",
        "s3:TlsVersion": "1.3",
    }
    if function is not None:
        told["lambda:SourceFunctionArn"] = function
    principal = Principal(account=ACCOUNT, role=role, session=f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{session}")
    return Caller(principal=principal, context=context(told))


def of_function(role: str) -> Caller:
    """Lambda itself, when it uses the role of a function, for example to fetch messages for it."""
    return _caller(role, "lambda", None)


def _function(session: AssumedRole) -> str | None:
    """ARN of the function whose code holds the session: named by it, and its own role."""
    for function in lambda_simple_backends[ACCOUNT][session.region_name].list_functions():
        if (function.function_name, function.role) == (session.session_name, session.role_arn):
            return str(function.function_arn)
    return None
