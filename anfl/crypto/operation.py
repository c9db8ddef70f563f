"""What the functions that distribute wrapping keys are asked, and what they answer and measure."""

import time
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec

from anfl import custom_resource
from anfl.crypto.wrapping_versions import State
from anfl.resources import BEHIND_METRIC, PENDING_METRIC
from anfl.telemetry import embedded

_HOUR = 3600.0


class Operation(StrEnum):
    """What to do."""

    RUN = "run"
    """Go as far as it goes; what schedules and deployments ask for."""
    ROTATE = "rotate"
    """Begin a version before its time; the leader's alone."""
    STATUS = "status"
    """Change nothing."""


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a function is asked."""

    operation: Operation = Operation.RUN


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A version, and when it was begun, in seconds since the epoch."""

    version: int
    drawn_at: int


class Region(msgspec.Struct, frozen=True, kw_only=True):
    """One that takes part."""

    region: str
    held: int
    """Its Vault has all versions up to this one."""
    seen_at: int
    """When its agent last ran, in seconds since the epoch."""
    problem: str | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """How things stand, as the region that was asked sees it."""

    active: int | None
    """The version to seal with."""
    pending: Begun | None
    """The one that is being distributed."""
    versions: tuple[Begun, ...]
    regions: tuple[Region, ...]


def report(state: State) -> Report:
    """What there is to tell of ``state``; no key, not even a wrapped one."""
    versions = tuple(Begun(version=n, drawn_at=state.versions[n].drawn_at) for n in sorted(state.versions))
    pending = state.pending
    return Report(
        active=state.active,
        pending=None if pending is None else Begun(version=pending.number, drawn_at=pending.drawn_at),
        versions=versions,
        regions=tuple(
            Region(region=one.region, held=one.held, seen_at=one.seen_at, problem=one.problem)
            for _, one in sorted(state.participants.items())
        ),
    )


def measure(state: State, *, environment: str, now: float) -> None:
    """For how long a version has been under way, and how many regions lack it."""
    pending = state.pending
    behind = [one for one in state.participants.values() if one.held < state.complete]
    hours = 0.0 if pending is None else max(0.0, now - pending.drawn_at) / _HOUR
    embedded.figures({PENDING_METRIC: round(hours, 3), BEHIND_METRIC: float(len(behind))}, environment=environment)


def answer(
    event: dict[str, Any], *, environment: str, act: Callable[[Operation], State], physical_id: str
) -> dict[str, Any] | None:
    """Do what ``event`` asks for: an operator, a schedule, or CloudFormation.

    :raises msgspec.ValidationError: it asks for nothing that there is.
    """

    def run(operation: Operation) -> State:
        state = act(operation)
        measure(state, environment=environment, now=time.time())
        return state

    if "RequestType" not in event:
        answered: dict[str, Any] = msgspec.to_builtins(report(run(msgspec.convert(event, Request).operation)))
        return answered

    def configure(request: custom_resource.Event) -> None:
        if request["RequestType"] != "Delete":  # what was sealed needs its keys for longer than there is a stack
            run(Operation.RUN)

    custom_resource.answer(event, configure, physical_id=physical_id)
    return None
