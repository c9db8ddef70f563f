"""YAML files merged into one tree that still knows which file every value came from."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
Location = tuple[str | int, ...]
"""Path of a value: keys and list positions."""


class DocumentError(Exception):
    """A file that is no usable YAML document; the message names file and line."""


class Documents:
    """Documents merged in order: mappings member by member, every other value (lists too) replaced whole."""

    def __init__(self, *files: Path) -> None:
        """:raises DocumentError: a file is absent, no mapping, not YAML, or names a key twice."""
        self.tree: dict[str, Any] = {}
        self._origin: dict[Location, str] = {}
        for file in files:
            self._merge(self.tree, _read(file), file.name, ())

    def file_of(self, location: Location) -> str:
        """Name of the file that gave the value at ``location``, or its nearest ancestor."""
        for length in range(len(location), 0, -1):
            if origin := self._origin.get(location[:length]):
                return origin
        return next(iter(self._origin.values()), "settings")

    def _merge(self, into: dict[str, Any], values: Mapping[str, Any], file: str, at: Location) -> None:
        for key, value in values.items():
            here = (*at, key)
            self._origin[here] = file
            if isinstance(value, dict) and isinstance(into.get(key), dict):
                self._merge(into[key], value, file, here)
            else:
                into[key] = value
                self._origin |= dict.fromkeys(_locations(value, here), file)


def path_of(location: Location) -> str:
    """``('clusters', 0, 'min_size')`` as ``clusters[0].min_size``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")


def _locations(value: object, at: Location) -> Iterator[Location]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*at, key)
            yield from _locations(item, (*at, key))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _locations(item, (*at, position))


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise DocumentError(f"{file.name}: cannot be read: {error.strerror}") from error
    try:
        loader = _LOADER(text)
        node = loader.get_single_node()
        _refuse_duplicates(node, file.name)
        tree = loader.construct_document(node) if node else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DocumentError(f"{file.name}: line {line}: not valid YAML: {error.problem}") from error
    if not isinstance(tree, dict):
        raise DocumentError(f"{file.name}: line 1: a mapping of settings is needed, not {type(tree).__name__}")
    return tree


def _refuse_duplicates(node: yaml.Node | None, file: str) -> None:
    """YAML's own loader keeps the last of two equal keys silently."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise DocumentError(f"{file}: line {key.start_mark.line + 1}: the key {key.value!r} stands here twice")
            seen.add(key.value)
            _refuse_duplicates(value, file)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_duplicates(item, file)
