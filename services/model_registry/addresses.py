"""Where a caller reaches this service: behind the gateway that is another place than where it listens."""

from dataclasses import dataclass
from urllib.parse import quote

from starlette.requests import Request

from anfl.registry import locations, sources

_ROUTES = ("/api/2.0/", "/ajax-api/2.0/", "/v1/")


@dataclass(frozen=True, kw_only=True)
class Address:
    """The caller's view: ``host`` is a name with port, ``prefix`` what stands before the service's own paths."""

    scheme: str
    host: str
    prefix: str

    def reachable(self, location: str) -> str:
        """``location`` as a URI that an MLflow client can download from.

        ``mlflow-artifacts:`` means nothing to a client whose tracking store is another server (or a file), so it
        becomes the artefact proxy's URL.
        """
        path = locations.artifact_path(location)
        if path is None:
            return location
        return f"{self.scheme}://{self.host}{self.prefix}{sources.PROXY_PATHS[0]}{quote(path)}"


def address_of(request: Request) -> Address:
    """The address that the caller of ``request`` used.

    The gateway's integration passes it on as ``X-Anfl-Host`` and ``X-Anfl-Path`` (with the stage, where the caller
    wrote it); without a gateway between, it is what stands in the request. A caller who lies here lies to itself: the
    address serves to build the links in its own answer.
    """
    headers = request.headers
    sent = headers.get("x-anfl-path") or request.scope["path"]
    starts = [at for at in (sent.find(route) for route in _ROUTES) if at >= 0]
    return Address(
        scheme=headers.get("x-forwarded-proto", request.url.scheme),
        host=headers.get("x-anfl-host") or headers.get("host", ""),
        prefix=sent[: min(starts, default=0)],
    )
