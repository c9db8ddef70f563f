"""Numbers that JSON has no word for, refused before an encoder makes null of them: null means another thing."""

from collections.abc import Mapping
from math import isfinite

import numpy as np


def check_finite(value: object, what: str) -> None:
    """Refuse NaN and infinity anywhere in ``value``.

    :param what: ``value`` is, for whoever gave it.
    :raises ValueError: naming the place.
    """
    place = _place(value)
    if place is not None:
        raise ValueError(f"{what}{place} is NaN or infinite, which no JSON can say; leave it out")


def _place(value: object) -> str | None:
    if isinstance(value, float | np.floating):
        return None if isfinite(value) else ""
    if isinstance(value, Mapping):
        members = [(f".{name}", member) for name, member in value.items()]
    elif isinstance(value, list | tuple):
        members = [(f"[{index}]", member) for index, member in enumerate(value)]
    else:
        return None
    for name, member in members:
        below = _place(member)
        if below is not None:
            return f"{name}{below}"
    return None
