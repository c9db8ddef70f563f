"""What an inspection says: a status, the reasons for it, and each file with its checksum."""

from enum import StrEnum

import msgspec


class Status(StrEnum):
    """The verdict on a set of files."""

    VALIDATED = "VALIDATED"
    QUARANTINED = "QUARANTINED"
    """Not known to be safe: an unknown format, a type outside the allow-list, something too large to look at."""
    REJECTED = "REJECTED"
    """Known to be broken, deceptive or dangerous."""


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why a verdict is not VALIDATED; ``code`` is stable, ``file`` is None where the reason concerns the whole.

    A member of an archive is written ``archive!member``.
    """

    code: str
    file: str | None
    detail: str


class InspectedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file as it was inspected: ``size`` in bytes, ``format`` by content, the S3 version where it came from S3."""

    path: str
    sha256: str
    size: int
    format: str | None = None
    s3_version: str | None = None


class Finding(Exception):  # noqa: N818 - raised where an inspection cannot go on, collected where it can
    """One reason together with the verdict that it leads to."""

    def __init__(self, status: Status, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail[:500]


def reject(code: str, detail: str) -> Finding:
    """A finding that leads to REJECTED."""
    return Finding(Status.REJECTED, code, detail)


def quarantine(code: str, detail: str) -> Finding:
    """A finding that leads to QUARANTINED."""
    return Finding(Status.QUARANTINED, code, detail)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome for a set of files."""

    status: Status
    reasons: list[Reason]
    files: list[InspectedFile]
