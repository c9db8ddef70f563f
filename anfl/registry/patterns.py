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

    finders = [(part, _finder(part)) for part in middle]

    def matches(text: str) -> bool:
        position, end = len(first), len(text) - len(last)
        if end < position or not _matches(text, 0, first) or not _matches(text, end, last):
            return False
        for part, find in finders:
            found = find(text, position, end)
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


def _finder(part: str) -> Callable[[str, int, int], int]:
    """Says where a part first stands in a text between two of its places; -1 for nowhere.

    Where it holds ``_``, by Shift-And (Baeza-Yates, Gonnet: A New Approach to Text Searching, 1992): bit n says whether
    the last n + 1 characters are as the part begins. To try the part at each place takes the product of both lengths,
    minutes for a filter of 16 kB and one tag of 100 kB.
    """
    if "_" not in part:
        return lambda text, start, end: text.find(part, start, end)
    anything = sum(1 << at for at, wanted in enumerate(part) if wanted == "_")
    allowed = dict.fromkeys(part, anything)
    for at, wanted in enumerate(part):
        allowed[wanted] |= 1 << at
    del allowed["_"]  # in a text it is a character like any other
    whole = 1 << (len(part) - 1)

    def find(text: str, start: int, end: int) -> int:
        begun = 0
        for at in range(start, end):
            begun = (begun << 1 | 1) & allowed.get(text[at], anything)
            if begun & whole:
                return at - len(part) + 1
        return -1

    return find


def _matches(text: str, at: int, part: str) -> bool:
    if "_" not in part:
        return text.startswith(part, at)
    return all(wanted in ("_", text[at + offset]) for offset, wanted in enumerate(part))
