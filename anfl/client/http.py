"""A connection to one endpoint with one token: reused connections, time-outs, bounded retries with jitter."""

import random
import re
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from anfl.client.errors import ApiError, ForeignAnswerError, UnreachableError, UnsendableError

ATTEMPTS = 4
_RETRIED_STATUSES = frozenset({429, 502, 503, 504})
_REPEATABLE_METHODS = frozenset({"GET", "HEAD", "PUT", "DELETE"})
"""Methods whose repetition has no further effect. A repeated ``POST`` is up to the caller (``repeatable=True``)."""
_TOKEN = re.compile(r"[!-~]+")
"""Visible ASCII, which a header can hold."""
_TIMEOUT = httpx.Timeout(60, connect=5)


class Client:
    """Speaks to ``endpoint`` (for example ``https://api.example.org``). Not for use by several threads at once."""

    def __init__(
        self, endpoint: str, *, token: str | None = None, transport: httpx.BaseTransport | None = None
    ) -> None:
        """:raises UnsendableError: ``endpoint`` is no HTTP address, or ``token`` is nothing that a header can hold."""
        if token and not _TOKEN.fullmatch(token):
            raise UnsendableError("The token holds characters that no token has; is it complete, and in one line?")
        headers = {"accept": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
        local = _host(endpoint) in {"127.0.0.1", "localhost", "::1"}
        self._http = httpx.Client(
            base_url=endpoint,
            headers=headers,
            timeout=_TIMEOUT,
            transport=transport,
            trust_env=not local,  # a proxy of the user's must not see, or break, requests to this machine
        )
        self.endpoint = endpoint

    def __enter__(self) -> Self:
        """Use as a context manager to close the connections."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._http.close()

    def json(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        params: Mapping[str, Any] | None = None,
        repeatable: bool | None = None,
    ) -> Any:  # noqa: ANN401 - whatever JSON the route answers
        """Send ``body`` as JSON and return the answer's JSON (None for an empty one).

        :param repeatable: whether a repetition after a lost answer is harmless; by default as HTTP defines it.
        :raises ApiError: the API refused.
        :raises ForeignAnswerError: the answer is no JSON.
        :raises UnreachableError: no answer.
        :raises UnsendableError: ``body`` or ``path`` cannot be sent.
        """
        response = self.send(method, path, json=body, params=params, repeatable=repeatable)
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError:
            said = response.headers.get("content-type", "no content type")
            raise ForeignAnswerError(
                f"{self.endpoint} answered {method} {path} with {said} instead of JSON; is it ANFL's API?"
            ) from None

    def send(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        content: bytes | Iterable[bytes] | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
    ) -> httpx.Response:
        """Send one request and return the successful response; retries as the class says.

        :raises ApiError: the API refused.
        :raises UnreachableError: no answer.
        :raises UnsendableError: it cannot be sent.
        """
        if repeatable is None:
            repeatable = method in _REPEATABLE_METHODS
        if content is not None and not isinstance(content, bytes):
            repeatable = False  # a stream can be read once
        for attempt in range(ATTEMPTS):
            last = attempt == ATTEMPTS - 1
            try:
                response = self._http.send(self._request(method, path, json, content, params, headers))
            except httpx.ConnectError as error:
                if last:
                    raise UnreachableError(f"{self.endpoint} does not answer: {error}") from error
            except httpx.TransportError as error:
                if last or not repeatable:
                    raise UnreachableError(f"{method} {path}: no answer: {error!r}") from error
            else:
                if response.is_success:
                    return response
                retry = response.status_code in _RETRIED_STATUSES and (repeatable or response.status_code == 429)
                if last or not retry:
                    raise ApiError.of(response)
                time.sleep(min(_retry_after(response), 10))
            time.sleep(random.uniform(0, 0.1 * 2**attempt))  # noqa: S311 - jitter, no secret
        raise AssertionError("the last attempt returns or raises")

    def _request(
        self,
        method: str,
        path: str,
        json: object,
        content: bytes | Iterable[bytes] | None,
        params: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
    ) -> httpx.Request:
        try:
            return self._http.build_request(method, path, json=json, content=content, params=params, headers=headers)
        except (httpx.InvalidURL, ValueError, RecursionError) as error:  # text that is no UTF-8, too
            raise UnsendableError(f"{method} {path!r} cannot be sent: {error}") from error


def _host(endpoint: str) -> str:
    try:
        url = httpx.URL(endpoint)
    except httpx.InvalidURL as error:
        raise UnsendableError(f"{endpoint!r} is no address: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise UnsendableError(f"{endpoint!r} is no address of an API; write it like https://api.example.org.")
    return url.host


def _retry_after(response: httpx.Response) -> float:
    value = response.headers.get("retry-after", "0")
    return float(value) if value.isdigit() else 0.0
