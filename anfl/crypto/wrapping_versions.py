"""Versions of the wrapping key, Transit's ``anfl``, in the auth table (partition ``wrapping-key``).

The table is a global one: a condition holds against the replica that is written to, and of two writes to one item in
two regions the later one stays. So every item has one region that writes it, by its own replica (`leader`):

================  ================================================  ==============
sort key          what it says                                      written in
================  ================================================  ==============
``active``        the version that every participant holds          the home
``version#…``     material of a version, wrapped by KMS; for good   the home
``region#…``      what a region holds; that it takes part           that region
``lease#…``       that somebody imports into that region's Vault    that region
================  ================================================  ==============
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from anfl import aws
from anfl.items import Attributes, Items
from anfl.resources import SORT_KEY, AuthPartition

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_ACTIVE = "active"
_VERSION, _REGION, _LEASE = "version#", "region#", "lease#"
_ABSENT = f"attribute_not_exists(#{SORT_KEY})"


class WrappingVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version, as it was drawn."""

    number: int
    """That of Transit's key, from 1."""
    material: bytes
    """The key, as KMS wrapped it."""
    drawn_at: int
    """Seconds since the epoch."""


class Participant(msgspec.Struct, frozen=True, kw_only=True):
    """A region whose Vault must hold a version before that may be used."""

    region: str
    held: int = 0
    """Its Vault holds every version up to this one, and has proven it."""
    check: str = ""
    """Fingerprint of version ``held``: equal in every region whose key is."""
    seen_at: int = 0
    """When its agent last came to an end, in seconds since the epoch."""
    problem: str | None = None
    """Why it could not go on then."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Everything, as one region's replica has it."""

    active: int | None
    versions: Mapping[int, WrappingVersion]
    participants: Mapping[str, Participant]

    @property
    def complete(self) -> int:
        """The newest version up to which none is missing: they may arrive in another order than they were written."""
        number = 0
        while number + 1 in self.versions:
            number += 1
        return number

    @property
    def pending(self) -> WrappingVersion | None:
        """The version that is being distributed."""
        number = self.complete
        return self.versions[number] if number > (self.active or 0) else None


class WrappingVersions:
    """Typed access to the partition in this region's replica; all reads are consistent. Raises botocore's errors.

    Methods that change something return whether their condition held: where it did not, somebody else was first.
    """

    def __init__(self, *, table: str, client: "DynamoDBClient | None" = None) -> None:
        """:param table: name of the auth table."""
        # Requests may wait for `active`.
        client = client or aws.session().client("dynamodb", config=aws.soon())
        self._items = Items(client, table=table, partition=AuthPartition.WRAPPING_KEY)

    def active(self) -> int | None:
        """The version to seal with; None: no version is held everywhere yet, and nothing may be sealed."""
        item = self._items.get(_ACTIVE)
        return None if item is None else int(item["version"]["N"])

    def state(self) -> State:
        """The whole partition."""
        active: int | None = None
        versions: dict[int, WrappingVersion] = {}
        participants: dict[str, Participant] = {}
        for key, item in self._items.all():
            if key == _ACTIVE:
                active = int(item["version"]["N"])
            elif key.startswith(_VERSION):
                version = _version(int(key.removeprefix(_VERSION)), item)
                versions[version.number] = version
            elif key.startswith(_REGION):
                participant = _participant(key.removeprefix(_REGION), item)
                participants[participant.region] = participant
        return State(active=active, versions=versions, participants=participants)

    # by the home region alone

    def add(self, version: WrappingVersion) -> bool:
        """Put a new version up for distribution, unless there is one of that number."""
        return self._items.put(
            f"{_VERSION}{version.number:06d}",
            {"material": {"B": version.material}, "drawn_at": _number(version.drawn_at)},
            condition=_ABSENT,
            names=(SORT_KEY,),
            values={},
        )

    def activate(self, number: int, *, now: int) -> bool:
        """Have everybody seal with ``number`` from now on, unless they already do so with that one or a later one."""
        return self._items.put(
            _ACTIVE,
            {"version": _number(number), "activated_at": _number(now)},
            condition="attribute_not_exists(#version) OR #version < :number",
            names=("version",),
            values={":number": _number(number)},
        )

    # by a region about itself

    def register(self, region: str, *, now: int) -> bool:
        """Take part, unless the region does so already."""
        attributes = {"held": _number(0), "seen_at": _number(now)}
        return self._items.put(f"{_REGION}{region}", attributes, condition=_ABSENT, names=(SORT_KEY,), values={})

    def acknowledge(self, region: str, *, held: int, check: str, now: int) -> bool:
        """Say that this region's Vault holds all versions up to ``held``; a registered region only, and never less."""
        return self._items.update(
            f"{_REGION}{region}",
            "SET #held = :held, #check = :check, #seen_at = :now REMOVE #problem",
            condition="#held <= :held",
            names=("held", "check", "seen_at", "problem"),
            values={":held": _number(held), ":check": {"S": check}, ":now": _number(now)},
        )

    def complain(self, region: str, problem: str, *, now: int) -> bool:
        """Say why this region cannot go on; a registered region only."""
        return self._items.update(
            f"{_REGION}{region}",
            "SET #problem = :problem, #seen_at = :now",
            condition="attribute_exists(#held)",
            names=("problem", "seen_at", "held"),
            values={":problem": {"S": problem}, ":now": _number(now)},
        )

    def lease(self, region: str, *, holder: str, now: int, seconds: int) -> bool:
        """Become the only one who imports into this region's Vault, for so long."""
        return self._items.put(
            f"{_LEASE}{region}",
            {"holder": {"S": holder}, "expires_at": _number(now + seconds)},
            condition="attribute_not_exists(#holder) OR #holder = :holder OR #expires_at <= :now",
            names=("holder", "expires_at"),
            values={":holder": {"S": holder}, ":now": _number(now)},
        )

    def release(self, region: str, *, holder: str) -> bool:
        """Let the next one import; False where ``holder`` had the lease no more."""
        return self._items.delete(
            f"{_LEASE}{region}", condition="#holder = :holder", names=("holder",), values={":holder": {"S": holder}}
        )

    # by whoever has removed a region

    def remove(self, region: str) -> bool:
        """Wait for this region no more. Its agent must be gone, or it registers anew. False: it took no part."""
        return self._items.delete(f"{_REGION}{region}", condition="attribute_exists(#held)", names=("held",), values={})


def _number(value: int) -> Attributes:
    return {"N": str(value)}


def _version(number: int, item: Attributes) -> WrappingVersion:
    return WrappingVersion(number=number, material=item["material"]["B"], drawn_at=int(item["drawn_at"]["N"]))


def _participant(region: str, item: Attributes) -> Participant:
    return Participant(
        region=region,
        held=int(item["held"]["N"]),
        check=item.get("check", {}).get("S", ""),
        seen_at=int(item["seen_at"]["N"]),
        problem=item.get("problem", {}).get("S"),
    )
