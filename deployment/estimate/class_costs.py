"""What a class of the engine ``dynamodb`` costs by what it holds and answers: for whoever chooses an engine."""

from collections.abc import Iterable
from dataclasses import dataclass

from deployment.estimate.billing import Bill, Charge, of_backups, of_rows
from deployment.estimate.vector_tables import VectorTable

_THOUSAND = 0.001
"""Millions."""


@dataclass(frozen=True, kw_only=True)
class ClassCost:
    """US dollars: of a million vectors in all regions together, and of a thousand queries where they are asked."""

    name: str
    """Of the table."""
    dimension: int
    written: float
    """Once, for writing them."""
    kept: float
    """A month."""
    backed_up: float
    """A month, for all backups that are kept and their copies."""
    queries: dict[str, float]
    """By region."""


def class_costs(bill: Bill) -> tuple[ClassCost, ...]:
    """Of each class.

    :raises EstimateError: a price or an assumption is missing.
    """
    return tuple(_cost(table, bill) for table in bill.vector_tables())


def _cost(table: VectorTable, bill: Bill) -> ClassCost:
    regions = table.regions
    # `of_rows` has as many written in each region; these are written once, wherever.
    written = _sum(of_rows(table, written=1 / len(regions)), bill)
    asked = list(of_rows(table, searches=_THOUSAND))
    return ClassCost(
        name=table.name,
        dimension=table.dimension,
        written=written,
        kept=_sum(of_rows(table, kept=1), bill),
        backed_up=_sum(of_backups(table, bill), bill),
        queries={region: _sum((each for each in asked if each.region == region), bill) for region in regions},
    )


def _sum(charges: Iterable[Charge], bill: Bill) -> float:
    return sum(each.quantity * bill.table.price(each.price, str(each.region)) for each in charges)
