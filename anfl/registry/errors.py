"""The registry's refusals: problems whose codes are MLflow's error codes in lower case.

A transport that speaks MLflow's protocol renders them as ``{"error_code", "message"}`` (see `services.model_registry`),
every other one as problem documents. Messages are those that MLflow's own server gives, because clients match on them.
"""

from http import HTTPStatus

from anfl.problems import Problem

_MLFLOW_CODES = frozenset(
    {
        "INVALID_PARAMETER_VALUE",
        "RESOURCE_ALREADY_EXISTS",
        "RESOURCE_DOES_NOT_EXIST",
        "RESOURCE_CONFLICT",
        "TEMPORARILY_UNAVAILABLE",
    }
)
_BY_STATUS = {
    HTTPStatus.BAD_REQUEST: "BAD_REQUEST",
    HTTPStatus.UNAUTHORIZED: "UNAUTHENTICATED",
    HTTPStatus.FORBIDDEN: "PERMISSION_DENIED",
    HTTPStatus.NOT_FOUND: "ENDPOINT_NOT_FOUND",
    HTTPStatus.METHOD_NOT_ALLOWED: "ENDPOINT_NOT_FOUND",
    HTTPStatus.CONFLICT: "RESOURCE_CONFLICT",
    HTTPStatus.TOO_MANY_REQUESTS: "REQUEST_LIMIT_EXCEEDED",
    HTTPStatus.SERVICE_UNAVAILABLE: "TEMPORARILY_UNAVAILABLE",
    HTTPStatus.GATEWAY_TIMEOUT: "DEADLINE_EXCEEDED",
}


def mlflow_members(problem: Problem) -> dict[str, str]:
    """What MLflow's clients read of a refusal: one of MLflow's error codes, and the message."""
    code = problem.code.upper()
    if code not in _MLFLOW_CODES:
        default = "INTERNAL_ERROR" if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "BAD_REQUEST"
        code = _BY_STATUS.get(HTTPStatus(problem.status), default)
    return {"error_code": code, "message": problem.detail}


def invalid_parameter(message: str, *, field: str | None = None) -> Problem:
    """400 INVALID_PARAMETER_VALUE."""
    return Problem(HTTPStatus.BAD_REQUEST, "invalid_parameter_value", message, field=field)


def does_not_exist(message: str) -> Problem:
    """404 RESOURCE_DOES_NOT_EXIST."""
    return Problem(HTTPStatus.NOT_FOUND, "resource_does_not_exist", message)


def already_exists(message: str) -> Problem:
    """400 RESOURCE_ALREADY_EXISTS: MLflow's protocol says 400, not 409."""
    return Problem(HTTPStatus.BAD_REQUEST, "resource_already_exists", message)


def contended(message: str) -> Problem:
    """503 TEMPORARILY_UNAVAILABLE: others kept changing the same model; the same request may succeed."""
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "temporarily_unavailable", message, retry_after=1)


def model_not_found(name: str) -> Problem:
    """404 for a registered model."""
    return does_not_exist(f"Registered Model with name={name} not found")


def version_not_found(name: str, version: int | str) -> Problem:
    """404 for a version of a registered model."""
    return does_not_exist(f"Model Version (name={name}, version={version}) not found")
