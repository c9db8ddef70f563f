"""Networks from which a login or a token is good."""

import ipaddress
from collections.abc import Sequence

from local.vault.api import invalid
from local.vault.fields import Data, strings


def cidrs(data: Data, name: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
    """A field with networks; an address alone is one of itself.

    :raises VaultError: 400 for what is none.
    """
    found = strings(data, name, default)
    for each in found:
        try:
            _network(each)
        except ValueError as error:
            raise invalid(f"invalid CIDR blocks in {name!r}: {error}") from error
    return found


def admit(address: str, networks: Sequence[str]) -> bool:
    """Whether ``address`` is in one of the networks; any is where there are none."""
    return not networks or any(ipaddress.ip_address(address) in _network(each) for each in networks)


def check_within(inner: Sequence[str], outer: Sequence[str], name: str) -> None:
    """That every network of ``inner`` is in one of ``outer``, which are all where there are none.

    :raises VaultError: 400 where one is not.
    """
    for network in map(_network, inner):
        if outer and not any(_is_within(network, _network(each)) for each in outer):
            raise invalid(f"failed to verify subset relationship between CIDR blocks on the role and {name!r}")


def _network(given: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(given, strict=False)


def _is_within(
    inner: ipaddress.IPv4Network | ipaddress.IPv6Network, outer: ipaddress.IPv4Network | ipaddress.IPv6Network
) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]
