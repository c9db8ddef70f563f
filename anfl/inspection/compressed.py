"""Files that are compressed as one stream: gzip, bzip2, xz, lzma, and zlib as joblib writes it."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from anfl.inspection.codes import Code, Finding
from anfl.inspection.limits import Budget
from anfl.inspection.streams import Counted, translated
from anfl.inspection.text import may_begin_text

_GZIP, _BZIP2, _XZ, _LZMA = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x5d\x00\x00"
_HEAD_BYTES = 512
_CHUNK_BYTES = 65_536


def is_compressed(head: bytes) -> bool:
    """Whether a file that begins with ``head`` is compressed as one stream."""
    return head.startswith((_GZIP, _BZIP2, _XZ, _LZMA)) or _is_zlib(head)


def decompressed(path: Path, *, budget: Budget) -> Iterator[IO[bytes] | Finding]:
    """The content of a compressed file, once, and what is wrong behind it.

    :raises Finding: it cannot be decompressed, or is a bomb.
    """
    with translated(), path.open("rb") as raw, opened(raw) as stream:
        counted = Counted(stream, budget=budget, compressed=path.stat().st_size)
        yield cast("IO[bytes]", counted)
        while counted.read():  # the rest: its checksum is compared at the end
            pass
        if has_more(stream):
            yield Finding(Code.TRAILING_DATA, "data follows the compressed content")


def opened(raw: IO[bytes]) -> IO[bytes]:
    """``raw``, a file at its start, decompressed where it is compressed."""
    head = raw.read(_HEAD_BYTES)
    raw.seek(0)
    if head.startswith(_GZIP):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
    if head.startswith(_BZIP2):
        return cast("IO[bytes]", _Stream(raw, bz2.BZ2Decompressor()))
    if head.startswith((_XZ, _LZMA)):
        return cast("IO[bytes]", _Stream(raw, lzma.LZMADecompressor()))
    if _is_zlib(head):
        return cast("IO[bytes]", _Stream(raw, _Zlib()))
    return raw


def written_zlib(raw: IO[bytes]) -> IO[bytes] | None:
    """What joblib would take a text for: it inflates whatever begins like a zlib stream, and needs no end of it."""
    head = raw.read(_HEAD_BYTES)
    raw.seek(0)
    return cast("IO[bytes]", _Stream(raw, _Zlib())) if _begins_like_zlib(head) else None


def has_more(stream: object) -> bool:
    """Whether data follows the content of a stream from `opened` that was read to its end (gzip itself refuses it)."""
    return isinstance(stream, _Stream) and stream.has_more()


def _is_zlib(head: bytes) -> bool:
    """Two bytes that are a multiple of 31, not text: ``x^2`` begins like a zlib stream too."""
    return _begins_like_zlib(head) and not may_begin_text(head)


def _begins_like_zlib(head: bytes) -> bool:
    without_dictionary = len(head) >= 2 and head[0] == 0x78 and not head[1] & 0x20
    return without_dictionary and int.from_bytes(head[:2], "big") % 31 == 0


class _Zlib:
    """zlib's decompressor with the interface of the others."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj()
        self._pending = b""

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def needs_input(self) -> bool:
        return not self._pending

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        expanded = self._inflate.decompress(self._pending + data, max_length)
        self._pending = self._inflate.unconsumed_tail
        return expanded


class _Stream:
    """A compressed stream that ends where its content ends, and tells whether more follows."""

    def __init__(self, raw: IO[bytes], decompressor: "bz2.BZ2Decompressor | lzma.LZMADecompressor | _Zlib") -> None:
        self._raw = raw
        self._decompressor = decompressor

    def __enter__(self) -> "_Stream":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close: the file belongs to the caller."""

    def read(self, count: int) -> bytes:
        while not self._decompressor.eof:
            compressed = self._raw.read(_CHUNK_BYTES) if self._decompressor.needs_input else b""
            if self._decompressor.needs_input and not compressed:
                raise EOFError("the compressed data ends early")
            data = self._decompressor.decompress(compressed, count)
            if data:
                return data
        return b""

    def has_more(self) -> bool:
        """Whether anything follows the content."""
        return bool(self._decompressor.unused_data or self._raw.read(1))
