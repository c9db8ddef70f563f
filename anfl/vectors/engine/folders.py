"""Folders of files that never change, which every process of a node maps.

A folder's name is the SHA-256 (first 32 digits) of its ``manifest.json``, which names the other files with size and
SHA-256. So the same content has the same name wherever it is made.
"""

import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from anfl.vectors.engine import archive
from anfl.vectors.engine.archive import Array, DamagedFileError

NAME_LENGTH = 32
MANIFEST = "manifest.json"
_DRAFT = re.compile(r"\.[0-9a-f]{32}")


class FileFacts(msgspec.Struct, frozen=True):
    """A file's size in bytes, and its SHA-256 in hexadecimal digits."""

    size: int
    sha256: str


class Manifest(Protocol):
    """What every kind of manifest says."""

    @property
    def format(self) -> int:
        """How the files are laid out."""

    @property
    def files(self) -> Mapping[str, FileFacts]:
        """The other files of the folder, by name."""


M = TypeVar("M", bound=Manifest)


def read_manifest(folder: Path, kind: type[M], *, known: int) -> M:
    """A folder's manifest.

    :param known: the format that can be read here.
    :raises DamagedFileError: it is not the one that the folder is named after, or of another kind or format.
    :raises FileNotFoundError: there is no such folder.
    """
    path = folder / MANIFEST
    try:
        text = path.read_bytes()
        manifest = msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError as error:
        raise DamagedFileError(path, str(error)) from error
    if manifest.format != known:
        raise DamagedFileError(path, f"format {manifest.format} is not known here")
    if name_of(text) != folder.name:
        raise DamagedFileError(path, "does not belong to a folder of this name")
    return manifest


def check_files(folder: Path, manifest: Manifest, *, content: bool) -> None:
    """Compare the files with what the manifest says.

    :param content: read every file and compare its SHA-256, as is right for what comes from elsewhere.
    :raises DamagedFileError: one is missing, or not what the manifest says.
    """
    for file, facts in manifest.files.items():
        path = folder / file
        try:
            size = path.stat().st_size
            if size != facts.size:
                raise DamagedFileError(path, f"{size} bytes instead of {facts.size}")
            if content and _facts(path).sha256 != facts.sha256:
                raise DamagedFileError(path, "its SHA-256 is not the manifest's")
        except OSError as error:
            raise DamagedFileError(path, str(error)) from error


def name_of(manifest: bytes) -> str:
    """The name of the folder with this manifest."""
    return hashlib.sha256(manifest).hexdigest()[:NAME_LENGTH]


class Draft:
    """A folder being written, under a passing name until `finish`."""

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self.folder = parent / f".{uuid.uuid4().hex}"
        self.folder.mkdir(parents=True)

    def write(self, file: str, arrays: Mapping[str, Sequence[Array]]) -> None:
        """Write an archive."""
        archive.write(self.folder / file, arrays)

    def finish(self, manifest: Callable[..., Manifest]) -> Path:
        """Write the manifest, which is made of the ``files``, give the folder its name and return it."""
        files = {path.name: _facts(path) for path in sorted(self.folder.iterdir())}
        text = msgspec.json.encode(manifest(files=files))
        (self.folder / MANIFEST).write_bytes(text)
        place = self._parent / name_of(text)
        try:
            self.folder.rename(place)
        except OSError:
            if not place.is_dir():
                raise
            self.discard()  # the very same content is there already
        return place

    def discard(self) -> None:
        """Give it up."""
        shutil.rmtree(self.folder, ignore_errors=True)


def discard_drafts(parent: Path) -> None:
    """Remove what processes were writing that were killed meanwhile, where nobody is writing now."""
    for folder in parent.glob(".*"):
        if _DRAFT.fullmatch(folder.name):
            shutil.rmtree(folder, ignore_errors=True)


def _facts(path: Path) -> FileFacts:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return FileFacts(size, hashlib.file_digest(file, "sha256").hexdigest())
