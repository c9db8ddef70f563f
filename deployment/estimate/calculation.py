"""From resources to sums."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from deployment.estimate.billing import BILLED, UNBILLED, Bill
from deployment.estimate.class_costs import ClassCost, class_costs
from deployment.estimate.prices import EstimateError, PriceTable
from deployment.rollout import Rollout
from stacks import layers
from stacks.figures.templates import Resource

LAYERS = ("global", "network", "security", "storage", "telemetry", "service", "edge", "monitoring", "recovery")
_PART_OF = {"vault": "security", "key-agent": "security", "replication": "storage"}


@dataclass(frozen=True, kw_only=True)
class Line:
    """All units of one price in one layer of one region."""

    region: str
    layer: str
    price: str
    unit: str
    quantity: float
    """Units in a month."""
    monthly: float
    """US dollars."""
    at_most: float
    """US dollars, where every group runs its maximum of instances all month."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a rollout costs a month."""

    environment: str
    regions: tuple[str, ...]
    lines: tuple[Line, ...]
    classes: tuple[ClassCost, ...]
    """Of the engine ``dynamodb``, by what they hold."""
    table: PriceTable

    @property
    def monthly(self) -> float:
        """US dollars with the least instances."""
        return sum(line.monthly for line in self.lines)

    @property
    def at_most(self) -> float:
        """US dollars with the most instances, all month."""
        return sum(line.at_most for line in self.lines)

    def of(self, *, region: str | None = None, layer: str | None = None) -> float:
        """US dollars of a region, a layer, or one in the other."""
        chosen = (line for line in self.lines if region in {None, line.region} and layer in {None, line.layer})
        return sum(line.monthly for line in chosen)


def calculate(rollout: Rollout, table: PriceTable) -> Estimate:
    """The estimate.

    :raises EstimateError: a resource's type is unknown, or a price or an assumption is missing.
    """
    unknown = {found.kind for found in rollout.resources} - BILLED.keys() - UNBILLED.keys()
    if unknown:
        raise EstimateError(
            f"nobody knows what {', '.join(sorted(unknown))} costs: deployment/estimate/billing.py must say"
        )
    return Estimate(
        environment=rollout.settings.environment,
        regions=rollout.regions,
        lines=tuple(_summed(_lines(rollout, table), rollout.regions)),
        classes=class_costs(Bill(rollout=rollout, table=table)),
        table=table,
    )


def _lines(rollout: Rollout, table: PriceTable) -> Iterator[Line]:
    bill = Bill(rollout=rollout, table=table)
    for resource in rollout.resources:
        if resource.kind not in BILLED:
            continue
        for charge in BILLED[resource.kind](resource, bill):
            region = charge.region or resource.region
            price = table.price(charge.price, region)
            most = charge.quantity if charge.most is None else charge.most
            yield Line(
                region=region,
                layer=layer_of(resource),
                price=charge.price,
                unit=table.prices[charge.price].unit,
                quantity=charge.quantity,
                monthly=charge.quantity * price,
                at_most=most * price,
            )


def layer_of(resource: Resource) -> str:
    """The layer of the architecture to which a resource's stack belongs."""
    name = layers.layer_of(resource.stack, resource.stack.split("-")[1])
    return "global" if name.startswith("global-") else _PART_OF.get(name, name)


def _summed(lines: Iterable[Line], regions: tuple[str, ...]) -> list[Line]:
    sums: dict[tuple[str, str, str], Line] = {}
    for line in lines:
        key = (line.region, line.layer, line.price)
        before = sums.get(key)
        sums[key] = line if before is None else _added(before, line)
    places = (*regions, *sorted({line.region for line in sums.values()} - set(regions)))
    order = {region: place for place, region in enumerate(places)}
    return sorted(
        (line for line in sums.values() if line.at_most),
        key=lambda line: (order[line.region], LAYERS.index(line.layer), -line.monthly),
    )


def _added(one: Line, other: Line) -> Line:
    return Line(
        region=one.region,
        layer=one.layer,
        price=one.price,
        unit=one.unit,
        quantity=one.quantity + other.quantity,
        monthly=one.monthly + other.monthly,
        at_most=one.at_most + other.at_most,
    )
