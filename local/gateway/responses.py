"""Gateway responses: what API Gateway itself answers, rendered from the template's declarations."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, auto
from typing import Any

Header = tuple[bytes, bytes]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A complete HTTP response."""

    status: int
    headers: list[Header] = field(default_factory=list)
    body: bytes = b""


class Refusal(StrEnum):
    """Response types, as templates name them."""

    ACCESS_DENIED = auto()
    API_CONFIGURATION_ERROR = auto()
    AUTHORIZER_CONFIGURATION_ERROR = auto()
    AUTHORIZER_FAILURE = auto()
    DEFAULT_4XX = auto()
    DEFAULT_5XX = auto()
    INTEGRATION_TIMEOUT = auto()
    MISSING_AUTHENTICATION_TOKEN = auto()
    REQUEST_TOO_LARGE = auto()
    UNAUTHORIZED = auto()


_INTERNAL = "Internal server error"
_DEFAULTS = {
    Refusal.ACCESS_DENIED: (403, "User is not authorized to access this resource"),
    Refusal.API_CONFIGURATION_ERROR: (500, _INTERNAL),
    Refusal.AUTHORIZER_CONFIGURATION_ERROR: (500, _INTERNAL),
    Refusal.AUTHORIZER_FAILURE: (500, _INTERNAL),
    Refusal.DEFAULT_4XX: (400, "Bad request"),
    Refusal.DEFAULT_5XX: (502, _INTERNAL),
    Refusal.INTEGRATION_TIMEOUT: (504, "Endpoint request timed out"),
    Refusal.MISSING_AUTHENTICATION_TOKEN: (403, "Missing Authentication Token"),
    Refusal.REQUEST_TOO_LARGE: (413, "HTTP content length exceeded 10485760 bytes."),
    Refusal.UNAUTHORIZED: (401, "Unauthorized"),
}
"""Status and message where the template says nothing."""


class Refused(Exception):  # noqa: N818 - the gateway refuses; nothing went wrong in it
    """Ends a request with a gateway response. ``reason`` is for the log alone."""

    def __init__(self, refusal: Refusal, reason: str = "") -> None:
        super().__init__(f"{refusal} {reason}".strip())
        self.refusal = refusal


_VARIABLE = re.compile(r"\$\{?(context(?:\.\w+)+)\}?")


def context_value(path: str, context: Mapping[str, Any]) -> str:
    """The value of a variable such as ``context.authorizer.tenant``; empty where there is none, as in AWS."""
    value: Any = context
    for name in path.split(".")[1:]:
        value = value.get(name) if isinstance(value, Mapping) else None
    return "" if value is None else str(value)


class GatewayResponses:
    """All responses of one API: the declared ones, and AWS's defaults for the others."""

    def __init__(self, declared: Mapping[str, Mapping[str, Any]]) -> None:
        """:param declared: the API's ``x-amazon-apigateway-gateway-responses``."""
        self._declared = declared

    def render(self, refusal: Refusal, context: Mapping[str, Any], *, accept: str = "") -> Answer:
        """The response to ``refusal``; ``context`` holds the ``$context`` variables."""
        default_status, message = _DEFAULTS[refusal]
        fallback = self._declared.get("DEFAULT_4XX" if default_status < 500 else "DEFAULT_5XX", {})
        own = self._declared.get(refusal.upper(), fallback)
        status = int(own.get("statusCode") or default_status)
        error = {"message": message, "messageString": json.dumps(message), "responseType": refusal.upper()}
        known = {**context, "error": error}
        templates: dict[str, str] = own.get("responseTemplates") or {
            "application/json": '{"message":$context.error.messageString}'
        }
        media_type = next((kind for kind in (accept, "application/json") if kind in templates), next(iter(templates)))
        body = _VARIABLE.sub(lambda match: context_value(match[1], known), templates[media_type])
        headers = {"content-type": media_type, "x-amzn-errortype": f"{refusal.title().replace('_', '')}Exception"}
        for name, value in (own.get("responseParameters") or {}).items():
            text = str(value)
            literal = text[1:-1] if text.startswith("'") else context_value(text, known)
            headers[name.removeprefix("gatewayresponse.header.").lower()] = literal
        return Answer(status=status, headers=[(k.encode(), v.encode()) for k, v in headers.items()], body=body.encode())
