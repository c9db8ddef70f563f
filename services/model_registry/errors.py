"""Renders problems: MLflow's form on MLflow's paths, problem documents elsewhere."""

from http import HTTPStatus

from anfl.http.answers import Response, json_response, problem_response
from anfl.problems import Problem

MLFLOW_PREFIXES = ("/api/2.0/", "/ajax-api/2.0/")
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


def render(problem: Problem, path: str) -> Response:
    """``problem`` in the form that clients of ``path`` expect."""
    if not path.startswith(MLFLOW_PREFIXES):
        return problem_response(problem)
    code = problem.code.upper()
    if code not in _MLFLOW_CODES:
        default = "INTERNAL_ERROR" if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "BAD_REQUEST"
        code = _BY_STATUS.get(HTTPStatus(problem.status), default)
    response = json_response({"error_code": code, "message": problem.detail}, problem.status)
    for name, value in problem.headers().items():
        if name != "content-type":
            response.raw_headers.append((name.encode(), value.encode("latin-1")))
    return response
