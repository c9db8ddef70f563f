"""Patterns of SQL's LIKE, case-sensitive: ``%`` is any text, ``_`` any character."""

import re
from collections.abc import Callable, Iterator


def matcher(pattern: str) -> Callable[[str], bool]:
    """Says whether a text matches. Linear in each part between two ``%``: no pattern explodes."""
    first, *rest = pattern.split("%")
    if not rest:
        return lambda text: len(text) == len(first) and _matches(text, 0, first)
    *middle, last = rest
    shortest = len(first) + len(last)
    if not middle and "_" not in pattern:
        return lambda text: len(text) >= shortest and text.startswith(first) and text.endswith(last)
    if not shortest and len(middle) == 1 and "_" not in pattern:
        return lambda text: middle[0] in text

    def matches_parts(text: str) -> bool:
        position, end = len(first), len(text) - len(last)
        if end < position or not text.startswith(first) or not text.endswith(last):
            return False
        for part in middle:
            found = text.find(part, position, end)
            if found < 0:
                return False
            position = found + len(part)
        return True

    def matches(text: str) -> bool:
        position, end = len(first), len(text) - len(last)
        if end < position or not _matches(text, 0, first) or not _matches(text, end, last):
            return False
        for part in middle:
            found = _find(text, part, position, end)
            if found < 0:
                return False
            position = found + len(part)
        return True

    return matches if "_" in pattern else matches_parts


def literals(pattern: str) -> Iterator[tuple[str, bool, bool]]:
    """What every text that matches holds, and whether it begins and ends with that."""
    found = re.split("[%_]", pattern)
    for number, text in enumerate(found):
        yield text, number == 0, number == len(found) - 1


def _find(text: str, part: str, start: int, end: int) -> int:
    if "_" not in part:
        return text.find(part, start, end)
    return next((at for at in range(start, end - len(part) + 1) if _matches(text, at, part)), -1)


def _matches(text: str, at: int, part: str) -> bool:
    if "_" not in part:
        return text.startswith(part, at)
    return all(wanted in ("_", text[at + offset]) for offset, wanted in enumerate(part))
