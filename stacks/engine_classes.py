"""Classes of the engine ``dynamodb``: a table each, made for collections of one dimension and metric.

What a class has never changes: its index would have to be made anew (`docs/aws_architecture.md`).
"""

from typing import Annotated, Literal

from pydantic import Field

from stacks.units import Model

MOST_SLOTS = 18
"""Inline filters of a vector index."""
Slots = Annotated[int, Field(ge=0, le=MOST_SLOTS, strict=True)]


class WarmThroughput(Model):
    """What a table takes in a second without having been busy before.

    A new table takes the least that can be said here; AWS bills what is beyond it, once, and never lowers it again. The
    most is the quota of a new account.
    """

    reads: Annotated[int, Field(ge=12_000, le=40_000, strict=True)]
    """Units: 4 kB each."""
    writes: Annotated[int, Field(ge=4_000, le=40_000, strict=True)]
    """Units: 1 kB each."""


class EngineClass(Model):
    """A class, as operators declare it; services read it as `anfl.vectors.dynamodb.classes.EngineClass`."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
    """Of the table too: a class with another name is another table."""
    dimension: Annotated[int, Field(ge=1, le=4096, strict=True)]
    metric: Literal["cosine", "l2", "ip"]
    strings: Slots = 0
    """How many fields of type string a search can name."""
    numbers: Slots = 0
    """How many numbers and booleans."""
    warm_throughput: WarmThroughput | None = None
    """None: what AWS gives a new table."""
