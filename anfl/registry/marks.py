"""Marks of a record: what conditions on equality are about, so that DynamoDB leaves out what cannot match.

A record is one document, into which DynamoDB cannot look. Beside it stands a text of short digests: of each tag's key,
of key and value, of what else a filter may ask to be equal. A query with conditions hands over only items that have
the digests of all of them. Which of these match is decided by their documents: two texts may share a digest.
"""

import base64
import hashlib
from collections.abc import Sequence

from anfl.registry.entities import PROMPT_TAG, Model, Version
from anfl.registry.filters import Comparison, Filter
from anfl.registry.table import Containing

MARKS = "marks"
MAX_TAGS = 1000
"""A record of more tags has no marks, and is always handed over."""
_MAX_CONDITIONS = 20
"""Of one query: an expression has at most 4 KB."""
_DIGEST_BYTES = 6
_EQUAL = ("run_id", "source_path")
"""Attributes of versions whose equality is marked; names and numbers stand in keys."""


def marks(record: Model | Version) -> str | None:
    """The marks of a record, each of eight characters; None for too many."""
    if len(record.tags) + len(record.spilled) > MAX_TAGS:
        return None
    found = [mark for key, value in record.tags.items() for mark in (_mark("tag", key), _mark("tag", key, value))]
    found += [mark for key in record.spilled for mark in (_mark("tag", key), _mark("large", key))]
    if isinstance(record, Version):
        found.append(_mark("source_path", record.source))
        if record.run_id is not None:
            found.append(_mark("run_id", record.run_id))
    return " ".join(sorted(found))


def wanted(condition: Filter, *, and_prompts: bool = False) -> Containing | None:
    """Which items can match; None where every one can.

    :param and_prompts: versions of prompts as well, whatever the conditions.
    """
    groups = [group for comparison in condition.comparisons if (group := _any_of(comparison))]
    if not groups:
        return None
    if and_prompts:
        prompts = _any_of(Comparison(key=PROMPT_TAG, is_tag=True, operator="=", value="true"))
        groups = [[*group, *prompts] for group in groups]
    return Containing(attribute=MARKS, groups=groups[:_MAX_CONDITIONS])


def _any_of(comparison: Comparison) -> Sequence[str]:
    """Marks of which a record that meets the comparison has at least one; none where that cannot be told."""
    key = comparison.key
    if comparison.is_tag:
        if comparison.operator == "=":
            return [_mark("tag", key, str(comparison.value)), _mark("large", key)]
        return [_mark("tag", key)]  # no condition holds for a tag that is absent
    values = comparison.value if isinstance(comparison.value, tuple) else (str(comparison.value),)
    if key in _EQUAL and comparison.operator in ("=", "IN") and len(values) <= _MAX_CONDITIONS:
        return [_mark(key, value) for value in values]
    return []


def _mark(*parts: str) -> str:
    digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=_DIGEST_BYTES).digest()
    return base64.b64encode(digest).decode()
