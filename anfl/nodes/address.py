"""Where a node is reached: ``10.0.10.7:8080``. It is also the node's name."""

import ipaddress
import re
import urllib.request
from collections.abc import Callable

import msgspec

from anfl.nodes.private import PRIVATE_NETWORKS

WAIT_SECONDS = 2.0
"""For ECS's own endpoint, which is on the same machine."""
_LAST_PORT = 65_535
_INSIDE = (*PRIVATE_NETWORKS, ipaddress.IPv4Network("127.0.0.0/8"))


class _Network(msgspec.Struct):
    addresses: list[str] = msgspec.field(name="IPv4Addresses")


class _Container(msgspec.Struct):
    """Of ECS's metadata, version 4 (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html)."""

    networks: list[_Network] = msgspec.field(name="Networks")


def is_inside(address: str) -> bool:
    """Whether ``address`` is an IPv4 address of a private network, or this machine's, with a port.

    Tokens are sent there, so nothing else that somebody may have written down will do.
    """
    host, _, port = address.rpartition(":")
    if not re.fullmatch(r"[1-9][0-9]{0,4}", port) or int(port) > _LAST_PORT:
        return False
    try:
        found = ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return any(found in network for network in _INSIDE)


def of_this_task(metadata_url: str, port: int, *, read: Callable[[str], bytes] | None = None) -> str:
    """This task's own address, as ECS tells it.

    :raises OSError: it does not answer, or not with an address.
    """
    document = (read or _read)(metadata_url)
    try:
        container = msgspec.json.decode(document, type=_Container)
        found = f"{container.networks[0].addresses[0]}:{port}"
    except (msgspec.DecodeError, IndexError) as error:
        raise OSError(f"no address in the task's metadata: {error}") from error
    if not is_inside(found):
        raise OSError(f"{found} is no private address")
    return found


def _read(url: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=WAIT_SECONDS) as answer:
        content: bytes = answer.read(2**20)
        return content
