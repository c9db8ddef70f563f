"""Zip archives: every member, and whether all readers of the archive see the same ones."""

import os
import stat
import struct
import zipfile
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import IO, cast

from anfl.inspection.codes import Code, Finding
from anfl.inspection.limits import Budget
from anfl.inspection.members import Member, Names
from anfl.inspection.streams import Counted, translated

MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
_LOCAL_HEADER = 30
_MAX_DESCRIPTOR = 24
"""Checksum and sizes behind a member's data, where its header does not tell them."""
_DESCRIBED = 0x8
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_MOST = 0xFFFFFFFF
"""Stands for a size where it is told in `_SIZES`."""
_SIZES = 1
"""The extra field of large members: size, compressed size."""
_EMPTY_BYTES = 2
"""Of nothing, deflated."""
_END, _LOCATOR, _LARGER_END = b"PK\x05\x06", b"PK\x06\x07", b"PK\x06\x06"
"""Records behind the directory: the end, and before it, of large archives, one with larger numbers and its place."""


def zip_members(path: Path, *, budget: Budget) -> Iterator[Member | Finding]:
    """Members of a zip archive and what is wrong with it.

    :raises Finding: nothing more can be read from it.
    """
    with _opened(path) as archive:
        names = Names()
        with translated("the archive"):
            hidden = list(_hidden(path, archive))
        yield from hidden
        for info in archive.infolist():
            budget.entry()
            problem = names.problem(info.orig_filename) or _problem(info)
            if problem is not None:
                yield problem
            elif not info.is_dir():
                yield from _member(archive, info, budget)


def zip_names(path: Path) -> list[str]:
    """Names of a zip archive's members, as they stand in it.

    :raises Finding: it cannot be read.
    """
    with _opened(path) as archive:
        return archive.namelist()


def is_also_zip(path: Path) -> bool:
    """Whether a file of another format can be read as a zip archive that holds something."""
    try:
        with zipfile.ZipFile(path) as archive:
            return bool(archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error):
        return False


def _opened(path: Path) -> zipfile.ZipFile:
    with translated("the archive"):
        return zipfile.ZipFile(path)


def _problem(info: zipfile.ZipInfo) -> Finding | None:
    mode = info.external_attr >> 16
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return Finding(Code.LINK, f"{info.filename!r} is a link or a device")
    if info.filename != info.orig_filename:
        return Finding(Code.DECEPTIVE_NAME, f"{info.orig_filename!r} is named {info.filename!r} as well")
    if info.is_dir() and info.file_size:
        return Finding(Code.MALFORMED, f"{info.filename!r} is a folder with content")
    if info.flag_bits & 0x1:
        return Finding(Code.ENCRYPTED, f"{info.filename!r} is encrypted")
    if info.is_dir() and info.compress_size > _EMPTY_BYTES:
        return Finding(Code.HIDDEN_DATA, f"{info.compress_size} bytes stand in the folder {info.filename!r}")
    return None


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: Budget) -> Iterator[Member | Finding]:
    try:
        with translated(repr(info.filename)), archive.open(_with_more(info)) as stream:
            counted = Counted(stream, budget=budget, compressed=info.compress_size)
            yield Member(name=info.filename, size=info.file_size, stream=cast("IO[bytes]", counted))
            while counted.read():  # the rest: its checksum is compared at the end
                pass
            if counted.total != info.file_size and not counted.failed:
                raise Finding(Code.MALFORMED, f"{info.filename!r} has {counted.total} bytes, not {info.file_size}")
    except Finding as finding:
        if finding.code in (Code.ARCHIVE_BOMB, Code.TIME_LIMIT):
            raise
        yield finding


def _with_more(info: zipfile.ZipInfo) -> zipfile.ZipInfo:
    """The same member, as if it were larger: Python ends where its size says, others where its content does."""
    more = copy(info)
    more.file_size += 1
    return more


