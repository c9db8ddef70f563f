"""What callers send and get about further names: aliases of collections, and snapshots that have one."""

import msgspec

from anfl.vectors.model import Name
from anfl.vectors.requests import Request


class Alias(Request, frozen=True, kw_only=True):
    """A further name of a collection; as a request, what ``alias`` stands for from now on."""

    alias: Name
    collection: Name


class Aliases(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tenant's aliases by name, and where to go on; no cursor on the last page."""

    aliases: list[Alias]
    cursor: str | None = None


class AliasName(Request, frozen=True, kw_only=True):
    """``DELETE /v1/aliases/{alias}``."""

    alias: Name


class SnapshotName(Request, frozen=True, kw_only=True):
    """``POST …/snapshots``, ``POST …/snapshots/delete``."""

    snapshot: Name


class NamedSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A named snapshot. ``bytes`` is the size of its parts, ``created_at`` in seconds since the epoch."""

    name: str
    sequence: str
    rows: int
    bytes: int
    created_at: float


class NamedSnapshotList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A collection's named snapshots by name, and where to go on; no cursor on the last page. ``damaged`` are names of
    this page that cannot be read: they can be deleted, and not restored."""

    snapshots: list[NamedSnapshot]
    damaged: list[str] = []
    cursor: str | None = None


class Restore(Request, frozen=True, kw_only=True):
    """``POST …/restore``: make the new collection ``into`` from a named snapshot."""

    snapshot: Name
    into: Name
