"""What an inspection says: a status, the reasons for it, and each file with its checksum."""

from typing import Annotated

import msgspec

from anfl.inspection.codes import Code, Status


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why a verdict is not VALIDATED; ``file`` is None where the reason concerns the whole.

    A member of an archive is written ``archive!member``.
    """

    code: Annotated[str, msgspec.Meta(extra_json_schema={"enum": [str(code) for code in Code]})]
    """One of `Code`; text, so that what a later release wrote can be read."""
    file: str | None
    detail: str


class InspectedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file as it was inspected: ``size`` in bytes, ``format`` by content, the S3 version where it came from S3."""

    path: str
    sha256: str
    size: int
    format: str | None = None
    s3_version: str | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome for a set of files."""

    status: Status
    reasons: list[Reason]
    files: list[InspectedFile]
