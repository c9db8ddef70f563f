"""Where drawings stand in a page of Markdown: between ``<!-- drawn: NAME -->`` and ``<!-- /drawn -->``."""

import re

from stacks.diagrams import DIAGRAMS
from stacks.figures.templates import Templates

_PLACE = re.compile(r"<!-- drawn: (?P<name>[\w-]+) -->\n.*?<!-- /drawn -->", re.DOTALL)


class PageError(Exception):
    """A page that asks for a drawing which nobody makes."""


def drawn(page: str, templates: Templates) -> str:
    """``page`` with its drawings made anew.

    :raises PageError: it asks for one that `DIAGRAMS` does not have.
    """

    def draw(place: re.Match[str]) -> str:
        name = place["name"]
        if name not in DIAGRAMS:
            raise PageError(f"there is no drawing {name!r}; known: {', '.join(DIAGRAMS)}")
        return f"<!-- drawn: {name} -->\n```mermaid\n{DIAGRAMS[name](templates)}\n```\n<!-- /drawn -->"

    return _PLACE.sub(draw, page)
