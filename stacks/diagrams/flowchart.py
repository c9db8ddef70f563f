"""A flowchart in Mermaid."""

import re
from collections.abc import Iterator
from contextlib import contextmanager


class Flowchart:
    """Lines of one drawing. Nodes are known by any text; what they are called in Mermaid is derived from it."""

    def __init__(self, direction: str) -> None:
        """:param direction: ``LR``, from left to right, or ``TB``, from top to bottom."""
        self._lines = [f"flowchart {direction}"]
        self._depth = 1
        self._nodes: set[str] = set()

    def node(self, name: str, label: str = "", *, shape: tuple[str, str] = ("[", "]")) -> None:
        """Add a node, once. :param label: what is written in it, if not its name. :param shape: its brackets."""
        if name not in self._nodes:
            self._nodes.add(name)
            opening, closing = shape
            self._add(f'{_id(name)}{opening}"{_text(label or name)}"{closing}')

    def edge(self, origin: str, target: str, label: str = "", *, dotted: bool = False) -> None:
        """Add an arrow between two nodes."""
        arrow = "-.->" if dotted else "-->"
        written = f'|"{_text(label)}"|' if label else ""
        self._add(f"{_id(origin)} {arrow}{written} {_id(target)}")

    @contextmanager
    def group(self, name: str, label: str = "") -> Iterator[None]:
        """What is added meanwhile stands in a frame."""
        self._add(f'subgraph {_id(name)}["{_text(label or name)}"]')
        self._depth += 1
        yield
        self._depth -= 1
        self._add("end")

    def __str__(self) -> str:
        """The drawing's text."""
        return "\n".join(self._lines)

    def _add(self, line: str) -> None:
        self._lines.append("  " * self._depth + line)


STORE = ("[(", ")]")
"""The shape of what keeps data."""
QUEUE = ("[/", "/]")
"""The shape of what keeps messages."""
WORLD = ("([", "])")
"""The shape of what is no part of the architecture."""


def _id(name: str) -> str:
    # Mermaid reads "end" and a leading o or x otherwise.
    return "n_" + re.sub(r"\W+", "_", name).strip("_")


def _text(label: str) -> str:
    return label.replace('"', "#quot;").replace("\n", "<br>")
