"""Where to ask about what: a collection's log, an import's files, the model registry have one region, their home."""

import httpx

from anfl.client.errors import ApiError, ConflictError, UnreachableError

_REGISTRY = ("/api/2.0/mlflow", "/ajax-api/2.0/mlflow", "/v1/models")
"""How its paths begin: all of it has one home."""
_SEGMENTS = 4
"""Of a path's beginning that names one thing: ``/v1/collections/<name>``, ``/v1/imports/<id>``."""
HOPS = 2
"""From region to region before a refusal is the answer: a name can have got another home since it was asked for."""


class Homes:
    """The endpoints of other regions to which a client was sent. Whatever concerns the same thing is asked there from
    then on, reads too, so that they see what was written."""

    def __init__(self, endpoint: str) -> None:
        """:param endpoint: of the client; an address without TLS is not taken from one with it."""
        self._own = endpoint
        self._known: dict[str, str] = {}

    def of(self, path: str) -> str | None:
        """Base URL for ``path``; None: the client's own."""
        return self._known.get(_thing(path))

    def learn(self, path: str, error: ApiError | UnreachableError) -> bool:
        """Whether ``error`` tells to ask elsewhere about what ``path`` names; it is done from now on. A region that is
        out of reach is not asked again."""
        if isinstance(error, UnreachableError):
            self.forget(path)
            return False
        there = error.endpoint if isinstance(error, ConflictError) else None
        if there is None or not _may_lead(self._own, there):
            return False
        self._known[_thing(path)] = there
        return True

    def share(self, path: str, of: str) -> None:
        """What ``path`` names is where ``of`` is."""
        there = self.of(of)
        if there is not None:
            self._known[_thing(path)] = there

    def forget(self, path: str) -> None:
        """Ask at the client's own endpoint again."""
        self._known.pop(_thing(path), None)


def _may_lead(own: str, there: object) -> bool:
    """Whether ``there``, which an answer told, is an address to which the token may go that ``own`` was sent."""
    try:
        url = httpx.URL(there) if isinstance(there, str) else httpx.URL()
    except httpx.InvalidURL:
        return False
    return bool(url.host) and not url.userinfo and url.scheme in {"https", httpx.URL(own).scheme}


def _thing(path: str) -> str:
    if path.startswith(_REGISTRY):
        return _REGISTRY[0]
    return "/".join(path.split("/")[:_SEGMENTS])
