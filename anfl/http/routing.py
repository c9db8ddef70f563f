"""Finds what serves a path: one look-up per segment, however many routes there are."""

from collections.abc import Mapping
from typing import Generic, TypeVar

T = TypeVar("T")
Parameters = dict[str, str]


class _Node(Generic[T]):
    """What may follow after some segments of a path."""

    __slots__ = ("children", "parameter", "parameter_name", "rest", "rest_name", "served")

    def __init__(self) -> None:
        self.children: dict[str, _Node[T]] = {}
        self.parameter: _Node[T] | None = None
        self.parameter_name = ""
        self.rest: dict[str, T] = {}
        self.rest_name = ""
        self.served: dict[str, T] = {}


class Router(Generic[T]):
    """A table of method × path. ``{name}`` stands for one segment, ``{name+}`` for all that follow; fixed ones win."""

    def __init__(self, table: Mapping[tuple[str, str], T]) -> None:
        """:raises ValueError: two routes differ only in the name of a parameter."""
        self._root: _Node[T] = _Node()
        for (method, path), served in table.items():
            self._methods(path)[method] = served

    def find(self, path: str) -> tuple[Mapping[str, T], Parameters]:
        """By method, what serves the decoded ``path`` (nothing: no such path); and its parameters."""
        node, parameters = self._root, Parameters()
        start = 1
        while path.startswith("/"):
            end = path.find("/", start)
            segment = path[start:] if end < 0 else path[start:end]
            following = node.children.get(segment)
            if following is None:
                if node.rest and len(path) > start:
                    parameters[node.rest_name] = path[start:]
                    return node.rest, parameters
                following = node.parameter
                if following is None or not segment:
                    return {}, {}
                parameters[node.parameter_name] = segment
            node = following
            if end < 0:
                return node.served, parameters
            start = end + 1
        return {}, {}

    def _methods(self, path: str) -> dict[str, T]:
        node = self._root
        for segment in path.removeprefix("/").split("/"):
            if segment.endswith("+}"):
                node.rest_name = _same(node.rest_name, segment[1:-2], path)
                return node.rest
            if segment.startswith("{"):
                node.parameter_name = _same(node.parameter_name, segment[1:-1], path)
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.children.setdefault(segment, _Node())
        return node.served


def _same(known: str, name: str, path: str) -> str:
    if known not in ("", name):
        raise ValueError(f"{path}: a parameter at this place is named {known} elsewhere")
    return name
