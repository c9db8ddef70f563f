"""Which grants were used, and what was refused: kept in a file, a line for each as it first happens."""

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the ledger."""

    outcome: Literal["used", "refused"]
    role: str
    """Its name."""
    action: str
    resource: str
    """That was asked for: the first one of a grant, each that was refused."""
    sid: str = ""
    """Of the statement that allowed it."""
    granted: str = ""
    """Its action that allowed it."""
    on: str = ""
    """Its resource that allowed it."""
    why: str = ""
    """It was refused."""

    @property
    def grant(self) -> tuple[str, str, str, str]:
        """Role, statement, action and resource, as `local.iam.deployed.Grant` has them."""
        return self.role, self.sid, self.granted, self.on


class Ledger:
    """Safe for threads."""

    def __init__(self, path: Path) -> None:
        """:param path: the file to begin."""
        self._lock = threading.Lock()
        self._seen: set[tuple[object, ...]] = set()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb", buffering=0)

    def note(self, entry: Entry) -> None:
        """Write a use where its grant is new, and every refusal."""
        key = (*entry.grant, entry.action)
        with self._lock:
            if entry.outcome == "used":
                if key in self._seen:
                    return
                self._seen.add(key)
            self._file.write(msgspec.json.encode(entry) + b"\n")


def read(paths: Iterable[Path]) -> list[Entry]:
    """All entries of some ledgers."""
    return [msgspec.json.decode(line, type=Entry) for path in paths for line in path.read_bytes().splitlines()]
