"""A connection to one endpoint with one token: reused connections, time-outs, retries."""

import os
import re
import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from time import sleep
from typing import Any, Self

import httpx
import msgspec

from anfl.client.errors import ForeignAnswerError, UnsendableError
from anfl.client.retries import Retries

_REPEATABLE_METHODS = frozenset({"GET", "HEAD", "PUT", "DELETE"})
"""Methods whose repetition has no further effect. A repeated ``POST`` is up to the caller (``repeatable=True``)."""
_TOKEN = re.compile(r"[!-~]+")
"""Visible ASCII, which a header can hold."""
TIMEOUT = httpx.Timeout(60, connect=5)
CA_VARIABLE = "ANFL_CA"
"""File of certificates (PEM) that are trusted beside those that everybody trusts."""


def options(
    endpoint: str, token: str | None, timeout: httpx.Timeout | float, ca: str | os.PathLike[str] | None = None
) -> dict[str, Any]:
    """What httpx's clients, sync or async, are made with.

    :param ca: see `CA_VARIABLE`, which is asked where this is None.
    :raises UnsendableError: ``endpoint`` is no HTTP address, ``token`` is nothing that a header can hold, or ``ca``
        no file of certificates.
    """
    if token and not _TOKEN.fullmatch(token):
        raise UnsendableError("The token holds characters that no token has; is it complete, and in one line?")
    local = is_local(endpoint)
    return {
        "base_url": endpoint,
        "headers": {"accept": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {}),
        "timeout": timeout,
        "trust_env": not local,  # a proxy of the user's must not see, or break, requests to this machine
    } | _trust(endpoint, ca or os.environ.get(CA_VARIABLE), local=local)


def is_local(endpoint: str) -> bool:
    """Whether an address leads to this machine.

    :raises UnsendableError: it is no HTTP address.
    """
    return _host(endpoint) in {"127.0.0.1", "localhost", "::1"}


def _trust(endpoint: str, ca: str | os.PathLike[str] | None, *, local: bool) -> dict[str, ssl.SSLContext]:
    if not ca or not endpoint.startswith("https:"):
        return {}
    context = httpx.create_ssl_context(trust_env=not local)
    try:
        context.load_verify_locations(cafile=ca)
    except OSError as error:  # also of what is no certificate
        raise UnsendableError(f"{os.fspath(ca)} holds no certificates to trust: {error.strerror or error}.") from error
    return {"verify": context}


class Connection:
    """Speaks to ``endpoint`` (for example ``https://api.example.org``). Not for use by several threads at once."""

    def __init__(
        self,
        endpoint: str,
        *,
        token: str | None = None,
        timeout: httpx.Timeout | float = TIMEOUT,
        ca: str | os.PathLike[str] | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """:raises UnsendableError: see `options`."""
        self._http = httpx.Client(transport=transport, **options(endpoint, token, timeout, ca))
        self.endpoint = endpoint

    def __enter__(self) -> Self:
        """Use as a context manager to close the connections."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
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
            raise foreign(self.endpoint, response) from None

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
        """Send one request and return the successful response; retries as `Retries` says.

        :raises ApiError: the API refused.
        :raises UnreachableError: no answer.
        :raises UnsendableError: it cannot be sent.
        """
        if repeatable is None:
            repeatable = method in _REPEATABLE_METHODS
        if isinstance(content, Iterator):
            repeatable = False  # it can be read once
        given = {"json": json, "content": content, "params": params, "headers": headers}
        return self._sent(method, path, given, repeatable=repeatable)

    def _sent(
        self, method: str, path: str, given: Mapping[str, Any], *, repeatable: bool, at: str | None = None
    ) -> httpx.Response:
        """:param given: what httpx makes a request of. :param at: base URL, instead of the endpoint."""
        retries = Retries(f"{method} {path} at {at or self.endpoint}", repeatable)
        while True:
            request = built(self._http, method, f"{at or ''}{path}", given)
            try:
                response = self._http.send(request)
            except httpx.RequestError as error:
                delay = retries.after_error(error)
            else:
                again = retries.after_answer(response)
                if again is None:
                    return response
                delay = again
            sleep(delay)


def built(http: httpx.Client | httpx.AsyncClient, method: str, path: str, given: Mapping[str, Any]) -> httpx.Request:
    """A request of ``http``'s.

    :raises UnsendableError: it cannot be one.
    """
    try:
        return http.build_request(method, path, **given)
    except (httpx.InvalidURL, ValueError, RecursionError) as error:  # text that is no UTF-8, too
        raise UnsendableError(f"{method} {path!r} cannot be sent: {error}") from error


@contextmanager
def reading(endpoint: str, response: httpx.Response) -> Iterator[None]:
    """Around what makes something of an answer.

    :raises ForeignAnswerError: it is another one than the API gives.
    """
    try:
        yield
    except (msgspec.MsgspecError, ValueError) as error:
        raise foreign(endpoint, response) from error


def foreign(endpoint: str, response: httpx.Response) -> ForeignAnswerError:
    """For an answer that is none of the API's."""
    said = response.headers.get("content-type", "no content type")
    what = f"{response.request.method} {response.request.url.path}"
    return ForeignAnswerError(f"{endpoint} answered {what} with {said}, and not as the API does; is it ANFL's API?")


def _host(endpoint: str) -> str:
    try:
        url = httpx.URL(endpoint)
    except httpx.InvalidURL as error:
        raise UnsendableError(f"{endpoint!r} is no address: {error}") from error
    if url.userinfo:  # httpx would send it instead of the token
        raise UnsendableError("The address of an API holds no user name or password; 'anfl login' gives a token.")
    if url.scheme not in ("http", "https") or not url.host:
        raise UnsendableError(f"{endpoint!r} is no address of an API; write it like https://api.example.org.")
    return url.host
