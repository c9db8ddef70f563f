"""What a check is, and what it says."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    """The deployment goes through; somebody should know."""
    FAILED = "failed"
    NOT_CHECKED = "not checked"
    """Nobody knows, so it counts as failed."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one look at the account found."""

    outcome: Outcome
    found: str
    remedy: str = ""
    """What to do; empty where nothing is to be done."""


def ok(found: str) -> Verdict:
    """All is well."""
    return Verdict(outcome=Outcome.OK, found=found)


def warning(found: str, remedy: str) -> Verdict:
    """Does not stop the deployment."""
    return Verdict(outcome=Outcome.WARNING, found=found, remedy=remedy)


def failed(found: str, remedy: str) -> Verdict:
    """The deployment would fail, or hang."""
    return Verdict(outcome=Outcome.FAILED, found=found, remedy=remedy)


def not_checked(reason: str, remedy: str = "") -> Verdict:
    """It could not be found out."""
    return Verdict(outcome=Outcome.NOT_CHECKED, found=reason, remedy=remedy)


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing to find out; ``id`` is stable, for scripts."""

    id: str
    region: str | None
    """None: the account as a whole."""
    look: Callable[[], Verdict]


@dataclass(frozen=True, kw_only=True)
class Result:
    """A check and its verdict."""

    id: str
    region: str | None
    outcome: Outcome
    found: str
    remedy: str


def passes(results: Iterable[Result]) -> bool:
    """Whether a deployment may begin: a check that could not be made is as good as one that failed."""
    return all(result.outcome in {Outcome.OK, Outcome.WARNING} for result in results)
