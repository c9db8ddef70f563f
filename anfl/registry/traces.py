"""Texts that a record's document must hold for a condition to hold: looked for before the document is read as JSON.

To find a text takes a tenth of reading. A document is what msgspec's encoder writes, without spaces and character by
character; so a part of a value, encoded, is a part of the value encoded. A document that holds the text may still not
match, and a tag that is too large for the document leaves no trace but its key.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from anfl.registry import patterns
from anfl.registry.filters import Comparison, Filter

MEMBERS = {"name": "name", "run_id": "run_id", "source_path": "source", "version_number": "number"}
"""Where documents tell an attribute. Those of versions tell no name."""
_NOTHING_LARGE = '"spilled":[]}'
"""How the document of a record ends of which no tag is too large. One that ends otherwise is read."""


class Trace(NamedTuple):
    """What documents are asked for."""

    text: str
    lowered: bool
    """The lower-case document is asked."""


def holding(documents: Sequence[str], condition: Filter) -> Sequence[str]:
    """Those of some documents for which a filter can hold.

    :param condition: on what documents of their kind tell.
    """
    for comparison in condition.comparisons:
        found = trace(comparison)
        if found is None:
            continue
        text, asked = found.text, map(str.lower, documents) if found.lowered else documents
        documents = [
            document
            for document, each in zip(documents, asked, strict=True)
            if text in each or not document.endswith(_NOTHING_LARGE)
        ]
    return documents


def leaves(condition: Filter) -> bool:
    """Whether a filter can be told by texts, in part at least."""
    return any(map(trace, condition.comparisons))


def trace(comparison: Comparison) -> Trace | None:
    """What a document must hold where a comparison holds for what stands in it; None where nothing is known."""
    member = comparison.key if comparison.is_tag else MEMBERS.get(comparison.key)
    if member is None:
        return None
    if comparison.operator == "=":
        return Trace(f"{_json(member)}:{_json(comparison.value)}", lowered=False)
    if comparison.operator == "LIKE" and (text := alike(comparison)):
        return Trace(text, lowered=False)
    if comparison.operator == "ILIKE" and (text := _alike_in_any_case(str(comparison.value).lower())):
        return Trace(text, lowered=True)
    return Trace(f"{_json(member)}:", lowered=False) if comparison.is_tag else None


def alike(comparison: Comparison) -> str:
    """The longest text that a document must hold for a value to be like a pattern; nothing where there is none."""
    text, begins, ends = max(patterns.literals(str(comparison.value)), key=lambda found: len(found[0]))
    if not text:
        return ""
    member = comparison.key if comparison.is_tag else MEMBERS[comparison.key]
    return f"{_json(member)}:{_part(text, begins, ends)}" if begins else _part(text, begins, ends)


def _alike_in_any_case(pattern: str) -> str:
    """The same of a document in lower case: ASCII alone, which becomes of a character wherever that stands.

    Of others that is not so: a sigma becomes another letter at the end of a word, and an escaped line feed is a letter
    beside it.
    """
    whole = ((text, begins, ends) for text, begins, ends in patterns.literals(pattern) if text.isascii())
    text, begins, ends = max(whole, key=lambda found: len(found[0]), default=("", False, False))
    return _part(text, begins, ends).lower() if text else ""


def _part(text: str, begins: bool, ends: bool) -> str:
    """A part of a value as a document has it, with the quotes at ends that are the value's own."""
    return _json(text)[0 if begins else 1 : None if ends else -1]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
