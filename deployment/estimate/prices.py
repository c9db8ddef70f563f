"""The table of prices and assumptions, validated."""

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

TABLE = Path(__file__).with_name("prices.yaml")
Amount = Annotated[float, Field(ge=0)]
Month = Annotated[str, Field(pattern=r"^20\d\d-(0[1-9]|1[0-2])$")]


class EstimateError(Exception):
    """There is no estimate; the message says what the table lacks."""


class Price(BaseModel):
    """What one unit costs, in US dollars, in each region or everywhere alike."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unit: str
    page: str
    """Page of AWS's public price list on which it stands."""
    everywhere: Amount | None = None
    regions: dict[str, Amount] = {}
    checked: Month | None = None
    """When somebody last held it against that page; None: nobody did."""
    assumed: str | None = None
    """Why it is this number, where nobody could say what AWS asks; None: it was written down from AWS's list."""

    @model_validator(mode="before")
    @classmethod
    def _regions_apart(cls, given: dict[str, Any]) -> dict[str, Any]:
        own = {"unit", "page", "everywhere", "checked", "assumed", "regions"}
        rest = {key: value for key, value in given.items() if key not in own}
        return {key: value for key, value in given.items() if key in own} | ({"regions": rest} if rest else {})

    @model_validator(mode="after")
    def _one_or_the_other(self) -> "Price":
        if (self.everywhere is None) == (not self.regions):
            raise ValueError("either a price everywhere, or one for each region")
        return self

    def in_region(self, region: str) -> float:
        """US dollars for a unit in ``region``.

        :raises KeyError: the table does not say.
        """
        return self.everywhere if self.everywhere is not None else self.regions[region]


class PriceTable(BaseModel):
    """``prices.yaml``"""

    model_config = ConfigDict(frozen=True, extra="forbid")

    written: Month
    currency: str
    hours_a_month: Amount
    prices: dict[str, Price]
    usage: dict[str, dict[str, Any]]
    """By name: what it is about, and its amount by environment."""
    excluded: tuple[str, ...]

    def price(self, name: str, region: str) -> float:
        """US dollars.

        :raises EstimateError: the table has no such price.
        """
        try:
            return self.prices[name].in_region(region)
        except KeyError as error:
            raise EstimateError(f"deployment/estimate/prices.yaml has no price {name} for {region}") from error

    def amount(self, usage: str, environment: str) -> float:
        """What is assumed.

        :raises EstimateError: nothing is.
        """
        try:
            return float(self.usage[usage][environment])
        except KeyError as error:
            raise EstimateError(f"deployment/estimate/prices.yaml does not assume {usage} for {environment}") from error


def load(path: Path = TABLE) -> PriceTable:
    """The table.

    :raises EstimateError: the file is wrong; the message names the entry.
    """
    try:
        return PriceTable.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors())
        raise EstimateError(f"{path.name}: " + "; ".join(problems)) from error
