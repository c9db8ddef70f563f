"""Forward reading with known ends, and reading that counts what decompression yields."""

import hashlib
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from anfl.inspection.codes import Code, Finding
from anfl.inspection.limits import Budget

CHUNK_BYTES = 1024 * 1024
_LINE_CHUNK = 256
BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, KeyError)
"""What the standard library raises for damaged archives."""
UNSUPPORTED = (NotImplementedError, RuntimeError)
"""And for encrypted ones, and compression methods that it does not know."""


@contextmanager
def translated(what: str = "it") -> Iterator[None]:
    """Turn what the standard library raises for damaged archives into findings.

    :param what: the subject of "cannot be read".
    :raises Finding: instead of those.
    """
    try:
        yield
    except BROKEN as error:
        raise Finding(_code_of(error), f"{what} cannot be read: {error}") from None
    except UNSUPPORTED as error:
        raise Finding(Code.UNREADABLE, f"{what} cannot be read: {error}") from None


def _code_of(error: Exception) -> Code:
    text = str(error).lower()
    if "crc" in text or "check" in text:
        return Code.CHECKSUM_MISMATCH
    if isinstance(error, EOFError) or "unexpected end" in text or "truncated" in text or "ends early" in text:
        return Code.TRUNCATED
    return Code.MALFORMED


class Cursor:
    """Reads a binary stream forward and never returns less than was asked for."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._ahead = b""
        self.taken = 0
        """Bytes that were read or skipped."""

    def read(self, count: int) -> bytes:
        """Exactly ``count`` bytes.

        :raises Finding: the stream ends before.
        """
        self.taken += count
        data = self._ahead[:count]
        self._ahead = self._ahead[count:]
        while len(data) < count:
            more = self._stream.read(count - len(data))
            if not more:
                raise Finding(Code.TRUNCATED, "the file ends in the middle of a value")
            data += more
        return data

    def peek(self, count: int) -> bytes:
        """Up to ``count`` bytes that the next read will return."""
        while len(self._ahead) < count:
            more = self._stream.read(count - len(self._ahead))
            if not more:
                break
            self._ahead += more
        return self._ahead[:count]

    def chunks(self) -> Iterator[bytes]:
        """Everything up to the end."""
        while chunk := self.peek(CHUNK_BYTES):
            self._ahead = b""
            yield chunk

    def line(self, limit: int) -> bytes:
        """Up to and without the next newline; of a longer line no more than ``limit`` bytes.

        :raises Finding: the stream ends before.
        """
        data = b""
        while (end := (ahead := self.peek(_LINE_CHUNK)).find(b"\n")) < 0:
            more = self.read(max(1, len(ahead)))
            data += more if len(data) < limit else b""
        return (data + self.read(end + 1)[:-1])[:limit]

    def skip(self, count: int) -> None:
        """Pass over ``count`` bytes in bounded memory.

        :raises Finding: the stream ends before.
        """
        while count:
            count -= len(self.read(min(count, CHUNK_BYTES)))


class Guarded:
    """A stream of the standard library's that raises findings instead of its many errors."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.failed = False
        """It could not be read any further, which was said once."""

    def read(self, count: int = CHUNK_BYTES) -> bytes:
        """At most ``count`` bytes.

        :raises Finding: they cannot be read.
        """
        if self.failed:
            return b""
        self.failed = True
        with translated():
            data = self._stream.read(count)
        self.failed = False
        return data


class Counted(Guarded):
    """A decompressed stream that is charged to the budget as it is read."""

    def __init__(self, stream: IO[bytes], *, budget: Budget, compressed: int) -> None:
        """:param compressed: size in bytes of what is being decompressed."""
        super().__init__(stream)
        self._budget = budget
        self._compressed = compressed
        self.total = 0
        """Bytes that were read."""

    def read(self, count: int = CHUNK_BYTES) -> bytes:
        """At most ``count`` bytes.

        :raises Finding: they cannot be read, or this is a decompression bomb.
        """
        data = super().read(count)
        self.total += len(data)
        self._budget.expand(len(data), total=self.total, compressed=self._compressed)
        return data


def sha256_of(path: Path, *, tick: Callable[[], None]) -> str:
    """The checksum of a file, as hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
            tick()
    return digest.hexdigest()
