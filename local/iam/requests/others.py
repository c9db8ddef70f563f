"""Services whose operations need one action on the resource that a parameter names."""

import base64
from collections.abc import Callable, Mapping
from urllib.parse import unquote

from local.iam import deployed
from local.iam.calls import Call, context
from local.iam.errors import UnknownRequestError
from local.iam.requests.request import Request

Resource = Callable[[Request], str]
_ANY = "*"


def _arn(service: str, request: Request, rest: str) -> str:
    return rest if rest.startswith("arn:") else f"arn:aws:{service}:{request.region}:{deployed.ACCOUNT}:{rest}"


def _parameter(request: Request) -> str:
    name = str(request.parameters["Name"])
    return _arn("ssm", request, name if name.startswith("arn:") else f"parameter/{name.lstrip('/')}")


def _secret(request: Request) -> str:
    return deployed.secret_arn(request.region, str(request.parameters["SecretId"]))


def _key(request: Request) -> str:
    given = request.parameters
    if "KeyId" not in given:  # a ciphertext names its key
        return deployed.key_arn(request.region, deployed.key_of(base64.b64decode(given["CiphertextBlob"])))
    return deployed.key_arn(request.region, str(given["KeyId"]))


def _named(name: str) -> Resource:
    return lambda request: str(request.parameters[name])


def _task_services(request: Request) -> tuple[str, ...]:
    cluster = str(request.parameters.get("cluster", "default")).rpartition("/")[2]
    names = (str(name).rpartition("/")[2] for name in request.parameters["services"])
    return tuple(_arn("ecs", request, f"service/{cluster}/{name}") for name in names)


_TABLES: Mapping[str, Mapping[str, Resource]] = {
    "kms": dict.fromkeys(
        (
            "Decrypt",
            "DescribeKey",
            "Encrypt",
            "GenerateDataKey",
            "GenerateDataKeyWithoutPlaintext",
            "GenerateMac",
            "Sign",
        ),
        _key,
    ),
    "secretsmanager": dict.fromkeys(("DescribeSecret", "GetSecretValue", "PutSecretValue"), _secret),
    "sns": {"Publish": _named("TopicArn")},
    "ssm": dict.fromkeys(("GetParameter", "PutParameter"), _parameter),
    "states": {
        "DescribeExecution": _named("executionArn"),
        "StartExecution": _named("stateMachineArn"),
        "StopExecution": _named("executionArn"),
    },
}
"""Service → operation, which is also the action's name → its resource."""


def _tabled(request: Request) -> tuple[Call, ...]:
    resource = _TABLES[request.service].get(request.operation)
    if resource is None:
        raise _unknown(request)
    told = _told_to_kms(request) if request.service == "kms" else {}
    return (
        Call(
            action=f"{request.service}:{request.operation}",
            resource=resource(request),
            context=context(told),
        ),
    )


def _told_to_kms(request: Request) -> dict[str, str]:
    bound = dict(request.parameters.get("EncryptionContext") or {})
    return {
        "kms:CallerAccount": deployed.ACCOUNT,
        **{f"kms:EncryptionContext:{name}": str(value) for name, value in bound.items()},
    }


def _sts(request: Request) -> tuple[Call, ...]:
    """Anybody may ask who they are."""
    if request.operation == "GetCallerIdentity":
        return ()
    if request.operation == "AssumeRole":
        return (Call(action="sts:AssumeRole", resource=str(request.parameters["RoleArn"])),)
    raise _unknown(request)


def _ecs(request: Request) -> tuple[Call, ...]:
    if request.operation != "DescribeServices":
        raise _unknown(request)
    return tuple(Call(action="ecs:DescribeServices", resource=arn) for arn in _task_services(request))


def _cloudwatch(request: Request) -> tuple[Call, ...]:
    if request.operation != "PutMetricData":
        raise _unknown(request)
    told = context({"cloudwatch:namespace": str(request.parameters["Namespace"])})
    return (Call(action="cloudwatch:PutMetricData", resource=_ANY, context=told),)


def _lambda(request: Request) -> tuple[Call, ...]:
    _, _, rest = request.path.partition("/functions/")
    name, _, what = rest.partition("/")
    if (request.method, what) != ("POST", "invocations"):
        raise _unknown(request)
    name = unquote(name)
    return (Call(action="lambda:InvokeFunction", resource=_arn("lambda", request, _function(name))),)


def _function(name: str) -> str:
    return name if name.startswith("arn:") else f"function:{name}"


def _unknown(request: Request) -> UnknownRequestError:
    what = request.operation or f"{request.method} {request.path}"
    return UnknownRequestError(f"{request.service}:{what}: add it to local/iam/requests/others.py")


SERVICES: Mapping[str, Callable[[Request], tuple[Call, ...]]] = {
    **dict.fromkeys(_TABLES, _tabled),
    "ecs": _ecs,
    "lambda": _lambda,
    "monitoring": _cloudwatch,
    "sts": _sts,
}
