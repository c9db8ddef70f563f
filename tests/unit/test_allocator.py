"""Memory that is freed goes back to the system."""

import subprocess
import sys

import pytest

_LOAD = """
import ctypes, resource, sys
from anfl import allocator
if sys.argv[1] == "yes":
    assert allocator.give_back()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
def take(size):
    block = libc.malloc(size)
    ctypes.memset(block, 1, size)
    return block
libc.free(take(16 * 2**20))  # raises the size from which glibc maps blocks by themselves
blocks = [take(8 * 2**20) for _ in range(16)]
last = take(100_000)  # on top of the heap, so that nothing below it can be trimmed
for block in blocks:
    libc.free(block)
with open("/proc/self/statm") as statm:  # what is imported shapes the heap: little is
    print(int(statm.read().split()[1]) * resource.getpagesize() // 2**20)
"""


def _megabytes(*, given_back: bool) -> int:
    ended = subprocess.run(
        [sys.executable, "-c", _LOAD, "yes" if given_back else "no"], capture_output=True, text=True, check=True
    )
    return int(ended.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's own")
def test_large_blocks_go_when_they_are_freed() -> None:
    assert _megabytes(given_back=False) - _megabytes(given_back=True) > 64
