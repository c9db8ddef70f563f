"""Opens archives and compressed files without unpacking them to where they want to go."""

import bz2
import gzip
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from anfl.inspection.limits import Budget
from anfl.inspection.report import Finding, quarantine, reject
from anfl.inspection.streams import BROKEN, UNSUPPORTED, Counted, Guarded


@dataclass(frozen=True, kw_only=True)
class Member:
    """One file in an archive. ``size`` is its declared size in bytes."""

    name: str
    size: int
    stream: IO[bytes]


def zip_members(path: Path, *, budget: Budget) -> Iterator[Member | Finding]:
    """Members of a zip archive and what is wrong with it.

    :raises Finding: nothing more can be read from it.
    """
    with _opened_zip(path) as archive:
        names: set[str] = set()
        offsets = [info.header_offset for info in archive.infolist()]
        if offsets and min(offsets) > 0:
            yield reject("polyglot", "other data stands before the archive")
        for info in archive.infolist():
            budget.entry()
            problem = _zip_problem(info, names)
            names.add(info.filename)
            if problem is not None:
                yield problem
            elif not info.is_dir():
                yield from _zip_member(archive, info, budget)


def zip_names(path: Path) -> list[str]:
    """Names of a zip archive's members, as they stand in it.

    :raises Finding: it cannot be read.
    """
    with _opened_zip(path) as archive:
        return archive.namelist()


def _opened_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except BROKEN as error:
        raise reject("malformed", f"the archive cannot be read: {error}") from None


def _zip_problem(info: zipfile.ZipInfo, names: set[str]) -> Finding | None:
    mode = info.external_attr >> 16
    if escapes(info.filename) or escapes(info.orig_filename):
        return reject("path_escape", f"a member is named {info.orig_filename!r}")
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return reject("link", f"{info.filename!r} is a link or a device")
    if info.filename in names:
        return reject("duplicate_member", f"{info.filename!r} occurs twice")
    if info.flag_bits & 0x1:
        return quarantine("encrypted", f"{info.filename!r} is encrypted")
    return None


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: Budget) -> Iterator[Member | Finding]:
    try:
        with archive.open(info) as stream:
            counted = Counted(stream, budget=budget, compressed=info.compress_size)
            yield Member(name=info.filename, size=info.file_size, stream=cast("IO[bytes]", counted))
            while counted.read():  # the rest: its checksum is compared at the end
                pass
    except UNSUPPORTED as error:
        yield quarantine("unreadable_member", f"{info.filename!r}: {error}")
    except BROKEN as error:
        yield reject("malformed", f"{info.filename!r} cannot be read: {error}")


def tar_members(path: Path, *, budget: Budget) -> Iterator[Member | Finding]:
    """Members of a tar archive (compressed or not) and what is wrong with it.

    :raises Finding: nothing more can be read from it.
    """
    size = path.stat().st_size
    try:
        with path.open("rb") as raw, _decompressed(raw, path) as stream:
            counted = Counted(stream, budget=budget, compressed=size)
            with tarfile.open(fileobj=cast("IO[bytes]", counted), mode="r|") as archive:
                for info in archive:
                    budget.entry()
                    if escapes(info.name):
                        yield reject("path_escape", f"a member is named {info.name!r}")
                    elif not (info.isfile() or info.isdir()):
                        yield reject("link", f"{info.name!r} is a link or a device")
                    elif info.isfile():
                        member = archive.extractfile(info)
                        if member is not None:
                            yield Member(name=info.name, size=info.size, stream=cast("IO[bytes]", Guarded(member)))
    except BROKEN as error:
        raise reject("malformed", f"the archive cannot be read: {error}") from None


def is_tar(path: Path) -> bool:
    """Whether a file, decompressed where it is compressed, begins like a tar archive."""
    try:
        with path.open("rb") as raw, _decompressed(raw, path) as stream:
            return stream.read(512)[257:262] == b"ustar"
    except BROKEN:
        return False


def decompressed(path: Path, *, budget: Budget) -> Iterator[IO[bytes]]:
    """The content of a compressed file, once.

    :raises Finding: it cannot be decompressed, or is a bomb.
    """
    try:
        with path.open("rb") as raw, _decompressed(raw, path) as stream:
            yield cast("IO[bytes]", Counted(stream, budget=budget, compressed=path.stat().st_size))
    except BROKEN as error:
        raise reject("malformed", f"cannot be decompressed: {error}") from None


def _decompressed(raw: IO[bytes], path: Path) -> IO[bytes]:
    with path.open("rb") as peek:
        head = peek.read(6)
    if head.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
    if head.startswith(b"BZh"):
        return cast("IO[bytes]", bz2.BZ2File(raw))
    if head.startswith((b"\xfd7zXZ\x00", b"\x5d\x00\x00")):
        return cast("IO[bytes]", lzma.LZMAFile(raw))
    if _is_zlib(head):
        return cast("IO[bytes]", _ZlibStream(raw))
    return raw


def is_compressed(head: bytes) -> bool:
    """Whether a file that begins with ``head`` is compressed as one stream."""
    return head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x5d\x00\x00")) or _is_zlib(head)


def _is_zlib(head: bytes) -> bool:
    return len(head) >= 2 and head[0] == 0x78 and int.from_bytes(head[:2], "big") % 31 == 0


class _ZlibStream:
    """A bare zlib stream, as joblib writes it."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._inflate = zlib.decompressobj()
        self._pending = b""

    def __enter__(self) -> "_ZlibStream":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close: the file belongs to the caller."""

    def read(self, count: int) -> bytes:
        while not self._inflate.eof:
            compressed = self._pending or self._raw.read(65_536)
            if not compressed:
                raise EOFError("the compressed data ends early")
            data = self._inflate.decompress(compressed, count)
            self._pending = self._inflate.unconsumed_tail
            if data:
                return data
        return b""


def escapes(name: str) -> bool:
    """Whether a member's name would leave the folder that it is unpacked into."""
    return (
        not name
        or name.startswith(("/", "\\"))
        or re.match(r"[A-Za-z]:", name) is not None
        or "\x00" in name
        or ".." in re.split(r"[/\\]", name)
    )
