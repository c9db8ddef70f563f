"""Looks at one file and at what is in it. This runs in the limited process: see `sandbox`."""

import json
import mmap
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

from anfl.inspection import compressed, configs, formats, mlmodel, tars, templates, tensors, text, zips
from anfl.inspection.codes import Code, Finding
from anfl.inspection.documents import check_json, check_yaml
from anfl.inspection.examination import Examination, Facts, Noted
from anfl.inspection.limits import Budget, Limits
from anfl.inspection.members import Member
from anfl.inspection.onnx_model import onnx_model
from anfl.inspection.pickles.files import begins_pickle, is_pickle, pickle_file, pickle_stream
from anfl.inspection.requirements import NAMES, requirements
from anfl.inspection.streams import Counted, Cursor

_DEFEATS = (RecursionError, ValueError, OverflowError, OSError, AttributeError, TypeError, LookupError, RuntimeError)
"""What a parser may raise for input that nobody foresaw."""
_NOT_ZIP_AS_WELL = ("zip", "tar", None)
"""Archives are looked into anyway, and their own end is checked."""
_MAY_BEGIN_A_PICKLE = ("tar", "compressed", "onnx")
"""Formats whose first bytes may be opcodes as well: a pickle ends where it says, whatever follows."""


def examine(
    name: str, path: Path, *, limits: Limits, scratch: Path, package_hosts: tuple[str, ...] = ()
) -> Examination:
    """Everything questionable in a file. Never raises because of what is in it.

    :param name: says what is expected: extensions, ``MLmodel``.
    :param scratch: folder for what must be unpacked.
    :param package_hosts: see `anfl.inspection.requirements.requirements`.
    """
    return Examiner(Budget(limits), scratch, package_hosts).file(name, path)


