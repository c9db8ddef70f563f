"""Regions of a round: each has the tables by itself. The logs of ``hnsw`` stand in one bucket, that of their home."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from anfl.vectors.catalogue import Catalogue
from tests.fault.simulation.class_table import ClassTable, Entry
from tests.fault.simulation.replicas import join
from tests.fault.simulation.table import Table
from tests.fault.simulation.world import Weather, World

NAMES = ("us-west-1", "eu-west-1", "us-east-1")
SKEW_SECONDS = 5.0
"""By how much a process's clock may be off. That of a region's writers ends pauses (`anfl.vectors.moving.access`)."""
DELAYS = (0.5, 2.4, 2.4)
"""Within so many seconds what is written in one region is in the others: there and back, what a pause waits for."""
SUSPENSIONS = (1.0, 5.0, 61.0, 65.0, 400.0)
"""Seconds: short ones, those after which a pause is just overdue, and those after which everything else has gone on."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """What processes there work with."""

    table: Table
    classes: ClassTable
    catalogue: Catalogue


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which regions a round has, where what is, and how much goes wrong between them."""

    names: Sequence[str] = NAMES[:1]
    delay: float = 0.0
    skew: float = 0.0

    @classmethod
    def draw(cls, seed: int) -> "Plan":
        """Of two regions, or three."""
        dice = random.Random(f"{seed} regions")
        return cls(
            names=NAMES[: dice.choice([2, 2, 3])], delay=dice.choice(DELAYS), skew=dice.choice([0.0, SKEW_SECONDS])
        )

    def build(self, world: World) -> dict[str, Region]:
        """The regions, the first of which is the home of what is there before."""
        journal: list[Entry] = []
        tables = {name: Table(world, region=name) for name in self.names}
        classes = {name: ClassTable(world, journal=journal) for name in self.names}
        if len(self.names) > 1:
            join({name: table.replica for name, table in tables.items()}, world, most=self.delay)
            join({name: table.replica for name, table in classes.items()}, world, most=self.delay)
        return {
            name: Region(table=tables[name], classes=classes[name], catalogue=Catalogue(cast("Any", tables[name])))
            for name in self.names
        }


def draw_weather(dice: random.Random) -> Weather:
    """What goes wrong at processes, with each less than in a region alone: there are more calls, and more who wait."""
    return Weather(
        faults=dice.choice([0.0, 0.02, 0.1]),
        outages=dice.choice([0.0, 0.01, 0.02]),
        crashes=dice.choice([0.0, 0.0, 0.001]),
        suspensions=dice.choice([0.0, 0.0005, 0.001]),
        lengths=SUSPENSIONS,
    )
