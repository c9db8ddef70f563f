"""What the embedded AWS says of the permissions of the roles in some local runs."""

import re
from typing import TYPE_CHECKING

import httpx

from local.iam.guard import GRANTS
from local.iam.ledger import Entry, read
from tests.local.end_to_end.running import Run

if TYPE_CHECKING:
    from pathlib import Path

Grant = tuple[str, str, str, str]
"""Role, statement, action, resource; without what CloudFormation and KMS make up anew in each run."""


class Permissions:
    """Follows runs, also beyond their end."""

    def __init__(self) -> None:
        self._ledgers: list[Path] = []
        self._told = 0
        self.granted: set[Grant] = set()

    def follow(self, run: Run) -> None:
        """From now on with this one too."""
        self._ledgers.append(run.state / "logs" / "permissions.jsonl")
        answer = httpx.get(run.document["aws_endpoint"] + GRANTS, trust_env=False, timeout=30)
        self.granted |= {_lasting(*grant) for grant in answer.json()}

    def used(self) -> set[Grant]:
        """Grants that allowed something."""
        return {_lasting(*entry.grant) for entry in read(self._ledgers) if entry.outcome == "used"}

    def newly_refused(self) -> list[Entry]:
        """Since this was asked last."""
        refused = [entry for entry in read(self._ledgers) if entry.outcome == "refused"]
        before, self._told = self._told, len(refused)
        return refused[before:]


def _lasting(role: str, sid: str, action: str, resource: str) -> Grant:
    return (
        re.sub(r"(?<=[0-9A-F]{8})-[A-Z0-9]{12}$", "", role),
        sid,
        action,
        re.sub(r"(?<=:key/)(mrk-)?[0-9a-f-]{32,36}$", "*", resource),
    )
