"""What API Gateway itself answers, as problem documents like those of the services.

A template is one for all paths, so each document also has the members by which MLflow's clients know an error
(extension members are part of RFC 9457, section 3.2).
"""

import json
from collections.abc import Mapping

from anfl.problems import Problem
from anfl.protection import CACHING, PRIVATE, PROTECTION
from anfl.registry.errors import mlflow_members

_RETRY_SECONDS = 1


def _problem(status: int, code: str, detail: str, *, retry_after: int | None = None) -> Problem:
    return Problem(status, code, detail, retry_after=retry_after)


def _unavailable(code: str, detail: str) -> Problem:
    return _problem(503, code, detail, retry_after=_RETRY_SECONDS)


_NO_TOKEN = "send a valid bearer token in the Authorization header; POST /v1/auth/token gives one"  # noqa: S105
_AUTH_DOWN = "tokens cannot be checked at the moment; try again"

RESPONSES: Mapping[str, Problem] = {
    "UNAUTHORIZED": _problem(401, "unauthorized", _NO_TOKEN),
    "ACCESS_DENIED": _problem(403, "forbidden", "none of the token's roles allows this"),
    "EXPIRED_TOKEN": _problem(401, "unauthorized", _NO_TOKEN),
    "INVALID_SIGNATURE": _problem(401, "unauthorized", _NO_TOKEN),
    "INVALID_API_KEY": _problem(403, "forbidden", "the API key is not valid"),
    "WAF_FILTERED": _problem(403, "request_blocked", "the request was refused by the firewall"),
    # API Gateway's name for a path or method that the API does not have.
    "MISSING_AUTHENTICATION_TOKEN": _problem(404, "not_found", "there is no such route; see GET /v1/openapi.json"),
    "RESOURCE_NOT_FOUND": _problem(404, "not_found", "there is no such route; see GET /v1/openapi.json"),
    "REQUEST_TOO_LARGE": _problem(413, "too_large", "a request has at most 10 MB; send it in parts"),
    "UNSUPPORTED_MEDIA_TYPE": _problem(415, "unsupported_media_type", "send JSON, with content-type application/json"),
    "THROTTLED": _problem(429, "throttled", "too many requests; slow down and try again", retry_after=_RETRY_SECONDS),
    "QUOTA_EXCEEDED": _problem(429, "throttled", "the quota is used up; try again later", retry_after=60),
    "BAD_REQUEST_BODY": _problem(400, "invalid_request", "the body of the request is not valid"),
    "BAD_REQUEST_PARAMETERS": _problem(400, "invalid_request", "a parameter of the request is not valid"),
    "AUTHORIZER_FAILURE": _unavailable("auth_unavailable", _AUTH_DOWN),
    "AUTHORIZER_CONFIGURATION_ERROR": _unavailable("auth_unavailable", _AUTH_DOWN),
    "API_CONFIGURATION_ERROR": _problem(500, "internal_error", "the API is set up wrongly; report the request id"),
    "INTEGRATION_FAILURE": _unavailable("service_unavailable", "the service does not answer; try again"),
    "INTEGRATION_TIMEOUT": _problem(504, "timeout", "the service took too long; its work may still have been done"),
    "DEFAULT_4XX": _problem(400, "invalid_request", "the request is not valid"),
    "DEFAULT_5XX": _problem(500, "internal_error", "something went wrong; report the request id"),
}
"""By response type: every type that API Gateway knows."""


def gateway_responses() -> dict[str, object]:
    """`RESPONSES` as the extension ``x-amazon-apigateway-gateway-responses`` of an OpenAPI document."""
    return {kind: _response(problem) for kind, problem in RESPONSES.items()}


def _response(problem: Problem) -> dict[str, object]:
    given = problem.headers() | PROTECTION | {CACHING: PRIVATE}
    headers = {f"gatewayresponse.header.{name}": f"'{value}'" for name, value in given.items()}
    return {
        "statusCode": problem.status,
        "responseParameters": headers | {"gatewayresponse.header.x-request-id": "context.requestId"},
        "responseTemplates": {"application/json": json.dumps(problem.document() | mlflow_members(problem))},
    }