class Examiner:
    """The examination of one file of artefacts: its budget and its scratch folder."""

    def __init__(self, budget: Budget, scratch: Path, package_hosts: tuple[str, ...] = ()) -> None:
        self._budget = budget
        self._scratch = scratch
        self._package_hosts = package_hosts

    def file(self, name: str, path: Path, *, depth: int = 0) -> Examination:
        """The format of a file, or of an archive's member that was unpacked, and everything questionable in it."""
        noted: list[Noted] = []
        form: str | None = None
        facts = Facts()
        try:
            form = formats.format_of(name, path, tick=self._budget.tick)
            if form in _MAY_BEGIN_A_PICKLE:
                noted += (Noted.of(name, finding) for finding in self._also(form, path))
            elif form == "text":
                noted += (Noted.of(name, finding) for finding in self._compressed_as_well(path))
            facts = self._facts(form, name, path)
            noted += (Noted.of(name, finding) for finding in facts.findings)
            noted += self._contents(form, name, path, depth)
        except Finding as finding:
            noted.append(Noted.of(name, finding))
        except MemoryError:
            noted.append(Noted(name, Code.MEMORY_LIMIT, "it takes more memory than an inspection has"))
        except _DEFEATS as error:
            detail = f"its structure defeats the inspection ({type(error).__name__})"
            noted.append(Noted(name, Code.INSPECTION_FAILED, detail))
        noted += (Noted.of(name, finding) for finding in formats.misleading(name, form))
        noted += (Noted.of(name, finding) for finding in formats.read_elsewhere(name, path))
        if form not in _NOT_ZIP_AS_WELL and zips.is_also_zip(path):
            noted.append(Noted(name, Code.POLYGLOT, f"it is {form} and a zip archive at once"))
        if form != "tar" and tars.is_also_tar(path):
            noted.append(Noted(name, Code.POLYGLOT, f"it is {form} and a tar archive at once"))
        return Examination(
            format=form, noted=noted, needed=facts.needed, signature=facts.signature, describes=facts.describes
        )

    def _facts(self, form: str | None, name: str, path: Path) -> Facts:
        """What a file that is no archive says."""
        tick = self._budget.tick
        match form:
            case "pickle":
                return Facts(findings=pickle_file(path, tick=tick))
            case "npy":
                with path.open("rb") as stream:
                    return Facts(findings=tensors.npy(Cursor(stream), size=path.stat().st_size, tick=tick))
            case "safetensors":
                return Facts(findings=self._safetensors(path))
            case "onnx":
                return onnx_model(path, scratch=self._scratch, limits=self._budget.limits, tick=tick)
            case "text":
                return self._text(name, path)
            case "empty" if formats.needs_content(name):
                raise Finding(Code.TRUNCATED, "it is empty, which no file of this kind can be")
            case "executable":
                raise Finding(Code.EXECUTABLE, "it is a program")
            case "unsupported":
                with path.open("rb") as stream:
                    what = formats.unsupported(stream.read(formats.HEAD_BYTES))
                raise Finding(Code.UNSUPPORTED_FORMAT, f"it is {what}, which is not looked into")
            case None:
                raise Finding(Code.UNKNOWN_FORMAT, "its format is not one that can be inspected")
            case _:
                return Facts()

    def _safetensors(self, path: Path) -> list[Finding]:
        tick = self._budget.tick
        findings: list[Finding] = []
        if is_pickle(path, tick=tick):  # the same bytes may begin one
            findings = [*pickle_file(path, tick=tick), Finding(Code.POLYGLOT, "it is safetensors and a pickle at once")]
        try:
            return findings + tensors.safetensors(path)
        except Finding as finding:
            return [*findings, finding]

    def _also(self, form: str | None, path: Path) -> Iterator[Finding]:
        """The finding that a file is a pickle at once, or that what is compressed in a tar archive is; or that such an
        archive is text, which no tool writes.
        """
        polyglot = Finding(Code.POLYGLOT, f"it is {form} and a pickle at once")
        if is_pickle(path, tick=self._budget.tick):
            yield polyglot
        elif form == "tar":
            with path.open("rb") as raw, compressed.opened(raw) as content:
                if self._inflates_to_pickle(content, path):
                    yield polyglot
            with path.open("rb") as stream:
                if text.is_text(stream):
                    yield Finding(Code.POLYGLOT, "it is tar and text at once")

    def _compressed_as_well(self, path: Path) -> Iterator[Finding]:
        """The finding that a text is a compressed pickle at once."""
        with path.open("rb") as raw:
            content = compressed.written_zlib(raw)
            if content is not None and self._inflates_to_pickle(content, path):
                yield Finding(Code.POLYGLOT, "it is text and a compressed pickle at once")

    def _inflates_to_pickle(self, content: IO[bytes], path: Path) -> bool:
        counted = Counted(content, budget=self._budget, compressed=path.stat().st_size)
        return begins_pickle(Cursor(cast("IO[bytes]", counted)), tick=self._budget.tick)

    def _text(self, name: str, path: Path) -> Facts:
        base = PurePosixPath(name.rpartition("!")[2]).name
        if base == "MLmodel":
            with path.open("rb") as stream:
                return mlmodel.mlmodel(stream.read(mlmodel.MLMODEL_BYTES + 1))
        if base in mlmodel.MODULES:
            with path.open("rb") as stream:
                finding = mlmodel.named_module(base, stream.read(mlmodel.MLMODEL_BYTES))
            return Facts(findings=[] if finding is None else [finding])
        suffix = formats.suffix_of(name)
        is_large = path.stat().st_size > self._budget.limits.document_bytes
        if suffix in (".yaml", ".yml") or base.lower() in NAMES:
            if is_large:
                raise Finding(Code.TOO_LARGE, f"a document of more than {self._budget.limits.document_bytes} bytes")
            content = path.read_bytes()
            if base.lower() in NAMES:
                return Facts(findings=requirements(base.lower(), content, hosts=self._package_hosts))
            return Facts(findings=check_yaml(content))
        if suffix == ".json":
            with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                check_json(mapped)
            if is_large and configs.is_config(name):
                limit = self._budget.limits.document_bytes
                raise Finding(Code.TOO_LARGE, f"a configuration of more than {limit} bytes")
            return Facts() if is_large else configs.config(name, json.loads(path.read_bytes()))
        if suffix in templates.SUFFIXES:
            if is_large:
                raise Finding(Code.TOO_LARGE, f"a template of more than {self._budget.limits.document_bytes} bytes")
            return Facts(findings=templates.chat_template(path.read_text("utf-8")))
        if name.endswith(configs.SAVED_POLICY):
            if is_large:
                raise Finding(
                    Code.TOO_LARGE, f"a configuration of more than {self._budget.limits.document_bytes} bytes"
                )
            return Facts(findings=configs.saved_policy(path.read_bytes()))
        with path.open("rb") as stream:
            if text.is_code(name) or stream.read(2) == b"#!":
                raise Finding(Code.CUSTOM_CODE, "it is code, which would run when the model is loaded")
        return Facts()

    def _contents(self, form: str | None, name: str, path: Path, depth: int) -> Iterator[Noted]:
        """What is questionable in an archive's members, or in what is compressed."""
        match form:
            case "zip":
                root = None if formats.is_no_torch(name) else _torch_root(zips.zip_names(path))
                yield from self._archive(name, zips.zip_members(path, budget=self._budget), depth, torch_root=root)
            case "tar":
                yield from self._archive(name, tars.tar_members(path, budget=self._budget), depth)
            case "compressed":
                for content in compressed.decompressed(path, budget=self._budget):
                    if isinstance(content, Finding):
                        yield Noted.of(name, content)
                    else:
                        yield from self._member(f"{name}!{_uncompressed(name)}", content, size=None, depth=depth)

    def _archive(
        self, name: str, members: Iterator[Member | Finding], depth: int, *, torch_root: str | None = None
    ) -> Iterator[Noted]:
        for member in members:
            if isinstance(member, Finding):
                yield Noted.of(name, member)
                continue
            place = PurePosixPath(member.name)
            label = f"{name}!{member.name}"
            if torch_root is not None and place.parts == (torch_root, "data.pkl"):
                for finding in pickle_stream(Cursor(member.stream), torch=True, tick=self._budget.tick):
                    yield Noted.of(label, finding)
            elif not _is_raw_tensor(place, torch_root):
                yield from self._member(label, member.stream, size=member.size, depth=depth)

    def _member(self, label: str, stream: IO[bytes], *, size: int | None, depth: int) -> Iterator[Noted]:
        """Look at what an archive or a compressed file holds: arrays as they come, all else in a copy."""
        cursor = Cursor(stream)
        try:
            head = cursor.peek(formats.HEAD_BYTES)
            is_array = size is not None and formats.format_of_head(head) == "npy"
            if is_array and not tensors.looks_like_safetensors(head) and not tars.has_header(head):
                found = tensors.npy(cursor, size=size or 0, tick=self._budget.tick)
                yield from (Noted.of(label, finding) for finding in found + formats.misleading(label, "npy"))
            else:
                yield from self._copied(label, cursor, depth)
        except Finding as finding:
            if finding.code in (Code.ARCHIVE_BOMB, Code.TIME_LIMIT):
                raise
            yield Noted.of(label, finding)

    def _copied(self, label: str, cursor: Cursor, depth: int) -> Iterator[Noted]:
        if depth >= self._budget.limits.depth:
            raise Finding(Code.TOO_DEEP, f"archives are looked into {self._budget.limits.depth} levels deep")
        handle, temporary = tempfile.mkstemp(dir=self._scratch)
        copy = Path(temporary)
        try:
            with self._budget.scratch() as account:
                with os.fdopen(handle, "wb") as target:
                    for chunk in cursor.chunks():
                        account(len(chunk))
                        target.write(chunk)
                yield from self.file(label, copy, depth=depth + 1).noted
        finally:
            copy.unlink(missing_ok=True)


def _uncompressed(name: str) -> str:
    """The name of what a compressed file holds; joblib keeps its extension whatever the compression."""
    name = PurePosixPath(name.rpartition("!")[2]).name
    stem, _, suffix = name.rpartition(".")
    return stem if stem and suffix.lower() in ("gz", "bz2", "xz", "lzma", "z") else name


def _torch_root(names: list[str]) -> str | None:
    """The one folder of a torch archive: the parent of its ``data.pkl``."""
    places = [PurePosixPath(name) for name in names]
    parents = [place.parts[0] for place in places if place.name == "data.pkl" and len(place.parts) == 2]
    return parents[0] if len(parents) == 1 else None


def _is_raw_tensor(place: PurePosixPath, torch_root: str | None) -> bool:
    """Members of a torch archive that hold nothing but numbers, under a number."""
    parts = place.parts
    return torch_root is not None and parts[:2] == (torch_root, "data") and len(parts) == 3 and parts[2].isdecimal()
