"""What can come back instead of an answer."""

from http import HTTPStatus

import httpx


class ApiError(Exception):
    """The API refused a request with a problem document (RFC 9457) or MLflow's error form.

    ``code`` is stable, ``field`` the path of the offending input, ``request_id`` what the operators look for.
    """

    def __init__(
        self,
        *,
        status: int,
        code: str,
        detail: str,
        field: str | None = None,
        request_id: str | None = None,
        endpoint: str | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}" + (f" (field {field})" if field else ""))
        self.status = status
        self.code = code
        self.detail = detail
        self.field = field
        self.request_id = request_id
        self.endpoint = endpoint
        """Base URL to ask instead: of another region."""
        self.may_be_done = False
        """Whether an earlier attempt may have done what this one was refused."""

    @classmethod
    def of(cls, response: httpx.Response) -> "ApiError":
        """Read whichever error form ``response`` holds; anything else keeps its text, shortened, if it is no page of a
        balancer's."""
        try:
            document = response.json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            page = response.headers.get("content-type", "").startswith("text/html")
            document = {"detail": "" if page else response.text[:500]}
        kind = _BY_STATUS.get(response.status_code, cls)
        return kind(
            status=response.status_code,
            code=str(document.get("code") or document.get("error_code") or f"http_{response.status_code}"),
            detail=str(document.get("detail") or document.get("message") or response.reason_phrase),
            field=document.get("field"),
            endpoint=document.get("endpoint"),
            request_id=response.headers.get("x-request-id"),
        )


class NotFoundError(ApiError):
    """404: absent, or another tenant's."""


class ConflictError(ApiError):
    """409: the state of the resource forbids it, for example another version."""


class BusyError(ApiError):
    """429 or 503, after all retries: the same request may succeed later."""


_BY_STATUS: dict[int, type[ApiError]] = {
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.CONFLICT: ConflictError,
    HTTPStatus.TOO_MANY_REQUESTS: BusyError,
    HTTPStatus.SERVICE_UNAVAILABLE: BusyError,
}


class UnreachableError(Exception):
    """No answer from the endpoint, also after retries."""


class UnsendableError(Exception):
    """What should be sent is no HTTP request: an address that is none, a token or a name with impossible characters."""


class ForeignAnswerError(Exception):
    """What came back is not from ANFL's API."""
