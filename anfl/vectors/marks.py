"""What the processes of one node tell each other of the catalogue: which names have changed.

Each name has a *mark*, a number that means nothing but that it was another one before. Who looks a name up notes its
mark *before* the look; once that is another, what the look found may be out of date. Whoever changes what a name stands
for marks it anew *after* the change. So, whatever happens at the same time, nobody goes on by what an earlier look
found.
"""

import mmap
import secrets
from hashlib import blake2b

_SLOTS = 1 << 15
_BYTES = 8


class Marks:
    """Memory that processes forked after its creation share.

    Names that fall into one slot have one mark: a change of either costs the other a look. Marks are random, so none
    comes back, and of two that are made at once it does not matter which one stays.
    """

    def __init__(self) -> None:
        self._marks = memoryview(mmap.mmap(-1, _SLOTS * _BYTES)).cast("Q")

    def slot(self, tenant: str, name: str) -> int:
        """Where the mark of a name stands."""
        digest = blake2b(f"{tenant}/{name}".encode(errors="replace"), digest_size=_BYTES).digest()
        return int.from_bytes(digest, "little") % _SLOTS

    def at(self, slot: int) -> int:
        """The present mark of the names that have this slot."""
        return self._marks[slot]

    def change(self, tenant: str, name: str) -> None:
        """What the name stands for has changed."""
        self._marks[self.slot(tenant, name)] = secrets.randbits(8 * _BYTES)
