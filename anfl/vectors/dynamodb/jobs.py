"""What this engine leaves to the service's jobs, as messages of their queue."""

from collections.abc import Iterable
from typing import Protocol

import msgspec

from anfl.vectors.model import Collection

REMOVAL_DELAY = 30
"""Seconds until a removal begins: what was being written when the collection was deleted has ended by then."""


class DeletionJob(msgspec.Struct, frozen=True, kw_only=True, tag_field="job", tag="deletion"):
    """Carry out a deletion by filter (`anfl.vectors.dynamodb.deletions`)."""

    tenant: str
    collection: str
    incarnation: str
    deletion_id: str


class RemovalJob(msgspec.Struct, frozen=True, kw_only=True, tag_field="job", tag="removal"):
    """Remove every row of a collection that has gone from the catalogue."""

    collection: Collection


EngineJob = DeletionJob | RemovalJob


class Queue(Protocol):
    """Where jobs wait; see `anfl.vectors.imports.jobs.Queue`."""

    def send(self, jobs: Iterable[EngineJob], *, delay: int = 0) -> None:
        """Put jobs there, to be delivered after ``delay`` seconds at the earliest.

        :raises Problem: 503; some of them may have been.
        """
