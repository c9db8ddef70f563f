"""A file whose bytes are read by ranges from elsewhere, as libraries that want a file take it."""

import io
from collections.abc import Callable

Read = Callable[[int, int], bytes]
"""The bytes from ``start`` to ``stop``."""


class RangeFile(io.RawIOBase):
    """Reads and seeks; each read is one of ``read``."""

    def __init__(self, read: Read, *, size: int) -> None:
        super().__init__()
        self._read = read
        self._size = size
        self._place = 0

    def readable(self) -> bool:
        """See `io.IOBase.readable`."""
        return True

    def seekable(self) -> bool:
        """See `io.IOBase.seekable`."""
        return True

    def tell(self) -> int:
        """See `io.IOBase.tell`."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See `io.IOBase.seek`."""
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        """See `io.RawIOBase.read`; as many bytes as asked for, unless the file ends before."""
        stop = self._size if size is None or size < 0 else min(self._place + size, self._size)
        if stop <= self._place:
            return b""
        data = self._read(self._place, stop)
        self._place += len(data)
        return data

    def readall(self) -> bytes:
        """See `io.RawIOBase.readall`."""
        return self.read()
