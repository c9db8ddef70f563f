"""Inspects a set of files and gives the verdict."""

import os
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from anfl.inspection import archives, documents, onnx, tensors
from anfl.inspection.archives import Member
from anfl.inspection.limits import Budget, Limits
from anfl.inspection.pickles import walk_file
from anfl.inspection.report import Finding, InspectedFile, Reason, Report, Status, quarantine, reject
from anfl.inspection.streams import Cursor, sha256_of

_DEFEATS = (RecursionError, MemoryError, ValueError, OverflowError, OSError, AttributeError, TypeError, KeyError)
"""What a parser of the standard library or NumPy may raise for input that nobody foresaw."""
_HEAD_BYTES = 512
_MAX_REASONS = 1000
_EXECUTABLES = (b"\x7fELF", b"MZ", b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
_EXPECTED = {
    ".safetensors": {"safetensors"},
    ".npy": {"npy"},
    ".npz": {"zip"},
    ".zip": {"zip"},
    ".onnx": {"onnx"},
    ".json": {"text"},
    ".yaml": {"text"},
    ".yml": {"text"},
    ".txt": {"text"},
    ".md": {"text"},
    ".csv": {"text"},
}
"""What a file with this extension must be: anything else would be opened as something that it is not."""
_PICKLE_SUFFIXES = frozenset({".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle"})
_OPAQUE_IN_TORCH = ("data", "version", "byteorder", ".format_version", ".storage_alignment", "serialization_id")


@dataclass(frozen=True, kw_only=True)
class FileSource:
    """One file to inspect.

    ``path`` is its name relative to the whole; ``local`` gives a readable copy for as long as its context is open.
    """

    path: str
    size: int
    local: "Callable[[], Local]"
    s3_version: str | None = None


class Local:
    """A file on this machine while it is needed; removed afterwards if it is a copy."""

    def __init__(self, path: Path, *, temporary: bool = False) -> None:
        self._path = path
        self._temporary = temporary

    def __enter__(self) -> Path:
        return self._path

    def __exit__(self, *_: object) -> None:
        """Remove a copy."""
        self.remove()

    def remove(self) -> None:
        """Remove a copy; leave an original."""
        if self._temporary:
            self._path.unlink(missing_ok=True)


def inspect_files(
    sources: Iterable[FileSource],
    *,
    limits: Limits | None = None,
    scratch: Path | None = None,
) -> Report:
    """The verdict on files. Never raises because of what is in them.

    :param scratch: folder for what must be unpacked; None: the system's.
    """
    budget = Budget(limits or Limits())
    collected: Found = []
    files: list[InspectedFile] = []
    total = 0
    with tempfile.TemporaryDirectory(prefix="inspect-", dir=scratch) as folder:
        inspection = _Inspection(budget, Path(folder))
        for source in sources:
            total += source.size
            if len(files) >= budget.limits.files:
                collected.append((None, quarantine("too_many_files", f"more than {budget.limits.files} files")))
                break
            if source.size > budget.limits.file_bytes or total > budget.limits.total_bytes:
                collected.append((source.path, quarantine("too_large", f"{source.size} bytes are not inspected")))
                continue
            with source.local() as local:
                try:
                    digest = sha256_of(local, tick=budget.tick)
                except Finding as finding:
                    collected.append((source.path, finding))
                    break
                form, found = inspection.file(source.path, local)
            collected += found
            files.append(
                InspectedFile(
                    path=source.path, sha256=digest, size=source.size, format=form, s3_version=source.s3_version
                )
            )
    if not files and not collected:
        collected.append((None, reject("no_files", "there is nothing to inspect")))
    return Report(status=_status(collected), reasons=_reasons(collected), files=files)


Found = list[tuple[str | None, Finding]]


class _Inspection:
    """The state of one inspection: its budget and its scratch folder."""

    def __init__(self, budget: Budget, folder: Path) -> None:
        self._budget = budget
        self._folder = folder

    def file(self, name: str, path: Path, *, depth: int = 0) -> tuple[str | None, Found]:
        """The format of a file and everything questionable in it."""
        try:
            form = self._format(name, path)
        except OSError as error:
            return None, [(name, quarantine("unreadable", str(error)))]
        found: Found = []
        try:
            for finding in self._by_format(form, name, path, depth):
                found.append(finding if isinstance(finding, tuple) else (name, finding))
        except Finding as finding:
            found.append((name, finding))
        except _DEFEATS:
            found.append((name, quarantine("not_inspectable", "its structure defeats the inspection")))
        found += [(name, finding) for finding in _misleading(name, form)]
        if form not in (None, "zip") and self._also_zip(path):
            found.append((name, reject("polyglot", f"it is {form} and a zip archive at once")))
        return form, found

    def _format(self, name: str, path: Path) -> str | None:
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
        suffix = _suffix(name)
        if not head:
            return "empty"
        if _is_safetensors(head):
            return "safetensors"
        simple = _simple_format(head)
        if simple is not None:
            return simple
        if archives.is_compressed(head):
            return "tar" if archives.is_tar(path) else "compressed"
        if head[257:262] == b"ustar":
            return "tar"
        if onnx.looks_like(head):
            return "onnx"
        if suffix in _PICKLE_SUFFIXES or self._is_old_pickle(path):
            return "pickle"
        with path.open("rb") as stream:
            if documents.is_text(stream):
                return "text"
        return suffix.removeprefix(".") if suffix in (".safetensors", ".onnx", ".npy") else None

    def _by_format(
        self, form: str | None, name: str, path: Path, depth: int
    ) -> Iterator[Finding | tuple[str | None, Finding]]:
        tick = self._budget.tick
        with path.open("rb") as stream:
            match form:
                case "pickle":
                    yield from walk_file(Cursor(stream), torch=False, tick=tick)
                case "npy":
                    yield from tensors.npy(Cursor(stream), size=path.stat().st_size, tick=tick)
                case "safetensors":
                    yield from tensors.safetensors(path)
                    if stream.read(1) == b"\x80":  # the same bytes may begin a pickle
                        stream.seek(0)
                        found = walk_file(Cursor(stream), torch=False, tick=tick)
                        yield from (finding for finding in found if finding.code.endswith("_global"))
                case "onnx":
                    yield from onnx.model(Cursor(stream), size=path.stat().st_size, tick=tick)
                case "zip":
                    root = _torch_root(archives.zip_names(path))
                    members = archives.zip_members(path, budget=self._budget)
                    yield from self._archive(name, members, depth, torch_root=root)
                case "tar":
                    yield from self._archive(name, archives.tar_members(path, budget=self._budget), depth)
                case "compressed":
                    for content in archives.decompressed(path, budget=self._budget):
                        yield from self._content(name, content, size=None, depth=depth)
                case "text":
                    yield from _text(name, stream)
                case "executable":
                    yield reject("executable", "it is a program")
                case "empty":
                    return
                case _:
                    yield quarantine("unknown_format", "its format is not one that can be inspected")

    def _archive(
        self, name: str, members: Iterator[Member | Finding], depth: int, *, torch_root: str | None = None
    ) -> Iterator[Finding | tuple[str | None, Finding]]:
        for member in members:
            if isinstance(member, Finding):
                yield member
                continue
            place = PurePosixPath(member.name)
            label = f"{name}!{member.name}"
            if torch_root is not None and place.parts == (torch_root, "data.pkl"):
                for finding in walk_file(Cursor(member.stream), torch=True, tick=self._budget.tick):
                    yield label, finding
            elif not _is_opaque(place, torch_root):
                yield from self._content(label, member.stream, size=member.size, depth=depth)

    def _content(
        self, label: str, stream: IO[bytes], *, size: int | None, depth: int
    ) -> Iterator[tuple[str | None, Finding]]:
        """Inspect what an archive or a compressed file holds: as it comes where that is enough, else from a copy."""
        cursor = Cursor(stream)
        try:
            head = cursor.peek(_HEAD_BYTES)
            form = None if _is_safetensors(head) else _simple_format(head)
            if form == "pickle":
                found = walk_file(cursor, torch=False, tick=self._budget.tick)
            elif form == "npy" and size is not None:
                found = tensors.npy(cursor, size=size, tick=self._budget.tick)
            else:
                yield from self._copied(label, cursor, depth)
                return
            found += _misleading(label, form)
        except Finding as stop:
            found = [stop]
        for finding in found:
            yield label, finding

    def _copied(self, label: str, cursor: Cursor, depth: int) -> Iterator[tuple[str | None, Finding]]:
        limits = self._budget.limits
        if depth >= limits.depth:
            raise quarantine("too_deep", f"archives are looked into {limits.depth} levels deep")
        handle, temporary = tempfile.mkstemp(dir=self._folder)
        copy = Path(temporary)
        try:
            with os.fdopen(handle, "wb") as target:
                copied = 0
                for chunk in cursor.chunks():
                    copied += len(chunk)
                    if copied > limits.unpacked_bytes:
                        raise quarantine("too_large", f"more than {limits.unpacked_bytes} bytes when unpacked")
                    target.write(chunk)
            _, found = self.file(label, copy, depth=depth + 1)
            yield from found
        finally:
            copy.unlink(missing_ok=True)

    def _is_old_pickle(self, path: Path) -> bool:
        """Pickles of protocols 0 and 1 have no magic: it is one if it walks to its end, or names danger on the way."""
        with path.open("rb") as stream:
            head = stream.read(1)
            if head not in b"(]}cl)d\x80ItaVSFLNKMJG":
                return False
            stream.seek(0)
            findings = walk_file(Cursor(stream), torch=False, tick=self._budget.tick)
        broken = any(finding.code in ("malformed", "truncated", "trailing_data") for finding in findings)
        return not broken or any(finding.code == "dangerous_global" for finding in findings)

    def _also_zip(self, path: Path) -> bool:
        try:
            return zipfile.is_zipfile(path) and bool(zipfile.ZipFile(path).infolist())
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
            return False


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _is_safetensors(head: bytes) -> bool:
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**32


def _simple_format(head: bytes) -> str | None:
    """Formats that their first bytes tell."""
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head.startswith(tensors.NPY_MAGIC):
        return "npy"
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "pickle"
    return "executable" if head.startswith(_EXECUTABLES) else None


def _misleading(name: str, form: str | None) -> list[Finding]:
    expected = _EXPECTED.get(_suffix(name))
    if expected is None or form is None or form in expected | {"empty"}:
        return []
    return [reject("misleading_extension", f"the content is {form}")]


def _torch_root(names: list[str]) -> str | None:
    """The one folder of a torch archive: the parent of its ``data.pkl``."""
    parents = [PurePosixPath(name).parts[0] for name in names if PurePosixPath(name).name == "data.pkl"]
    return parents[0] if len(parents) == 1 else None


def _is_opaque(place: PurePosixPath, torch_root: str | None) -> bool:
    """Members of a torch archive that hold raw tensors or its own bookkeeping."""
    if torch_root is None or place.parts[0] != torch_root or len(place.parts) < 2:
        return False
    return place.parts[1] in _OPAQUE_IN_TORCH or place.parts[1:3] == (".data", "serialization_id")


def _text(name: str, stream: IO[bytes]) -> Iterator[Finding]:
    if PurePosixPath(name).name == "MLmodel":
        yield from documents.mlmodel(stream.read(documents.MLMODEL_BYTES + 1))
    elif documents.is_code(name) or stream.read(2) == b"#!":
        yield quarantine("custom_code", "it is code, which would run when the model is loaded")


def _status(findings: Found) -> Status:
    statuses = {finding.status for _, finding in findings}
    if Status.REJECTED in statuses:
        return Status.REJECTED
    return Status.QUARANTINED if statuses else Status.VALIDATED


def _reasons(findings: Found) -> list[Reason]:
    ordered = sorted(findings, key=lambda pair: pair[1].status is not Status.REJECTED)
    return [Reason(code=f.code, file=name, detail=f.detail) for name, f in ordered[:_MAX_REASONS]]
