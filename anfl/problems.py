"""Errors that reach a caller: RFC 9457 problem documents with a stable ``code``.

The domain raises `Problem`; each transport (ASGI service, Lambda proxy, direct invocation, CLI) renders it its own way.
"""

import copyreg
from collections.abc import Mapping
from http import HTTPStatus

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818 - named as in RFC 9457
    """One refused request.

    :param status: HTTP status, 400 to 599.
    :param code: stable identifier that programs may match on, ``snake_case``.
    :param detail: one sentence for a person: what is wrong, and what to do about it.
    :param field: path of the offending input, for example ``vectors[3].values``.
    :param extensions: further members of the document (RFC 9457 section 3.2).
    :param retry_after: seconds after which the same request may succeed (sent as ``Retry-After``).
    :param headers: further HTTP headers that belong to the answer, lower-case.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        extensions: Mapping[str, object] | None = None,
        retry_after: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.field = field
        self.extensions = dict(extensions or {})
        self.retry_after = retry_after
        self._headers = dict(headers or {})

    def __reduce__(self) -> tuple[object, ...]:
        """Between processes: an exception is made again from its message alone unless it says otherwise."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]

    def document(self) -> dict[str, object]:
        """The problem document as JSON-ready members."""
        members: dict[str, object] = {
            "type": f"urn:anfl:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if self.field is not None:
            members["field"] = self.field
        return members | self.extensions

    def headers(self) -> dict[str, str]:
        """HTTP headers that belong to the document."""
        headers = {"content-type": MEDIA_TYPE, **self._headers}
        if self.retry_after is not None:
            headers["retry-after"] = str(self.retry_after)
        if self.status == HTTPStatus.UNAUTHORIZED:
            headers["www-authenticate"] = "Bearer"
        return headers


def invalid(detail: str, *, field: str | None = None, code: str = "invalid_request") -> Problem:
    """400: the request itself is wrong."""
    return Problem(HTTPStatus.BAD_REQUEST, code, detail, field=field)


def not_found(detail: str, *, code: str = "not_found") -> Problem:
    """404: absent, or another tenant's."""
    return Problem(HTTPStatus.NOT_FOUND, code, detail)


def conflict(detail: str, *, code: str) -> Problem:
    """409: the state of the resource forbids it."""
    return Problem(HTTPStatus.CONFLICT, code, detail)


def too_large(detail: str, *, field: str | None = None, code: str = "too_large") -> Problem:
    """413: over a stated limit."""
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, code, detail, field=field)


def unavailable(detail: str, *, code: str, retry_after: int = 1) -> Problem:
    """503: a dependency is not there; the same request may succeed later."""
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, code, detail, retry_after=retry_after)
