"""Tar archives, compressed or not."""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from anfl.inspection.codes import Code, Finding
from anfl.inspection.compressed import opened
from anfl.inspection.limits import Budget
from anfl.inspection.members import Member, Names
from anfl.inspection.streams import BROKEN, Counted, Guarded, translated

_MAGIC = slice(257, 262)
_SPARSE = (tarfile.GNUTYPE_SPARSE,)
_TORCH = ("storages", "tensors")
"""Members of torch's oldest files: between their pickles stand numbers, whose length only those pickles tell."""


def begins_like_tar(head: bytes) -> bool:
    """Whether what begins with ``head`` (at least 262 bytes) is a tar archive."""
    return head[_MAGIC] == b"ustar" or has_header(head)


def has_header(head: bytes) -> bool:
    """Whether what begins with ``head`` is read as a tar archive, magic or not: by the checksum of its first header."""
    try:
        tarfile.TarInfo.frombuf(head[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError, OverflowError):
        return False
    return True


def is_also_tar(path: Path) -> bool:
    """Whether a file of another format can be read as a tar archive: torch tries that before all else."""
    with path.open("rb") as stream:
        return has_header(stream.read(tarfile.BLOCKSIZE))


def is_tar(path: Path) -> bool:
    """Whether a compressed file holds a tar archive."""
    try:
        with path.open("rb") as raw, opened(raw) as stream:
            return begins_like_tar(stream.read(512))
    except BROKEN:
        return False


def tar_members(path: Path, *, budget: Budget) -> Iterator[Member | Finding]:
    """Members of a tar archive and what is wrong with it.

    :raises Finding: nothing more can be read from it.
    """
    names = Names()
    with translated("the archive"), path.open("rb") as raw, opened(raw) as content:
        counted = Counted(content, budget=budget, compressed=path.stat().st_size)
        with tarfile.open(fileobj=cast("IO[bytes]", counted), mode="r|") as archive:
            for info in archive:
                budget.entry()
                problem = names.problem(info.name) or _problem(info)
                if problem is not None:
                    yield problem
                elif info.isfile():
                    if info.name in _TORCH:
                        yield Finding(Code.UNSUPPORTED_FORMAT, "it is a torch file of the oldest kind")
                    stream = Guarded(cast("IO[bytes]", archive.extractfile(info)))
                    yield Member(name=info.name, size=info.size, stream=cast("IO[bytes]", stream))
                    while stream.read():  # the rest: a member that ends early is noticed
                        pass
                    if stream.failed:
                        return
            if _rest(archive, counted):
                yield Finding(Code.TRAILING_DATA, "data follows the archive's end")


def _problem(info: tarfile.TarInfo) -> Finding | None:
    if info.type in _SPARSE or info.sparse is not None:
        return Finding(Code.ARCHIVE_BOMB, f"{info.name!r} is sparse: it expands to {info.size} bytes")
    if not (info.isfile() or info.isdir()):
        return Finding(Code.LINK, f"{info.name!r} is a link or a device")
    return None


def _rest(archive: tarfile.TarFile, counted: Counted) -> bool:
    """Whether anything but zeros follows the end of the archive."""
    buffered = getattr(archive.fileobj, "buf", b"")
    if bytes(buffered).strip(b"\x00"):
        return True
    while chunk := counted.read():
        if chunk.strip(b"\x00"):
            return True
    return False
