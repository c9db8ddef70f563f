"""What can come back instead of an answer."""

import httpx


class ApiError(Exception):
    """The API refused a request with a problem document (RFC 9457) or MLflow's error form."""

    def __init__(self, *, status: int, code: str, detail: str, field: str | None = None) -> None:
        super().__init__(f"{code}: {detail}" + (f" (field {field})" if field else ""))
        self.status = status
        self.code = code
        self.detail = detail
        self.field = field

    @classmethod
    def of(cls, response: httpx.Response) -> "ApiError":
        """Read whichever error form ``response`` holds; anything else keeps its text, shortened."""
        try:
            document = response.json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            document = {"detail": response.text[:500] or response.reason_phrase}
        return cls(
            status=response.status_code,
            code=str(document.get("code") or document.get("error_code") or f"http_{response.status_code}"),
            detail=str(document.get("detail") or document.get("message") or response.reason_phrase),
            field=document.get("field"),
        )


class UnreachableError(Exception):
    """No answer from the endpoint, also after retries."""


class UnsendableError(Exception):
    """What should be sent is no HTTP request: an address that is none, a token or a name with impossible characters."""


class ForeignAnswerError(Exception):
    """What came back is not from ANFL's API."""
