"""What can only be said of files together: that those which others refer to are there, and fit."""

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from anfl.inspection.codes import Code, Finding
from anfl.inspection.examination import Examination, Needed
from anfl.inspection.signatures import disagreement

_NUMBERS = "numbers"
"""Format of files that hold nothing but values whose types and shapes stand in another file."""


@dataclass(frozen=True, kw_only=True)
class Examined:
    """One file of the set."""

    name: str
    size: int
    examination: Examination


def relate(files: Sequence[Examined]) -> tuple[list[tuple[str | None, Finding]], list[str | None]]:
    """All findings, by file, and each file's format.

    A file of no known format that another one describes as plain numbers is known after all.
    """
    sizes = {file.name: file.size for file in files}
    described: set[str] = set()
    found: list[tuple[str | None, Finding]] = []
    for file in files:
        for needed in file.examination.needed:
            place = _beside(file.name, needed.path)
            problem = _missing(place, needed, sizes)
            if problem is not None:
                found.append((file.name, problem))
            if needed.numbers:
                described.add(place)
        found += _signature(file, files)
    for file in files:
        for noted in file.examination.noted:
            explained = noted.code is Code.UNKNOWN_FORMAT and noted.file in described
            if not explained:
                found.append((noted.file, Finding(noted.code, noted.detail)))
    formats = [_NUMBERS if file.name in described else file.examination.format for file in files]
    return found, formats


def _missing(place: str, needed: Needed, sizes: dict[str, int]) -> Finding | None:
    if place in sizes:
        if sizes[place] >= needed.size:
            return None
        return Finding(Code.TRUNCATED, f"{needed.path!r} must have {needed.size} bytes and has {sizes[place]}")
    is_folder = any(name.startswith(f"{place}/") for name in sizes)
    if is_folder and not needed.numbers:
        return None
    return Finding(Code.MISSING_FILE, f"it refers to {needed.path!r}, which is not there")


def _signature(file: Examined, files: Sequence[Examined]) -> list[tuple[str | None, Finding]]:
    """An MLmodel's signature beside that of the ONNX model which it describes."""
    declared, described = file.examination.signature, file.examination.describes
    if declared is None or described is None:
        return []
    place = _beside(file.name, described)
    actual = next((one.examination.signature for one in files if one.name == place), None)
    problem = None if actual is None else disagreement(declared, actual)
    return [] if problem is None else [(file.name, problem)]


def _beside(name: str, relative: str) -> str:
    """The name of a file in the set that another one of it refers to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), relative))
