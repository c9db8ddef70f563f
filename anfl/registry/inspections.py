"""Inspects artefacts where the registry keeps them, and records the verdict on a version."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from anfl.inspection.codes import Code
from anfl.inspection.inspector import FileSource, Local, inspect_files
from anfl.inspection.limits import Limits
from anfl.inspection.report import Reason, Report
from anfl.registry import locations
from anfl.registry.artifacts import Artifacts, Stored
from anfl.registry.entities import Verdict, VerdictStatus, VersionOf
from anfl.registry.errors import does_not_exist
from anfl.registry.locations import Locations
from anfl.registry.registry import Registry
from anfl.registry.verdicts import not_inspectable, timestamp

INSPECTOR = "model-validation"
"""Who records verdicts, in the audit."""
_CHUNK_BYTES = 1024 * 1024
_SEVERITY = (VerdictStatus.VALIDATED, VerdictStatus.QUARANTINED, VerdictStatus.REJECTED)


class Inspections:
    """Inspection of stored artefacts: each file is copied to scratch space, looked at, and removed."""

    def __init__(
        self,
        registry: Registry,
        *,
        scratch: Path,
        limits: Limits | None = None,
        package_hosts: tuple[str, ...] = (),
        clock: Callable[[], str] = timestamp,
    ) -> None:
        """:param scratch: a folder with room for the largest file that the limits allow.

        :param package_hosts: see `anfl.inspection.requirements.requirements`.
        """
        self._registry = registry
        self._locations = Locations(registry.records.table)
        self._scratch = scratch
        self._limits = limits or Limits()
        self._package_hosts = package_hosts
        self._clock = clock

    def version(self, tenant: str, of: VersionOf) -> Verdict:
        """Inspect a version's artefacts and record the verdict, pinned to the objects' versions.

        :raises Problem: 404 where the version is deleted meanwhile.
        """
        before = self._registry.verdicts.of(tenant, of)
        path = locations.artifact_path(of.version.location)
        if path is None:
            verdict = not_inspectable()
        else:
            stored = self._stored(tenant, path)
            verdict = _verdict(self._inspect(tenant, path, stored), requested_at="", inspected_at=self._clock())
            changed = self._changed(tenant, path, stored)
            if changed:
                status = max(verdict.status, VerdictStatus.QUARANTINED, key=_SEVERITY.index)
                verdict = msgspec.structs.replace(verdict, status=status, reasons=[*verdict.reasons, *changed])
        requested = before.requested_at if before is not None else self._clock()
        verdict = msgspec.structs.replace(verdict, requested_at=requested)
        self._registry.verdicts.put(tenant, of, verdict, by=INSPECTOR)
        return verdict

    def _changed(self, tenant: str, path: str, stored: list[Stored]) -> list[Reason]:
        """Why what was inspected is not what the version consists of, which is what downloads give.

        What stands in the store may be another file where somebody wrote past the service; a checksum that was
        recorded tells, and is no matter here.
        """
        changed = []
        if self._stored(tenant, path) != stored:
            changed.append(_reason(None, "the artefacts changed during inspection"))
        place = self._locations.at(tenant, path)
        if place is None or len(stored) > self._limits.files:
            return changed
        told = {file.path for file in place.files if file.sha256 is not None}
        registered = {(file.path, file.version) for file in place.files if file.sha256 is None}
        there = {(file.path, file.version) for file in stored if file.path not in told}
        wrong = {name for name, _ in registered ^ there} | (told - {file.path for file in stored})
        return changed + [_reason(_below(path, name), "it is not what was registered") for name in sorted(wrong)]

    def path(self, tenant: str, path: str) -> Report:
        """The verdict on a file or folder of the artefact store, registered or not.

        :raises Problem: 404 where nothing is there, 400 for an impossible path.
        """
        stored = self._stored(tenant, path)
        if not stored:
            raise does_not_exist(f"No such artifact: '{path}'")
        return self._inspect(tenant, path, stored)

    def _stored(self, tenant: str, path: str) -> list[Stored]:
        found: list[Stored] = []
        for stored in self._registry.artifacts.walk(tenant, path):
            found.append(stored)
            if len(found) > self._limits.files:  # the inspection says so
                break
        return found

    def _inspect(self, tenant: str, root: str, stored: list[Stored]) -> Report:
        recorded = self._registry.store.checksums(tenant, root.rstrip("/"))
        return inspect_files(
            (
                FileSource(
                    path=_below(root, file.path),
                    size=file.size,
                    local=partial(_copy, self._registry.artifacts, tenant, file, self._scratch),
                    s3_version=file.version,
                    sha256=recorded.get(file.path),
                )
                for file in stored
            ),
            limits=self._limits,
            scratch=self._scratch,
            package_hosts=self._package_hosts,
        )


def _below(root: str, path: str) -> str:
    """How a file is called within what is inspected; by its name, where it is all of that."""
    folder = root.rstrip("/") + "/"
    return path.removeprefix(folder) if path.startswith(folder) else path.split("/")[-1]


def _reason(file: str | None, detail: str) -> Reason:
    return Reason(code=Code.CHANGED_MEANWHILE, file=file, detail=detail)


def _copy(artifacts: Artifacts, tenant: str, file: Stored, scratch: Path) -> Local:
    opened = artifacts.open(tenant, file.path, version=file.version)
    with tempfile.NamedTemporaryFile(dir=scratch, delete=False) as target:
        copy = Local(Path(target.name), temporary=True)
        try:
            for chunk in opened.body.iter_chunks(_CHUNK_BYTES):
                target.write(chunk)
        except BaseException:
            copy.remove()
            raise
        finally:
            opened.body.close()
    return copy


def _verdict(report: Report, *, requested_at: str, inspected_at: str) -> Verdict:
    return Verdict(
        status=VerdictStatus(report.status),
        reasons=report.reasons,
        files=report.files,
        requested_at=requested_at,
        inspected_at=inspected_at,
    )
