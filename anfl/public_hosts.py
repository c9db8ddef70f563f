"""Hosts on the internet that somebody else names: resolved once, and never inside the network."""

import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import urllib3

_INTERNET = ipaddress.IPv6Network("2000::/3")
"""RFC 4291, 2.4: where hosts of the internet have addresses. What lies beyond may lead to an IPv4 address of the
network: ``64:ff9b::/96`` does wherever there is a NAT64, as in a VPC."""
_DOCUMENTATION = ipaddress.IPv6Network("3fff::/20")
"""RFC 9637."""
Resolver = Callable[[str], Sequence[str]]
"""Host name → its IP addresses. Raises OSError where there are none."""


def resolve(host: str) -> list[str]:
    """The addresses of ``host`` as this machine's resolver knows them; first those that it reaches (RFC 6724).

    :raises OSError: it knows none.
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def is_public(address: str) -> bool:
    """Whether ``address`` is one of the internet, and no way to write a private one."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if (inner := ip.ipv4_mapped or ip.sixtofour) is not None:
            return is_public(str(inner))
        if ip not in _INTERNET or ip in _DOCUMENTATION or ip.scope_id is not None:
            return False
    return ip.is_global and not ip.is_multicast


def request(
    method: str,
    target: str,
    *,
    address: str,
    host: str,
    port: int,
    headers: Mapping[str, str],
    seconds: float,
    most_bytes: int,
    body: bytes | None = None,
) -> tuple[int, bytes]:
    """Ask ``address`` over TLS, whose certificate must be for ``host``; no redirect is followed, nothing tried again.

    Returns the status and so much of the answer at most, as it was sent.

    :param seconds: for all of it, however little each part of the request takes, or of the answer brings.
    :raises urllib3.exceptions.HTTPError: no answer came.
    """
    pool = urllib3.HTTPSConnectionPool(
        address,
        port,
        cert_reqs="CERT_REQUIRED",
        ssl_context=_context(time.monotonic() + seconds),
        server_hostname=host,
        assert_hostname=host,
        timeout=urllib3.Timeout(total=seconds),
        retries=False,
    )
    with pool:
        answer = pool.urlopen(method, target, body=body, headers=headers, redirect=False, preload_content=False)
        content = answer.read(most_bytes, decode_content=False)
        answer.close()
    return answer.status, content


def _context(until: float) -> ssl.SSLContext:
    """For connections that nothing passes through after ``until``: urllib3 bounds each wait, and not their sum."""

    class Timely(ssl.SSLSocket):
        def recv_into(self, *given: Any, **named: Any) -> int:  # noqa: ANN401 - as the base class
            self._wait_no_longer()
            return super().recv_into(*given, **named)

        def send(self, *given: Any, **named: Any) -> int:  # noqa: ANN401 - as the base class
            self._wait_no_longer()
            return super().send(*given, **named)

        def _wait_no_longer(self) -> None:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError("it has taken too long")
            self.settimeout(left)

    context = ssl.create_default_context()
    context.sslsocket_class = Timely
    return context
