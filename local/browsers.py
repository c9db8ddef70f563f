"""Pages that a browser shows: they may send requests to loopback, and sign them, as the embedded AWS's keys are known.

What runs there runs with the rights of whoever started it, so no page is served: neither one that says where it comes
from, as browsers do for them, nor one whose own name somebody has turned to this machine.
"""

import re
from collections.abc import Callable

_HOSTS = re.compile(
    r"(?:127\.\d+\.\d+\.\d+|\[::1\]|(?:[\w.-]+\.)?localhost|[\w.-]+\.amazonaws\.com)?(?::\d+)?",
    re.ASCII | re.IGNORECASE,
)
"""Names of this machine, and AWS's, as which signed requests are passed on to STS."""


def sends(header: Callable[[str], str | None]) -> bool:
    """Whether a page sends a request. :param header: gives one of its headers by name."""
    elsewhere = header("Sec-Fetch-Site") not in (None, "none")
    return header("Origin") is not None or elsewhere or _HOSTS.fullmatch(header("Host") or "") is None