def _hidden(path: Path, archive: zipfile.ZipFile) -> Iterator[Finding]:
    """Bytes that belong to no member: other readers of the archive may see them.

    Python finds members from the directory at the end, others read them one after the other from the start.
    """
    infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
    if infos and infos[0].header_offset > 0:
        yield Finding(Code.POLYGLOT, "other data stands before the archive")
    with path.open("rb") as stream:
        following = [info.header_offset for info in infos[1:]] + [archive.start_dir]
        for info, end in zip(infos, following, strict=True):
            stream.seek(info.header_offset)
            header = stream.read(_LOCAL_HEADER)
            if len(header) < _LOCAL_HEADER or not header.startswith(MAGIC[0]):
                yield Finding(Code.MALFORMED, f"{info.filename!r} has no header of its own")
                continue
            name, extra = struct.unpack("<HH", header[26:30])
            stream.seek(name, os.SEEK_CUR)
            if _tells_otherwise(header, stream.read(extra), info):
                yield Finding(Code.MALFORMED, f"the header of {info.filename!r} is not as the directory has it")
            gap = end - (info.header_offset + _LOCAL_HEADER + name + extra + info.compress_size)
            if gap < 0:
                yield Finding(Code.ARCHIVE_BOMB, f"{info.filename!r} overlaps another member")
            elif gap > (_MAX_DESCRIPTOR if info.flag_bits & _DESCRIBED else 0):
                yield Finding(Code.HIDDEN_DATA, f"{gap} bytes behind {info.filename!r} belong to no member")
        stream.seek(archive.start_dir)
        yield from _behind_directory(stream.read(), archive)


def _tells_otherwise(header: bytes, extra: bytes, info: zipfile.ZipInfo) -> bool:
    """Whether a member's own header tells of another member than the directory: others go by that one."""
    flags, method, _, checksum, packed, size = struct.unpack_from("<HHIIII", header, 6)
    if _MOST in (size, packed):
        size, packed = _large(extra) or (size, packed)
    told = (checksum, packed, size)
    so = (info.CRC, info.compress_size, info.file_size)
    later = bool(flags & _DESCRIBED)
    return (
        method != info.compress_type
        or bool((flags ^ info.flag_bits) & _ENCRYPTED)
        or any(one != other and not (later and one == 0) for one, other in zip(told, so, strict=True))
    )


def _large(extra: bytes) -> tuple[int, int] | None:
    """Both sizes of a large member, where its header's extra fields tell them."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == _SIZES and 16 <= length <= len(extra) - 4:
            size, packed = struct.unpack_from("<QQ", extra, 4)
            return size, packed
        extra = extra[4 + length :]
    return None


def _behind_directory(tail: bytes, archive: zipfile.ZipFile) -> Iterator[Finding]:
    """Bytes behind the end record, and what it says otherwise than is so; ``tail`` is all from the directory on.

    Python looks for the directory before the end record, torch where the record says that it is.
    """
    end = tail.rfind(_END)
    behind = len(tail) - (end + 22 + len(archive.comment))
    if end < 0 or behind:
        yield Finding(Code.TRAILING_DATA, f"{behind} bytes follow the archive")
    elif not _is_told(tail, end, archive):
        yield Finding(Code.POLYGLOT, "its end tells of another directory than stands before it")


def _is_told(tail: bytes, end: int, archive: zipfile.ZipFile) -> bool:
    """Whether all records behind the directory tell of it: how many members, how many bytes, where."""
    larger = end - 20 - 56
    is_large = end >= 20 and tail[end - 20 :].startswith(_LOCATOR)
    so = (len(archive.infolist()), larger if is_large else end, archive.start_dir)
    told = struct.unpack_from("<HII", tail, end + 10)
    if not is_large:
        return told == so
    place = struct.unpack_from("<Q", tail, end - 20 + 8)[0]
    return (
        tail[larger:].startswith(_LARGER_END)
        and place == archive.start_dir + larger
        and struct.unpack_from("<3Q", tail, larger + 32) == so
        and all(
            small in (large, most)
            for small, large, most in zip(told, so, (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF), strict=True)
        )
    )
