"""Where a tag's value stands: small ones in the record of their model or version, large ones in items of their own.

MLflow allows values of 100,000 characters, a DynamoDB item holds 400 KB, and records are read by every search.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from anfl.registry.errors import invalid_parameter

INLINE_BYTES = 4096
"""Largest tag (key and value) within a record, as JSON has it."""
BUDGET_BYTES = 65_536
"""All tags within one record together."""
MAX_SPILLED = 80
"""Large tags of one model or version: they must fit one transaction."""


@dataclass(frozen=True, kw_only=True)
class Arranged:
    """Tags by the place where they stand."""

    inline: dict[str, str]
    spilled: dict[str, str]


def arrange(tags: Mapping[str, str]) -> Arranged:
    """Decide the place of each of a new record's tags.

    :raises Problem: 400 for too many large ones.
    """
    inline: dict[str, str] = {}
    spilled: dict[str, str] = {}
    used = 0
    for key, value in tags.items():
        size = _size(key, value)
        if _has_room(used, size):
            inline[key] = value
            used += size
        else:
            spilled[key] = value
            check_spilled(len(spilled))
    return Arranged(inline=inline, spilled=spilled)


def fits(inline: Mapping[str, str], key: str, value: str) -> bool:
    """Whether the tag may stand in the record beside (or instead of) the ``inline`` ones."""
    others = sum(_size(name, text) for name, text in inline.items() if name != key)
    return _has_room(others, _size(key, value))


def check_spilled(count: int) -> None:
    """:raises Problem: 400 where there are too many large tags."""
    if count > MAX_SPILLED:
        raise invalid_parameter(
            f"At most {MAX_SPILLED} tags may be large (over {INLINE_BYTES} bytes, or beyond {BUDGET_BYTES} bytes in"
            " total); delete some first.",
            field="tags",
        )


def _has_room(used: int, size: int) -> bool:
    return size <= INLINE_BYTES and used + size <= BUDGET_BYTES


def _size(key: str, value: str) -> int:
    return sum(len(msgspec.json.encode(text)) - 2 for text in (key, value))
