"""Finds the declared resource for a request path: literal segments before ``{name}`` before ``{name+}``."""

from typing import Generic, TypeVar
from urllib.parse import unquote

T = TypeVar("T")


class Router(Generic[T]):
    """A tree of path segments; its leaves hold what was declared for the path."""

    def __init__(self) -> None:
        self._literal: dict[str, Router[T]] = {}
        self._parameter: tuple[str, Router[T]] | None = None
        self._greedy: tuple[str, T] | None = None
        self._leaf: T | None = None

    def add(self, path: str, leaf: T) -> None:
        """Declare a resource path such as ``/v1/collections/{name}``."""
        self._add(_segments(path), leaf)

    def find(self, raw_path: str) -> tuple[T, dict[str, str]] | None:
        """What was declared for the percent-encoded ``raw_path``, and its path parameters, decoded."""
        return self._find(_segments(raw_path))

    def _add(self, segments: list[str], leaf: T) -> None:
        if not segments:
            self._leaf = leaf
            return
        head, rest = segments[0], segments[1:]
        if head.startswith("{") and head.endswith("+}"):
            self._greedy = (head[1:-2], leaf)
        elif head.startswith("{") and head.endswith("}"):
            if self._parameter is None:
                self._parameter = (head[1:-1], Router())
            self._parameter[1]._add(rest, leaf)
        else:
            self._literal.setdefault(head, Router())._add(rest, leaf)

    def _find(self, segments: list[str]) -> tuple[T, dict[str, str]] | None:
        if not segments:
            return None if self._leaf is None else (self._leaf, {})
        head, rest = segments[0], segments[1:]
        literal = self._literal.get(head)
        if literal is not None and (found := literal._find(rest)) is not None:
            return found
        if self._parameter is not None and head:
            name, node = self._parameter
            if (found := node._find(rest)) is not None:
                leaf, parameters = found
                return leaf, {name: unquote(head)} | parameters
        if self._greedy is not None:
            name, leaf = self._greedy
            return leaf, {name: unquote("/".join(segments))}
        return None


def _segments(path: str) -> list[str]:
    trimmed = path.removeprefix("/").removesuffix("/")
    return trimmed.split("/") if trimmed else []
