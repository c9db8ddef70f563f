"""The reasons why artefacts are not VALIDATED. Codes are stable: programs may match on them."""

from enum import StrEnum


class Status(StrEnum):
    """The verdict on a set of files."""

    VALIDATED = "VALIDATED"
    QUARANTINED = "QUARANTINED"
    """Not known to be safe: an unknown format, a type outside the allow-list, something too large to look at."""
    REJECTED = "REJECTED"
    """Known to be broken, deceptive or dangerous."""


class Code(StrEnum):
    """One kind of reason. `status` is the verdict that it leads to, `meaning` says it to a person."""

    status: Status
    meaning: str

    def __new__(cls, value: str, status: Status, meaning: str) -> "Code":
        """Make a member of its value, the verdict and the meaning."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.status = status
        member.meaning = meaning
        return member

    DANGEROUS_GLOBAL = (
        "dangerous_global",
        Status.REJECTED,
        "a pickle that would call what runs code, changes files or talks to the network",
    )
    OBSCURED_GLOBAL = (
        "obscured_global",
        Status.REJECTED,
        "a pickle that hides what it imports: computed or overlong names, the extension registry",
    )
    PATCHED_GLOBAL = ("patched_global", Status.REJECTED, "a pickle that would change what it imports")
    MEMORY_BOMB = (
        "memory_bomb",
        Status.REJECTED,
        "a pickle that would make its loader allocate far more than it holds",
    )
    DANGEROUS_TAG = ("dangerous_tag", Status.REJECTED, "a YAML tag that has a loader import or call Python")
    DANGEROUS_TEMPLATE = (
        "dangerous_template",
        Status.REJECTED,
        "a template that would reach for Python's internals when it is rendered",
    )
    MALFORMED = ("malformed", Status.REJECTED, "the content breaks the rules of its format")
    TRUNCATED = ("truncated", Status.REJECTED, "the file ends too early")
    OVERSIZE_HEADER = ("oversize_header", Status.REJECTED, "a header larger than its format or this inspection allows")
    CHECKSUM_MISMATCH = (
        "checksum_mismatch",
        Status.REJECTED,
        "the bytes are not those of the recorded checksum, or of one within the file",
    )
    ARCHIVE_BOMB = ("archive_bomb", Status.REJECTED, "an archive that expands out of proportion")
    PATH_ESCAPE = ("path_escape", Status.REJECTED, "a name that leads out of the artefacts' folder")
    LINK = ("link", Status.REJECTED, "a link or a device in an archive")
    DUPLICATE_MEMBER = ("duplicate_member", Status.REJECTED, "names in an archive that some reader takes for the same")
    POLYGLOT = ("polyglot", Status.REJECTED, "a file of two formats at once")
    MISLEADING_EXTENSION = ("misleading_extension", Status.REJECTED, "the content is not what the extension says")
    DECEPTIVE_NAME = ("deceptive_name", Status.REJECTED, "a name with characters that are not seen")
    EXECUTABLE = ("executable", Status.REJECTED, "a program")
    MISSING_FILE = ("missing_file", Status.REJECTED, "a file refers to another one that is not there")
    SIGNATURE_MISMATCH = (
        "signature_mismatch",
        Status.REJECTED,
        "the model's inputs and outputs are not those that its MLmodel declares",
    )
    NO_FILES = ("no_files", Status.REJECTED, "there is nothing to inspect")

    UNLISTED_GLOBAL = (
        "unlisted_global",
        Status.QUARANTINED,
        "a pickle imports a name that is not on the allow-list",
    )
    INDIRECT_CALL = (
        "indirect_call",
        Status.QUARANTINED,
        "a pickle calls what it computes, or has a call do what only its result would tell",
    )
    FORGED_ARRAY = (
        "forged_array",
        Status.QUARANTINED,
        "a pickle makes an array or another native object as its library writes none: bytes may be taken for objects",
    )
    PERSISTENT_ID = ("persistent_id", Status.QUARANTINED, "a pickle refers to objects outside the file")
    UNREADABLE_ARRAY = ("unreadable_array", Status.QUARANTINED, "a joblib array of an unusual type or shape")
    TRAILING_DATA = ("trailing_data", Status.QUARANTINED, "data behind the end of the content")
    HIDDEN_DATA = ("hidden_data", Status.QUARANTINED, "data in an archive that belongs to no member")
    ENCRYPTED = ("encrypted", Status.QUARANTINED, "an encrypted member")
    UNREADABLE = ("unreadable", Status.QUARANTINED, "something could not be read, for example an unknown compression")
    UNKNOWN_FORMAT = ("unknown_format", Status.QUARANTINED, "no known format")
    UNSUPPORTED_FORMAT = ("unsupported_format", Status.QUARANTINED, "a known format that is not looked into")
    CUSTOM_CODE = ("custom_code", Status.QUARANTINED, "code that would run when the model is loaded")
    FOREIGN_REQUIREMENT = (
        "foreign_requirement",
        Status.QUARANTINED,
        "what would be installed for the model is no package by name from an index that its user has chosen",
    )
    COMPUTED_ATTRIBUTE = (
        "computed_attribute",
        Status.QUARANTINED,
        "a template that computes the name of an attribute or a filter",
    )
    CUSTOM_OPERATOR = ("custom_operator", Status.QUARANTINED, "an ONNX operator that needs a library of its own")
    UNLISTED_TAG = ("unlisted_tag", Status.QUARANTINED, "a YAML tag that YAML itself does not define")
    INFERENCE_FAILED = ("inference_failed", Status.QUARANTINED, "an ONNX model that does not run on zeros")
    TOO_LARGE = ("too_large", Status.QUARANTINED, "more bytes than are inspected")
    TOO_MANY_FILES = ("too_many_files", Status.QUARANTINED, "more files than are inspected")
    TOO_DEEP = ("too_deep", Status.QUARANTINED, "archives in archives, deeper than is looked into")
    TOO_COMPLEX = ("too_complex", Status.QUARANTINED, "a structure larger or deeper than is followed")
    TIME_LIMIT = ("time_limit", Status.QUARANTINED, "not inspected within the time")
    MEMORY_LIMIT = ("memory_limit", Status.QUARANTINED, "not inspected within the memory")
    INSPECTION_FAILED = ("inspection_failed", Status.QUARANTINED, "the structure defeats the inspection")
    SOURCE_NOT_INSPECTABLE = (
        "source_not_inspectable",
        Status.QUARANTINED,
        "the version's artefacts do not lie in this registry's store",
    )
    CHANGED_MEANWHILE = (
        "changed_meanwhile",
        Status.QUARANTINED,
        "the artefacts changed during the inspection, or are not what was registered",
    )
    REPORT_TOO_LARGE = ("report_too_large", Status.QUARANTINED, "too many files, or too long names, to record")


def printable(text: str) -> str:
    """Text that neither steers a terminal nor hides something: characters that are not seen are written as escapes."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


class Finding(Exception):  # noqa: N818 - raised where an inspection cannot go on, collected where it can
    """One reason."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = printable(detail[:500])

    @property
    def status(self) -> Status:
        """The verdict that it leads to."""
        return self.code.status
