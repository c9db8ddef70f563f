"""What callers were answered, to be compared with the model."""

from dataclasses import dataclass

from anfl.vectors.model import Position
from tests.fault.oracle import Content


@dataclass(frozen=True)
class Acknowledged:
    """A write and when, in simulated seconds, it was asked for and answered. ``first`` was never tried before."""

    request_id: str
    position: Position
    count: int
    asked: float
    answered: float
    first: bool


@dataclass(frozen=True)
class Seen:
    """What a read saw of the whole state."""

    process: str
    life: int
    position: Position
    content: Content
    now: float
    asked: float
    least: int
    """The sequence that it had to see."""
    kind: str
