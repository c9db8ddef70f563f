"""Inspects a set of files and gives the verdict."""

import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from anfl.inspection.codes import Code, Finding, Status, printable
from anfl.inspection.limits import Limits
from anfl.inspection.members import is_deceptive
from anfl.inspection.relations import Examined, relate
from anfl.inspection.report import InspectedFile, Reason, Report
from anfl.inspection.sandbox import Sandbox
from anfl.inspection.streams import sha256_of

_MAX_REASONS = 1000

Found = list[tuple[str | None, Finding]]


@dataclass(frozen=True, kw_only=True)
class FileSource:
    """One file to inspect.

    ``path`` is its name relative to the whole; ``local`` gives a readable copy for as long as its context is open;
    ``sha256`` is what its checksum must be, in hexadecimal, where that is known.
    """

    path: str
    size: int
    local: "Callable[[], Local]"
    s3_version: str | None = None
    sha256: str | None = None


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
    package_hosts: tuple[str, ...] = (),
) -> Report:
    """The verdict on files. Never raises because of what is in them.

    :param scratch: folder for what must be unpacked; None: the system's.
    :param package_hosts: see `anfl.inspection.requirements.requirements`.
    :raises SandboxError: no limited process can be made.
    """
    limits = limits or Limits()
    with (
        tempfile.TemporaryDirectory(prefix="inspect-", dir=scratch) as folder,
        Sandbox(limits=limits, scratch=Path(folder), package_hosts=package_hosts) as sandbox,
    ):
        inspection = _Inspection(limits, sandbox)
        for source in sources:
            if not inspection.add(source):
                break
    return inspection.report()


class _Inspection:
    """What is known so far about a set of files."""

    def __init__(self, limits: Limits, sandbox: Sandbox, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._sandbox = sandbox
        self._clock = clock
        self._deadline = clock() + limits.seconds
        self._total = 0
        self._skipped: Found = []
        self._examined: list[Examined] = []
        self._files: list[InspectedFile] = []

    def add(self, source: FileSource) -> bool:
        """Inspect one more file; False where it is the last one that the limits allow."""
        name = printable(source.path)
        self._total += source.size
        if is_deceptive(source.path):
            self._skipped.append((name, Finding(Code.DECEPTIVE_NAME, f"the file is named {source.path!a}")))
        if len(self._files) >= self._limits.files:
            detail = f"more than {self._limits.files} files"
            self._skipped.append((None, Finding(Code.TOO_MANY_FILES, detail)))
            return False
        if source.size > self._limits.file_bytes or self._total > self._limits.total_bytes:
            self._skipped.append((name, Finding(Code.TOO_LARGE, f"{source.size} bytes are not inspected")))
            return True
        try:
            with source.local() as local:
                self._inspect(source, name, local)
        except Finding as finding:
            self._skipped.append((name, finding))
            return False
        return True

    def _inspect(self, source: FileSource, name: str, local: Path) -> None:
        """:raises Finding: the time is over."""
        digest = sha256_of(local, tick=self._tick)
        if source.sha256 not in (None, digest):
            detail = f"its SHA-256 is {digest}, recorded is {source.sha256}"
            self._skipped.append((name, Finding(Code.CHECKSUM_MISMATCH, detail)))
        self._tick()
        found = self._sandbox.examine(name, local, seconds=self._deadline - self._clock())
        self._examined.append(Examined(name=name, size=source.size, examination=found))
        self._files.append(
            InspectedFile(path=name, sha256=digest, size=source.size, format=None, s3_version=source.s3_version)
        )

    def report(self) -> Report:
        """The verdict on everything that was added."""
        found, formats = relate(self._examined)
        collected = self._skipped + found
        if not self._files and not collected:
            collected.append((None, Finding(Code.NO_FILES, "there is nothing to inspect")))
        files = [
            InspectedFile(path=file.path, sha256=file.sha256, size=file.size, format=form, s3_version=file.s3_version)
            for file, form in zip(self._files, formats, strict=True)
        ]
        return Report(status=_status(collected), reasons=_reasons(collected), files=files)

    def _tick(self) -> None:
        if self._clock() > self._deadline:
            raise Finding(Code.TIME_LIMIT, f"not inspected within {self._limits.seconds:.0f} s")


def _status(findings: Found) -> Status:
    statuses = {finding.status for _, finding in findings}
    if Status.REJECTED in statuses:
        return Status.REJECTED
    return Status.QUARANTINED if statuses else Status.VALIDATED


def _reasons(findings: Found) -> list[Reason]:
    ordered = sorted(findings, key=lambda pair: pair[1].status is not Status.REJECTED)
    reasons = (Reason(code=f.code, file=name, detail=f.detail) for name, f in ordered)
    return list(dict.fromkeys(reasons))[:_MAX_REASONS]
