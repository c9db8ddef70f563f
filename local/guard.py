"""Local programs talk to loopback only, whatever the user's environment says."""

import ipaddress
from urllib.parse import urlsplit


class NotLoopbackError(ValueError):
    """An address that a local program was given lies outside this machine."""


def require_loopback(url: str) -> str:
    """Return ``url`` unchanged if its host is this machine.

    :raises NotLoopbackError: it is not, or the URL has no host.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if not loopback or parts.scheme not in ("http", "https") or parts.username is not None:
        raise NotLoopbackError(f"{url!r} is not a loopback address: local runs use http://127.0.0.1:<port> only")
    return url
