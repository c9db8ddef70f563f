"""The state and outcome of each version's validation.

A report can list thousands of files, so it stands compressed in one attribute; status and times stand beside it.
"""

import hashlib
import zlib
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from anfl.inspection.codes import Code
from anfl.inspection.report import InspectedFile, Reason
from anfl.registry import keys
from anfl.registry.audit import Change
from anfl.registry.clock import now
from anfl.registry.entities import Verdict, VerdictStatus, Version, VersionOf
from anfl.registry.errors import version_not_found
from anfl.registry.letters import request_for
from anfl.registry.outbox import Outbox
from anfl.registry.records import Records
from anfl.registry.table import EXISTS, Check, Item, Put

MAX_REPORT_BYTES = 300_000
"""Compressed; beside it an item (400 KB) needs little."""


class _Report(msgspec.Struct, frozen=True, kw_only=True):
    reasons: list[Reason]
    files: list[InspectedFile]


def timestamp() -> str:
    """Now, as verdicts spell it: ISO 8601, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def pending(moment: str | None = None) -> Verdict:
    """A validation that was asked for and has no outcome yet."""
    return Verdict(status=VerdictStatus.PENDING, requested_at=moment or timestamp())


def not_inspectable() -> Verdict:
    """The verdict on artefacts that this registry cannot read."""
    moment = timestamp()
    detail = "The artefacts do not lie in this registry's store (mlflow-artifacts:/…), so nothing was inspected."
    reason = Reason(code=Code.SOURCE_NOT_INSPECTABLE, file=None, detail=detail)
    return Verdict(status=VerdictStatus.QUARANTINED, reasons=[reason], requested_at=moment, inspected_at=moment)


def verdict_item(verdict: Verdict, version: Version) -> Item:
    """The attributes of a verdict on a version, which holds for the version's digest.

    A report that does not fit is shortened, and nothing is VALIDATED on a shortened report.
    """
    status, reasons, files = verdict.status, verdict.reasons, verdict.files
    report = _packed(reasons, files)
    if len(report) > MAX_REPORT_BYTES and status is VerdictStatus.VALIDATED:
        status = VerdictStatus.QUARANTINED
        reasons = [Reason(code=Code.REPORT_TOO_LARGE, file=None, detail="too many files, or too long names, to record")]
    while len(report) > MAX_REPORT_BYTES:
        reasons, files = reasons[: len(reasons) // 2 + 1], files[: len(files) // 2]
        report = _packed(reasons, files)
    return {
        "status": str(status),
        "requested_at": verdict.requested_at,
        "inspected_at": verdict.inspected_at,
        "digest": version.digest,
        "report": report,
    }


def _packed(reasons: list[Reason], files: list[InspectedFile]) -> bytes:
    return zlib.compress(msgspec.json.encode(_Report(reasons=reasons, files=files)))


class Verdicts:
    """Validation of versions of all tenants' models."""

    def __init__(
        self,
        records: Records,
        outbox: Outbox,
        *,
        clock: Callable[[], str] = timestamp,
        milliseconds: Callable[[], int] = now,
    ) -> None:
        """:param clock: ISO 8601, as verdicts have it. :param milliseconds: since the epoch, as the audit has it."""
        self._records = records
        self._table = records.table
        self._outbox = outbox
        self._clock = clock
        self._moment = milliseconds

    def get(self, tenant: str, name: str, number: int) -> Verdict | None:
        """The state of a version's validation; None where none was ever asked for.

        :raises Problem: 404.
        """
        return self.of(tenant, self._records.version(tenant, name, number))

    def of(self, tenant: str, of: VersionOf) -> Verdict | None:
        """As `get`, for a version that was read.

        Two regions may give one number at the same moment, and then the later version stands and the later verdict,
        each for itself: one on the other version is none.
        """
        item = self._table.get(keys.check(tenant, of.version.model_id, of.version.number))
        if item is None or item.get("digest", of.version.digest) != of.version.digest:
            return None
        report = msgspec.json.decode(zlib.decompress(item["report"]), type=_Report)
        return Verdict(
            status=VerdictStatus(item["status"]),
            reasons=report.reasons,
            files=report.files,
            requested_at=item["requested_at"],
            inspected_at=item.get("inspected_at"),
        )

    def put(self, tenant: str, of: VersionOf, verdict: Verdict, *, by: str) -> None:
        """Record the state of a version's validation; where that is pending, it is asked for.

        :raises Problem: 404 where the version was deleted meanwhile, or another one has its number.
        """
        model_id, number = of.version.model_id, of.version.number
        put = Put(key=keys.check(tenant, model_id, number), item=verdict_item(verdict, of.version))

        def attempt() -> None:
            found = self._records.by_id(tenant, of.model.name, model_id, number)
            if found is None or found.version.digest != of.version.digest:
                raise version_not_found(of.model.name, number)
            change = Change(
                by=by,
                at=self._moment(),
                action="validation.requested" if verdict.inspected_at is None else "validation.recorded",
                version=number,
                after={
                    "validation": put.item["status"],
                    "reasons": sorted({reason.code for reason in verdict.reasons}),
                    "report": hashlib.sha256(put.item["report"]).hexdigest(),
                },
            )
            self._outbox.commit(
                *self._records.changed(tenant, found.model, before=found.model, change=change),
                put,
                Check(key=keys.version(tenant, model_id, number), condition=EXISTS),
                letters=request_for(tenant, found.model, number, verdict, at=change.at),
            )

        self._records.in_turn(tenant, of.model.name, attempt)

    def request(self, tenant: str, of: VersionOf, *, by: str) -> Verdict:
        """Ask for a version's validation.

        :raises Problem: 404.
        """
        verdict = pending(self._clock())
        self.put(tenant, of, verdict, by=by)
        return verdict
