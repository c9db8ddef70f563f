"""What msgspec says of a document that does not fit a type, and which member of a mapping it means."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

_AT = re.compile(r" - at `(key` in `)?(\$[^`]*)`$")
_STEP = re.compile(r"\.([^.\[]+)|\[(.*?)\]")
_OPENED: Any = dict[str, msgspec.Raw] | list[msgspec.Raw]
MOST = 2**14
"""Members of a mapping among which one is looked for; no mapping with so many is ever right."""
Steps = Sequence[tuple[str, str]]
"""A path taken apart: a member's name, or what stands in brackets."""


def steps_of(path: str) -> Steps:
    """The steps of a path as msgspec tells it (``$.vectors[0].id``)."""
    return _STEP.findall(path)


class Misfit:
    """What msgspec says of a document.

    Of a wrong value in a mapping it says ``$.fields[...]``, of a wrong key "`key` in `$.fields`", and neither which.
    """

    def __init__(self, error: msgspec.ValidationError, decode: Callable[[object], object]) -> None:
        """:param decode: raises such an error for another document as well."""
        self._decode = decode
        self.detail, of_a_key, self.path = _parts(error)
        self._knows_all = "[...]" not in self.path and not of_a_key

    def place_in(self, document: object) -> str:
        """The path, with the name of the mapping's member; of one whose name is empty the path of the mapping."""
        if self._knows_all:
            return self.path
        before, _, after = self.path.partition("[...]")
        try:
            mapping, whole = _taken_apart(document, steps_of(before))
            found = self._first(mapping, whole)
        except (ValueError, LookupError, TypeError, RecursionError):  # no JSON behind what is wrong; or no such path,
            return self.path  # but the name of a member that looks like one
        if found is None:
            return self.path
        return f"{before}.{found}{after}" if found else before

    def _first(self, mapping: Mapping[str, object], whole: Callable[[object], object]) -> str | None:
        """The first wrong member, by halves, so that each is looked at twice or so."""
        names = list(mapping)
        if len(names) > MOST:
            return None
        while len(names) > 1:
            half = names[: len(names) // 2]
            wrong = self._fails(whole({name: mapping[name] for name in half}))
            names = half if wrong else names[len(half) :]
        return next((name for name in names if self._fails(whole({name: mapping[name]}))), None)

    def _fails(self, document: object) -> bool:
        """Whether it does in the same way, at the same place."""
        try:
            self._decode(document)
        except msgspec.ValidationError as error:
            detail, _, path = _parts(error)
            return detail == self.detail and _whatever_number(path) == _whatever_number(self.path)
        return False


def _parts(error: msgspec.ValidationError) -> tuple[str, bool, str]:
    """What is wrong, whether with a mapping's key, and the path, which is empty for the whole."""
    text = str(error)
    found = _AT.search(text)
    return (text, False, "") if found is None else (text[: found.start()], found[1] is not None, found[2])


def _whatever_number(path: str) -> str:
    """The path, with no number of an item of a list in it."""
    return re.sub(r"\[\d+\]", "[]", path)


def _taken_apart(node: object, steps: Steps) -> tuple[Mapping[str, object], Callable[[object], object]]:
    """The mapping at the end of ``steps``, and what makes the document again with another one in its place, and with
    nothing beside that in lists."""
    members = _opened(node)
    if not steps:
        return members, lambda other: other
    name, index = steps[0]
    mapping, below = _taken_apart(members[name or int(index)], steps[1:])
    if name:
        return mapping, lambda other: {**members, name: below(other)}
    return mapping, lambda other: [below(other)]


def _opened(node: object) -> Any:  # noqa: ANN401 - a mapping or a list
    """Of decoded JSON; of JSON text, which may hold what cannot be decoded, as text."""
    return msgspec.json.decode(node, type=_OPENED) if isinstance(node, msgspec.Raw) else node
