"""Rendezvous hashing: everybody who knows the same nodes comes to the same owners of a key, without asking anybody.

Each node has a weight for each key, and the heaviest own it. A node that goes takes only its own keys along; one that
comes takes about ``owners / nodes`` of all. (Thaler and Ravishankar, "Using name-based mappings to increase hit rates",
IEEE/ACM Transactions on Networking 6(1), 1998.)
"""

from collections.abc import Iterable
from hashlib import blake2b
from heapq import nlargest

OWNERS = 2
"""Nodes on which a collection lives: one more than it takes to answer."""


def owners(key: str, nodes: Iterable[str], *, count: int = OWNERS) -> tuple[str, ...]:
    """The ``count`` nodes, or as many as there are, that own ``key``; the first one first."""
    return tuple(nlargest(count, set(nodes), key=lambda node: (_weight(key, node), node)))


def _weight(key: str, node: str) -> bytes:
    return blake2b(key.encode(), key=blake2b(node.encode(), digest_size=32).digest(), digest_size=8).digest()
