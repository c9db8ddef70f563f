"""Values with units."""

from datetime import timedelta

import pytest
from pydantic import TypeAdapter, ValidationError

from stacks.units import INSTANCE_TYPES, Duration, Limit, Percent, Threshold, Unit


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("5m", 300), ("4h", 14400), ("7d", 604800), ("90 days", 7776000), ("1 day", 86400), (300, 300)],
)
def test_durations(text: str | int, seconds: int) -> None:
    assert TypeAdapter(Duration).validate_python(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "5 parsecs", 1.5, True, None, -1])
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValidationError, match="a duration is needed"):
        TypeAdapter(Duration).validate_python(text)


def test_percentages() -> None:
    assert TypeAdapter(Percent).validate_python("7.5%") == 7.5
    for wrong in ("101%", "75", 75, None):
        with pytest.raises(ValidationError, match="a percentage from 0% to 100% is needed"):
            TypeAdapter(Percent).validate_python(wrong)


@pytest.mark.parametrize(
    ("text", "value", "unit"), [(1, 1, Unit.COUNT), ("5%", 5, Unit.PERCENT), ("1s", 1, Unit.SECONDS)]
)
def test_thresholds(text: str | int, value: float, unit: Unit) -> None:
    assert TypeAdapter(Limit).validate_python(text) == Threshold(value=value, unit=unit)


def test_sizes_of_the_architectures_instances() -> None:
    assert (INSTANCE_TYPES["c5.2xlarge"].cpus, INSTANCE_TYPES["c5.2xlarge"].memory_mib) == (8, 16 * 1024)
    assert (INSTANCE_TYPES["m5.2xlarge"].cpus, INSTANCE_TYPES["m5.2xlarge"].memory_mib) == (8, 32 * 1024)
    assert "c5.8xlarge" not in INSTANCE_TYPES
