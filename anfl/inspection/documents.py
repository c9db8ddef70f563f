"""JSON and YAML: whether they can be read, and YAML tags that would make a loader call Python."""

import json
import mmap
from typing import Any, Final

import msgspec
import yaml

from anfl.inspection.codes import Code, Finding

_PYTHON = "tag:yaml.org,2002:python/"
_MAX_EVENTS = 2_000_000
_PLAIN = frozenset(
    ["none", "bool", "str", "unicode", "bytes", "int", "long", "float", "complex", "list", "tuple", "dict"]
)
"""Python's tags that make plain values; all others import something."""
_CALLED = "_target_"
"""The name under which Hydra, and what is built on it (NeMo), finds what it is to call."""
_REPEATED: Final = "a name occurs twice in one object"


class _RepeatedError(ValueError):
    """An object has the same name twice."""


def check_json(content: mmap.mmap) -> None:
    """Refuse what no JSON reader takes. ``NaN``, ``Infinity`` and a byte order mark are taken: Python writes them.

    :raises Finding: it is malformed, or too deep.
    """
    try:
        msgspec.json.decode(content, type=msgspec.Raw)
    except msgspec.DecodeError:
        _check_python_json(content[:])
    except RecursionError:
        raise Finding(Code.TOO_COMPLEX, "JSON that is nested too deeply") from None


def _check_python_json(content: bytes) -> None:
    try:
        json.loads(content)
    except RecursionError:
        raise Finding(Code.TOO_COMPLEX, "JSON that is nested too deeply") from None
    except ValueError as error:
        code = Code.TRUNCATED if _ends_early(error, content) else Code.MALFORMED
        raise Finding(code, f"it is not JSON: {error}") from None


def _ends_early(error: ValueError, content: bytes) -> bool:
    if not isinstance(error, json.JSONDecodeError):
        return False
    return error.pos >= len(error.doc.rstrip()) or "Unterminated" in error.msg or not content.strip()


def no_duplicates(content: bytes) -> None:
    """Refuse JSON whose objects have a name twice: readers differ in which one they take.

    :raises Finding: one has, or it is no JSON.
    """
    try:
        json.loads(content, object_pairs_hook=_unique)
    except _RepeatedError as error:
        raise Finding(Code.MALFORMED, str(error)) from None
    except (ValueError, RecursionError) as error:
        raise Finding(Code.MALFORMED, f"it is not JSON: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _RepeatedError(_REPEATED)
    return found


def check_yaml(content: bytes) -> list[Finding]:
    """What is wrong with a YAML file, of one or more documents. It is parsed, not constructed.

    :raises Finding: it is malformed, or too large to follow.
    """
    found: dict[str, Finding] = {}
    expanded = _Expansion()
    try:
        for count, event in enumerate(yaml.parse(content, Loader=_PARSER)):
            if count > _MAX_EVENTS:
                raise Finding(Code.TOO_COMPLEX, f"YAML of more than {_MAX_EVENTS} events")
            expanded.add(event)
            tag = getattr(event, "tag", None)
            if isinstance(tag, str) and (finding := _judge(tag)) is not None:
                found[tag] = finding
            if isinstance(event, yaml.ScalarEvent) and event.value == _CALLED:
                found[_CALLED] = Finding(Code.CUSTOM_CODE, f"{_CALLED}: a loader may call what it names")
    except yaml.YAMLError as error:
        raise Finding(Code.MALFORMED, f"it is not YAML: {str(error).splitlines()[0]}") from None
    except (RecursionError, UnicodeDecodeError, ValueError) as error:
        raise Finding(Code.MALFORMED, f"it is not YAML: {error}") from None
    return list(found.values())


def load_yaml(content: bytes, *, what: str) -> object:
    """What a YAML file says in which `check_yaml` has found nothing.

    :param what: it is called in the finding.
    :raises Finding: it is malformed after all.
    """
    try:
        return yaml.safe_load(content)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise Finding(Code.MALFORMED, f"{what} cannot be read: {str(error).splitlines()[0]}") from None


_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _judge(tag: str) -> Finding | None:
    if tag.startswith(_PYTHON):
        kind = tag.removeprefix(_PYTHON)
        code = Code.UNLISTED_TAG if kind in _PLAIN else Code.DANGEROUS_TAG
        return Finding(code, f"the tag !!python/{kind}")
    standard = tag == "!" or tag.startswith("tag:yaml.org,2002:")
    return None if standard else Finding(Code.UNLISTED_TAG, f"the tag {tag}")


class _Expansion:
    """How many nodes the document has once its aliases are replaced by what they name: billion laughs."""

    _MOST = 10_000_000

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}
        self._open: list[tuple[str | None, int]] = []
        self._total = 0

    def add(self, event: yaml.Event) -> None:
        """:raises Finding: there are too many."""
        if isinstance(event, yaml.AliasEvent):
            self._count(self._sizes.get(event.anchor or "", 1))
        elif isinstance(event, yaml.CollectionStartEvent):
            self._open.append((event.anchor, self._total))
            self._count(1)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = self._open.pop()
            if anchor is not None:
                self._sizes[anchor] = self._total - before
        elif isinstance(event, yaml.ScalarEvent):
            self._count(1)
            if event.anchor is not None:
                self._sizes[event.anchor] = 1

    def _count(self, size: int) -> None:
        self._total += size
        if self._total > self._MOST:
            raise Finding(Code.ARCHIVE_BOMB, f"YAML aliases expand to more than {self._MOST} nodes")
