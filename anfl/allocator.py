"""How the process's memory goes back to the system.

glibc keeps what threads have freed, and from the first large block on raises the size from which blocks are mapped by
themselves (mallopt(3)): a worker that once received parts of a snapshot would hold twice its rows for ever.
"""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_BLOCK_BYTES = 2**20
"""From this size on a block is a mapping of its own, which goes when it is freed."""
_ARENAS = 2


def give_back() -> bool:
    """Give freed memory back, in this process and those that it forks; False where the C library is not glibc."""
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    settings = {_MMAP_THRESHOLD: _BLOCK_BYTES, _TRIM_THRESHOLD: _BLOCK_BYTES, _ARENA_MAX: _ARENAS}
    taken = [mallopt(name, value) for name, value in settings.items()]
    return all(taken)
