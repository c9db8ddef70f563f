"""Called by the workflow that recovers a region, and by whoever sends traffic back to it."""

from functools import cache
from typing import Any

import msgspec

from anfl import environment, start
from anfl.accelerator import Dial, Request, Settings, build_dial

start.begin()


@cache
def _dial() -> Dial:
    return build_dial(environment.load(Settings))


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """``{"percentage": 0}`` in, what the accelerator does with the region out."""
    request = msgspec.convert(event, Request)
    answer: dict[str, Any] = msgspec.to_builtins(_dial().turn(request.percentage))
    return answer
