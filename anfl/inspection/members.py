"""Names of what lies in archives and folders, and the names that no honest tool writes."""

import re
import unicodedata
from dataclasses import dataclass
from typing import IO

from anfl.inspection.codes import Code, Finding

_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories: control, format (those that turn the direction of writing), surrogates, private, unassigned."""
_JOINERS = {"\u200c", "\u200d"}
"""Format characters that scripts and emoji need."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """One file in an archive. ``size`` is its declared size in bytes."""

    name: str
    size: int
    stream: IO[bytes]


class Names:
    """The names of one archive's members."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def problem(self, name: str) -> Finding | None:
        """What is wrong with the next member's name.

        Readers differ in what they take for the same: torch's and many file systems ignore case, and who unpacks the
        archive finds ``a/./b`` where ``a/b`` is.
        """
        if escapes(name):
            return Finding(Code.PATH_ESCAPE, f"a member is named {name!r}")
        if is_deceptive(name):
            return Finding(Code.DECEPTIVE_NAME, f"a member is named {name!a}")
        parts = re.split(r"[/\\]", unicodedata.normalize("NFKC", name).casefold())
        same = "/".join(part for part in parts if part not in ("", "."))
        if same in self._seen:
            return Finding(Code.DUPLICATE_MEMBER, f"{name!r} occurs twice")
        self._seen.add(same)
        return None


def escapes(name: str) -> bool:
    """Whether a name would leave the folder that it is unpacked into."""
    return (
        not name
        or name.startswith(("/", "\\"))
        or re.match(r"[A-Za-z]:", name) is not None
        or ".." in re.split(r"[/\\]", name)
    )


def is_deceptive(name: str) -> bool:
    """Whether a name holds what is not seen, or does not look like itself."""
    parts = re.split(r"[/\\]", name)
    hidden = any(unicodedata.category(char) in _UNSEEN and char not in _JOINERS for char in name)
    return hidden or any(part != part.strip() for part in parts)
