"""The audit: one entry for each change, chained by hashes, so that a change of the past does not go unseen.

A chain belongs to a model (by its id) or to a tenant (`tenant_chain`: what concerns no single model). Entry n holds the
hash of entry n-1; the hash covers all members of an entry as canonical JSON: sorted keys, no spaces, UTF-8. The chain's
end stands in what the entries are about: a model's record carries its revision, which counts the entries, and the hash
of the last one. Entry and record are written in one transaction, so neither can be without the other, and a chain that
was cut short does not reach the record's revision.

Whoever can write the table freely could compute a whole chain, and the record, anew; only a head that was noted
elsewhere (`verify`, ``expected``) tells that.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from anfl.wording import counted

FIRST = "0" * 64
"""What the first entry has for the hash of the one before."""
DELETED = "model.deleted"
"""The action that ends a model's chain."""
_MISSING = "missing"
TOLD_WHOLE = 1024
"""Texts of more bytes (as JSON has them) are told by their sha256 and size."""

Values = Mapping[str, Any]
"""JSON without fractions."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What an entry is about: who did what to which version (None: to the model), and when (ms since the epoch)."""

    by: str
    at: int
    action: str
    version: int | None = None
    before: Values = {}
    after: Values = {}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a chain; ``before`` and ``after`` hold what changed, and null where there was or is nothing."""

    chain: str
    sequence: int
    """From 1 on, without gaps."""
    previous: str
    at: int
    """Milliseconds since the epoch."""
    by: str
    """Subject of the token, or the name of the function."""
    action: str
    version: int | None
    before: dict[str, Any]
    after: dict[str, Any]
    hash: str = ""
    """SHA-256 over the other members, in hexadecimal."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """Where a chain ends: number and hash of its last entry (0 and `FIRST` before there is one)."""

    sequence: int = 0
    hash: str = FIRST


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """The first link of a chain that does not hold."""

    chain: str
    sequence: int
    reason: str

    @property
    def is_missing(self) -> bool:
        """Whether the link itself is not there."""
        return self.reason.startswith(_MISSING)


def tenant_chain(tenant: str) -> str:
    """Name of the chain of what concerns no single model."""
    return f"tenant:{tenant}"


def entry(chain: str, head: Head, change: Change) -> Entry:
    """The entry for ``change`` that comes after ``head``."""
    bare = Entry(
        chain=chain,
        sequence=head.sequence + 1,
        previous=head.hash,
        at=change.at,
        by=change.by,
        action=change.action,
        version=change.version,
        before=_bounded(change.before),
        after=_bounded(change.after),
    )
    return msgspec.structs.replace(bare, hash=digest(bare))


def body(entry: Entry) -> bytes:
    """What the hash of ``entry`` covers."""
    members = msgspec.to_builtins(entry)
    del members["hash"]
    return msgspec.json.encode(members, order="sorted")


def digest(entry: Entry) -> str:
    """The hash that ``entry`` must have."""
    return hashlib.sha256(body(entry)).hexdigest()


def verify(chain: str, entries: Iterable[Entry], head: Head | None, *, expected: Head | None = None) -> Broken | None:
    """The first link that does not hold; None where all do.

    :param entries: the chain from its first entry on.
    :param head: where what the chain is about says it ended when the entries began to be read; None: that is deleted.
    :param expected: a head that was noted before: the chain must still pass through it.
    """
    last = Head()
    action = ""
    known = {mark.sequence: mark.hash for mark in (expected, head) if mark is not None and mark.sequence}
    conflicting = expected is not None and head is not None and expected.sequence == head.sequence
    if conflicting and expected != head:
        return Broken(chain=chain, sequence=expected.sequence if expected else 0, reason="not the head that was noted")
    for found in entries:
        number = last.sequence + 1
        reason = _wrong(chain, found, last)
        if reason is None and known.get(number, found.hash) != found.hash:
            noted = expected is not None and number == expected.sequence
            reason = "not the entry that was noted" if noted else "not the entry that the record names as the last"
        if reason is not None:
            return Broken(chain=chain, sequence=number, reason=reason)
        last, action = Head(sequence=number, hash=found.hash), found.action
    missing = max(known, default=0)
    if missing > last.sequence:
        reason = f"{_MISSING}: the chain had {counted(missing, 'entry', 'entries')}"
        return Broken(chain=chain, sequence=last.sequence + 1, reason=reason)
    if head is None and action != DELETED:
        return Broken(chain=chain, sequence=last.sequence + 1, reason=f"{_MISSING}: the model is gone without an entry")
    return None


def _wrong(chain: str, found: Entry, last: Head) -> str | None:
    if found.sequence != last.sequence + 1:
        return f"{_MISSING} or out of order: entry {found.sequence} stands here"
    if found.chain != chain:
        return f"an entry of another chain ({found.chain})"
    if digest(found) != found.hash:
        return "altered: its content does not have its hash"
    if found.previous != last.hash:
        return "does not continue the entry before"
    return None


def _bounded(values: Values) -> dict[str, Any]:
    return {name: _told(value) for name, value in values.items()}


def _told(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, str) and len(msgspec.json.encode(value)) - 2 > TOLD_WHOLE:
        raw = value.encode()
        return {"sha256": hashlib.sha256(raw).hexdigest(), "bytes": len(raw)}
    return _bounded(value) if isinstance(value, Mapping) else value
