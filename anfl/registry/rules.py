"""What names, tags, aliases, versions and stages may look like: MLflow's rules and messages, and the table's limits."""

import json
import posixpath
import re

from anfl.problems import Problem
from anfl.registry.entities import Stage
from anfl.registry.errors import invalid_parameter

MAX_TAG_KEY = 250
MAX_TAG_VALUE = 100_000
MAX_ALIAS = 255
MAX_ALIASES = 100
"""Aliases a model may have at once: they stand in its record."""
MAX_NAME_BYTES = 1000
"""A name is a sort key."""
MAX_DESCRIPTION_BYTES = 150_000
"""A description stands in its record (400 KB) beside tags and aliases."""
MAX_REFERENCE_BYTES = 8192
"""Of source, run id and run link."""

_TAG_CHARACTERS = re.compile(r"[/\w.\- :]*")
_ALIAS_CHARACTERS = re.compile(r"[\w\-]*")
_RESERVED_ALIAS = re.compile(r"[vV]\d+")
_STAGES = {stage.lower(): stage for stage in Stage}


def missing(field: str) -> Problem:
    """400 for a required value that is absent or blank."""
    return invalid_parameter(f"Missing value for required parameter '{field}'.", field=field)


def model_name(name: str, *, field: str = "name") -> str:
    """A usable name of a model.

    :raises Problem: 400.
    """
    if not name.strip():
        raise missing(field)
    if "/" in name or ":" in name:
        raise invalid_parameter(f"Invalid model name '{name}'. Names cannot contain '/' or ':'.", field=field)
    _reject_path(name, field=field)
    _reject_surrogates(name, field=field)
    limit_bytes(name, MAX_NAME_BYTES, field=field)
    return name


def tag_key(key: str) -> str:
    """A usable key of a tag.

    :raises Problem: 400.
    """
    if _TAG_CHARACTERS.fullmatch(key) is None:
        message = (
            "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and"
            " slashes (/)."
        )
        raise _invalid_value(key, message, field="key")
    _reject_path(key, field="key")
    return key


def tag(key: str, value: str) -> None:
    """Refuse a tag that cannot be stored.

    :raises Problem: 400.
    """
    tag_key(key)
    limit_characters(key, MAX_TAG_KEY, field="key")
    _reject_surrogates(value, field="value")
    limit_characters(value, MAX_TAG_VALUE, field="value")


def alias(name: str) -> str:
    """A well-formed alias.

    :raises Problem: 400.
    """
    if not name:
        raise invalid_parameter("Registered model alias name cannot be empty.", field="alias")
    if _ALIAS_CHARACTERS.fullmatch(name) is None:
        message = "Names may only contain alphanumerics, underscores (_), and dashes (-)."
        raise invalid_parameter(f"Invalid alias name: '{name}'. {message}", field="alias")
    if len(name) > MAX_ALIAS:
        message = f"'Registered model alias name' exceeds the maximum length of {MAX_ALIAS} characters"
        raise invalid_parameter(message, field="alias")
    return name


def new_alias(name: str) -> str:
    """A well-formed alias that is not reserved.

    :raises Problem: 400.
    """
    alias(name)
    if name.lower() == "latest":
        raise invalid_parameter("'latest' alias name (case insensitive) is reserved.", field="alias")
    if _RESERVED_ALIAS.fullmatch(name):
        raise invalid_parameter(f"Version alias name '{name}' is reserved.", field="alias")
    return name


def version_number(text: str) -> int:
    """The number that ``text`` is.

    :raises Problem: 400.
    """
    try:
        return int(text)
    except ValueError:
        raise invalid_parameter(f"Parameter 'version' must be an integer, got '{text}'.", field="version") from None


def stage(text: str) -> Stage:
    """The stage that ``text`` names, in any case.

    :raises Problem: 400.
    """
    found = _STAGES.get(text.lower())
    if found is None:
        message = f"Invalid Model Version stage: {text}. Value must be one of {', '.join(Stage)}."
        raise invalid_parameter(message, field="stage")
    return found


def description(text: str | None) -> str | None:
    """A description that fits.

    :raises Problem: 400.
    """
    if text is not None:
        limit_bytes(text, MAX_DESCRIPTION_BYTES, field="description")
    return text


def limit_bytes(text: str, limit: int, *, field: str) -> None:
    """:raises Problem: 400 where ``text`` has more than ``limit`` bytes of UTF-8."""
    _reject_surrogates(text, field=field)
    if len(text.encode()) > limit:
        raise invalid_parameter(f"'{field}' exceeds the maximum length of {limit} bytes", field=field)


def limit_characters(text: str, limit: int, *, field: str) -> None:
    """:raises Problem: 400 where ``text`` has more than ``limit`` characters."""
    if len(text) > limit:
        raise invalid_parameter(f"'{field}' exceeds the maximum length of {limit} characters", field=field)


def _reject_path(name: str, *, field: str) -> None:
    resolved = posixpath.normpath(name)
    if resolved != name or resolved == "." or resolved.startswith(("..", "/")):
        message = (
            "Names may be treated as files in certain cases, and must not resolve to other names when treated as such."
            f" This name would resolve to {resolved!r}"
        )
        raise _invalid_value(name, message, field=field)


def _reject_surrogates(text: str, *, field: str) -> None:
    """JSON can spell half a surrogate pair; UTF-8, and so the table, cannot."""
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise invalid_parameter(f"Parameter '{field}' is not valid Unicode text.", field=field)


def _invalid_value(value: str, message: str, *, field: str) -> Problem:
    return invalid_parameter(
        f"Invalid value {json.dumps(value)} for parameter '{field}' supplied: {message}", field=field
    )
