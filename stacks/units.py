"""What settings are made of: values with units (``90 days``, ``5m``, ``5%``), and AWS's own vocabularies."""

import ipaddress
import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

_UNITS = {
    "s": 1,
    "second": 1,
    "seconds": 1,
    "m": 60,
    "minute": 60,
    "minutes": 60,
    "h": 3600,
    "hour": 3600,
    "hours": 3600,
    "d": 86400,
    "day": 86400,
    "days": 86400,
}
_DURATION = re.compile(r"(?P<count>\d+)\s*(?P<unit>[a-z]+)")
_PERCENT = re.compile(r"(?P<number>\d+(\.\d+)?)\s*%")


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return timedelta(seconds=value)
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or match["unit"] not in _UNITS:
        raise ValueError("a duration is needed, such as 30s, 5m, 4h, 90 days, or whole seconds")
    return timedelta(seconds=int(match["count"]) * _UNITS[match["unit"]])


def _percent(value: object) -> float:
    if isinstance(value, float):
        return value
    match = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or not 0 <= float(match["number"]) <= 100:
        raise ValueError("a percentage from 0% to 100% is needed, such as 75%")
    return float(match["number"])


def _network(value: object) -> ipaddress.IPv4Network:
    if isinstance(value, ipaddress.IPv4Network):
        return value
    try:
        return ipaddress.IPv4Network(str(value))
    except ValueError as error:
        raise ValueError("an IPv4 network is needed, such as 192.0.2.0/24, with no bits behind the mask") from error


class Unit(StrEnum):
    """What the number of a threshold counts."""

    COUNT = "count"
    PERCENT = "percent"
    SECONDS = "seconds"


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """The limit of an alert: 1, 5 percent, 1 second."""

    value: float
    unit: Unit


def _threshold(value: object) -> Threshold:
    if isinstance(value, Threshold):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Threshold(value=value, unit=Unit.COUNT)
    for parse, unit in ((_percent, Unit.PERCENT), (_duration, Unit.SECONDS)):
        try:
            parsed = parse(value)
        except ValueError:
            continue
        return Threshold(value=parsed if isinstance(parsed, float) else parsed.total_seconds(), unit=unit)
    raise ValueError("a threshold is needed: a count (1), a percentage (5%) or a duration (1s)")


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(lambda value: f"{int(value.total_seconds())}s", return_type=str),
]


def between(low: str, high: str) -> AfterValidator:
    """Bounds of a duration, both allowed."""
    least, most = _duration(low), _duration(high)

    def check(value: timedelta) -> timedelta:
        if not least <= value <= most:
            raise ValueError(f"a duration from {low} to {high} is needed")
        return value

    return AfterValidator(check)


Percent = Annotated[float, BeforeValidator(_percent), PlainSerializer(lambda value: f"{value:g}%", return_type=str)]
"""5.0 for ``5%``."""
Limit = Annotated[Threshold, BeforeValidator(_threshold)]
Network = Annotated[ipaddress.IPv4Network, BeforeValidator(_network)]


class Region(StrEnum):
    """Regions in which every service that the stacks use exists."""

    US_WEST_1 = "us-west-1"
    US_EAST_1 = "us-east-1"
    EU_WEST_1 = "eu-west-1"


_MEMORY_PER_CPU = {
    **dict.fromkeys(("c5", "c6i", "c7i"), 2),
    **dict.fromkeys(("m5", "m6i", "m7i"), 4),
    **dict.fromkeys(("r5", "r6i", "r7i"), 8),
}
_CPUS = {"large": 2, "xlarge": 4, "2xlarge": 8, "4xlarge": 16, "8xlarge": 32}
_BURSTABLE = {"t3.small": (2, 2), "t3.medium": (2, 4), "t3.large": (2, 8), "t3.xlarge": (4, 16)}


@dataclass(frozen=True, kw_only=True)
class InstanceType:
    """An x86-64 EC2 instance type: bundles and images are built for that architecture."""

    name: str
    cpus: int
    memory_mib: int

    def __str__(self) -> str:
        """As EC2 writes it."""
        return self.name


def _instance_types() -> dict[str, InstanceType]:
    sizes = _BURSTABLE | {
        f"{family}.{size}": (cpus, cpus * per_cpu)
        for family, per_cpu in _MEMORY_PER_CPU.items()
        for size, cpus in _CPUS.items()
        if not (family == "c5" and size == "8xlarge")  # c5 goes from 4xlarge to 9xlarge
    }
    return {
        name: InstanceType(name=name, cpus=cpus, memory_mib=gib * 1024) for name, (cpus, gib) in sorted(sizes.items())
    }


INSTANCE_TYPES = _instance_types()


def _instance_type(value: object) -> InstanceType:
    if isinstance(value, InstanceType):
        return value
    if not isinstance(value, str) or value not in INSTANCE_TYPES:
        raise ValueError(f"an x86-64 instance type is needed, one of: {', '.join(INSTANCE_TYPES)}")
    return INSTANCE_TYPES[value]


Instance = Annotated[InstanceType, BeforeValidator(_instance_type), PlainSerializer(str, return_type=str)]


class Model(BaseModel):
    """A frozen part of the settings; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


Count = Annotated[int, Field(ge=1, strict=True)]
Zone = Annotated[str, Field(pattern=r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$")]
Retention = Annotated[Duration, between("1 days", "36500 days")]
