"""Reading request fields as leniently as Vault does: numbers and booleans as text, lists as comma-separated text."""

import json
import re
from collections.abc import Mapping
from typing import Any

from local.vault.api import invalid

Data = Mapping[str, Any]

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST = 20
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def text(data: Data, name: str, default: str = "") -> str:
    """A string; numbers are taken as their text."""
    value = data.get(name)
    if value is None:
        return default
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    raise invalid(f"field validation failed: error converting input for field {name!r}: expected a string")


def integer(data: Data, name: str, default: int = 0) -> int:
    """A whole number."""
    value = data.get(name)
    if value is None or value == "":
        return default
    try:
        found = int(value)
        if abs(found) >= 2**63:
            raise ValueError
        return found
    except (TypeError, ValueError, OverflowError):
        raise invalid(f"field validation failed: error converting input for field {name!r}: expected an int") from None


def boolean(data: Data, name: str, default: bool = False) -> bool:
    """A truth value."""
    value = data.get(name)
    if value is None or value == "":
        return default
    if isinstance(value, str):
        if value.lower() not in {"true", "false", "1", "0", "t", "f"}:
            raise invalid(f"field validation failed: error converting input for field {name!r}: expected a bool")
        return value.lower() in {"true", "1", "t"}
    return bool(value)


def seconds(data: Data, name: str, default: int = 0) -> int:
    """A duration in whole seconds: ``60``, ``"60"``, ``"1h30m"``, ``"7d"``."""
    value = data.get(name)
    if value is None or value == "":
        return default
    found = parse_duration(value)
    if found is None or found < 0:
        raise invalid(f"field validation failed: error converting input for field {name!r}: expected a duration")
    return found


def parse_duration(value: object) -> int | None:
    """Whole seconds; None where ``value`` is no duration."""
    written = str(value).strip()
    if isinstance(value, bool) or len(written) > _LONGEST:
        return None
    try:
        return int(float(written))
    except (ValueError, OverflowError):  # not a plain number
        pass
    if not written or _DURATION.sub("", written):
        return None
    return int(sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(written)))


def strings(data: Data, name: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
    """A list, or comma-separated text."""
    value = data.get(name)
    if value is None:
        return default
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, list):
        return tuple(str(part) for part in value)
    raise invalid(f"field validation failed: error converting input for field {name!r}: expected a list")


def mapping(data: Data, name: str) -> dict[str, Any]:
    """A map, or JSON text of one."""
    value = data.get(name)
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if not isinstance(value, dict):
        raise invalid(f"field validation failed: error converting input for field {name!r}: expected a map")
    return value
