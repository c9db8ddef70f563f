"""Refusals in the words and shapes of AWS, so that code which handles them is tested with the real thing."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

_QUERY_COMPATIBLE = frozenset({"monitoring", "sqs"})
"""Services that speak JSON and name errors as they did when they spoke forms."""


class RefusedError(Exception):
    """A request that is not served. ``code`` in S3's words, ``kind`` in those of the JSON protocols."""

    def __init__(self, message: str, *, code: str, kind: str) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.kind = kind

    @classmethod
    def denied(cls, message: str) -> "RefusedError":
        """The caller is known and may not."""
        return cls(message, code="AccessDenied", kind="AccessDeniedException")

    @classmethod
    def unknown_key(cls) -> "RefusedError":
        """Nobody has this access key, or not with this session token."""
        told = "The security token included in the request is invalid."
        return cls(told, code="InvalidAccessKeyId", kind="UnrecognizedClientException")

    @classmethod
    def of_a_page(cls) -> "RefusedError":
        """A browser sends the request, or it is meant for another machine."""
        return cls.wrong_signature("The host that was asked, or who asks, does not match the signature.")

    @classmethod
    def unsigned(cls) -> "RefusedError":
        """Nobody has signed the request."""
        told = "Request is missing Authentication Token"
        return cls(told, code="AccessDenied", kind="MissingAuthenticationTokenException")

    @classmethod
    def cut_off(cls) -> "RefusedError":
        """Not all of the request has come."""
        told = "You did not provide the number of bytes specified by the Content-Length HTTP header"
        return cls(told, code="IncompleteBody", kind="SerializationException")

    @classmethod
    def incomplete_signature(cls, message: str) -> "RefusedError":
        """Something that a signature needs is not there."""
        return cls(message, code="IncompleteSignature", kind="IncompleteSignatureException")

    @classmethod
    def wrong_signature(cls, message: str) -> "RefusedError":
        """The request is signed with another secret, was changed, or is for another time or place."""
        return cls(message, code="SignatureDoesNotMatch", kind="InvalidSignatureException")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An HTTP response."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes


def answer(error: RefusedError, *, service: str, headers: Mapping[str, str]) -> Answer:
    """Render a refusal for the protocol in which the request was made."""
    request_id = str(uuid.uuid4())
    told = [("x-amzn-RequestId", request_id)]
    form = headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    if service == "s3":
        return _xml("403 Forbidden", _s3(error, request_id), told)
    if "x-amz-target" in headers:
        return _json(error, service, told)
    if form:
        return _xml("403 Forbidden", _form(error, service, request_id), told)
    body = json.dumps({"message": error.message, "Message": error.message}).encode()
    return _with_body("403 Forbidden", "application/json", body, [*told, ("x-amzn-ErrorType", error.kind)])


def _json(error: RefusedError, service: str, told: list[tuple[str, str]]) -> Answer:
    kind = {"__type": f"com.amazon.coral.service#{error.kind}", "Message": error.message, "message": error.message}
    status = "400 Bad Request"
    if service in _QUERY_COMPATIBLE:
        status = "403 Forbidden"
        told = [*told, ("x-amzn-query-error", f"{error.code};Sender")]
    return _with_body(status, "application/x-amz-json-1.0", json.dumps(kind).encode(), told)


def _s3(error: RefusedError, request_id: str) -> str:
    return (
        f"<Error><Code>{error.code}</Code><Message>{escape(error.message)}</Message>"
        f"<RequestId>{request_id}</RequestId><HostId>local</HostId></Error>"
    )


def _form(error: RefusedError, service: str, request_id: str) -> str:
    denied = "AuthorizationError" if service == "sns" else "AccessDenied"
    code = {"AccessDenied": denied, "InvalidAccessKeyId": "InvalidClientTokenId"}.get(error.code, error.code)
    return (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(error.message)}</Message>"
        f"</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )


def _xml(status: str, text: str, told: list[tuple[str, str]]) -> Answer:
    return _with_body(status, "application/xml", f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode(), told)


def _with_body(status: str, kind: str, body: bytes, told: list[tuple[str, str]]) -> Answer:
    headers = [("Content-Type", kind), ("Content-Length", str(len(body))), *told]
    return Answer(status=status, headers=headers, body=body)
