"""Hosts on the internet that somebody else names: resolved once, and never inside the network."""

import ipaddress
import socket
from collections.abc import Callable, Sequence

Resolver = Callable[[str], Sequence[str]]
"""Host name → its IP addresses. Raises OSError where there are none."""


def resolve(host: str) -> list[str]:
    """The addresses of ``host`` as this machine's resolver knows them.

    :raises OSError: it knows none.
    """
    return sorted({str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)})


def is_public(address: str) -> bool:
    """Whether ``address`` is one of the internet, and no way to write a private one."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and (inner := ip.ipv4_mapped or ip.sixtofour) is not None:
        return inner.is_global
    return ip.is_global and not ip.is_multicast
