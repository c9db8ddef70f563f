"""Headers that every answer bears, whoever makes it: services, the function ``auth``, API Gateway itself.

What they keep from happening: a browser that takes an answer for something else than it says, one that comes back
without TLS, and a cache on the way that gives one caller's answer to another.
"""

CACHING = "cache-control"
PRIVATE = "no-store"
"""Where nothing else is said of how long an answer may be kept."""
PROTECTION = {
    "x-content-type-options": "nosniff",
    "strict-transport-security": "max-age=63072000; includeSubDomains",
}
_CACHING, _PRIVATE = CACHING.encode(), PRIVATE.encode()
_RAW = [(name.encode(), value.encode()) for name, value in PROTECTION.items()]
NAMES = frozenset({_CACHING, *(name for name, _ in _RAW)})


def protect(headers: list[tuple[bytes, bytes]]) -> None:
    """Add what is missing to an answer's ``headers``, whose names are in lower case."""
    for name, _ in headers:
        if name == _CACHING:
            break
    else:
        headers.append((_CACHING, _PRIVATE))
    headers += _RAW
