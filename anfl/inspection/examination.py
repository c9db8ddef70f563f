"""What looking at one file tells: this passes between processes."""

import msgspec

from anfl.inspection.codes import Code, Finding
from anfl.inspection.signatures import Signature


class Noted(msgspec.Struct, frozen=True, array_like=True):
    """A finding, and the file or ``archive!member`` that it is about."""

    file: str
    code: Code
    detail: str

    @classmethod
    def of(cls, file: str, finding: Finding) -> "Noted":
        """A finding about ``file``."""
        return cls(file, finding.code, finding.detail)


class Needed(msgspec.Struct, frozen=True, array_like=True):
    """Another file (or folder) that the file refers to, relative to its own folder."""

    path: str
    numbers: bool = False
    """It holds nothing but numbers that the file describes: raw weights."""
    size: int = 0
    """Least size in bytes."""


class Examination(msgspec.Struct, frozen=True, kw_only=True):
    """One file. Members of an archive have their findings here, too."""

    format: str | None = None
    noted: list[Noted] = []
    needed: list[Needed] = []
    signature: Signature | None = None
    """Of an ONNX graph; of an MLmodel, what it declares."""
    describes: str | None = None
    """The file, relative to the MLmodel's folder, that the declared signature is about."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What one document says beside its findings."""

    findings: list[Finding] = []
    needed: list[Needed] = []
    signature: Signature | None = None
    describes: str | None = None
