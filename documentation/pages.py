"""Markdown pages of the repository as files of the site, by their paths."""

import html
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
from markdown_it import MarkdownIt
from markdown_it.token import Token

from anfl.vectors.operations import OPERATIONS
from services.vector_store.openapi import document
from stacks.settings import ROOT, load

OPENAPI = "openapi.json"
_START = "README.md"
_SHELL = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title} · ANFL</title>
<link rel="stylesheet" href="/style.css"></head>
<body>
<nav>{navigation}</nav>
<main>
{content}</main>
</body>
</html>
"""
_STYLE = Path(__file__).with_name("style.css")


def site() -> dict[str, bytes]:
    """Every file of the site: pages, the API's description in OpenAPI, a page for what is not there, the style."""
    sources = {
        _START: "index.html",
        **{f"docs/{p.name}": f"{p.stem}.html" for p in sorted((ROOT / "docs").glob("*.md"))},
    }
    texts = {target: (source, (ROOT / source).read_text(encoding="utf-8")) for source, target in sources.items()}
    description = _description()
    texts["api.html"] = ("api.md", _api(description))
    texts["404.html"] = ("404.md", "# Not found\n\nThere is no such page.\n")
    titles = {target: _title(text) for target, (_, text) in texts.items()}
    files = {
        target: _page(text, source=source, titles=titles, targets=sources).encode()
        for target, (source, text) in texts.items()
    }
    return files | {"style.css": _STYLE.read_bytes(), OPENAPI: msgspec.json.format(msgspec.json.encode(description))}


def _description() -> dict[str, Any]:
    """The vector store's, with the address under which prod answers."""
    domain = load("prod").domain
    return {**document(OPERATIONS), "servers": [{"url": f"https://api.{domain}"}]}


def _api(description: Mapping[str, Any]) -> str:
    """A page with a row for each operation."""
    rows = [
        f"| {method.upper()} | `{path}` | {operation['summary']} |"
        for path, operations in description["paths"].items()
        for method, operation in operations.items()
    ]
    table = "\n".join(["| | path | |", "|---|---|---|", *rows])
    return f"# Vector API\n\nRequests and answers are described in [OpenAPI 3.1](/{OPENAPI}).\n\n{table}\n"


def _title(text: str) -> str:
    return text.partition("\n")[0].removeprefix("# ")


def _page(text: str, *, source: str, titles: Mapping[str, str], targets: Mapping[str, str]) -> str:
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(re.sub(r"<!--.*?-->\n?", "", text))
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "heading_open" and following is not None:
            token.attrSet("id", slug(following.content))
        _lead(token.children or [], source, targets)
    navigation = " ".join(
        f'<a href="/{target}">{html.escape(title.partition(" — ")[0].partition(":")[0])}</a>'
        for target, title in titles.items()
        if target != "404.html"
    )
    content = markdown.renderer.render(tokens, markdown.options, {})
    return _SHELL.format(title=html.escape(_title(text)), navigation=navigation, content=content)


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def _lead(tokens: list[Token], source: str, targets: Mapping[str, str]) -> None:
    """Links lead to the site's pages; what the site does not have is not linked."""
    dead = False
    for token in tokens:
        if token.type == "link_open":
            target, mark, anchor = str(token.attrGet("href")).partition("#")
            if target and not re.match(r"[a-z]+:|/", target):
                page = targets.get(_below(source, target))
                dead = page is None
                token.attrSet("href", f"/{page}{mark}{anchor}")
                token.hidden = dead
        elif token.type == "link_close":
            token.hidden, dead = dead, False


def _below(source: str, target: str) -> str:
    """``docs/b.md`` of ``b.md`` or ``../docs/b.md`` in ``docs/a.md``."""
    parts: list[str] = []
    for part in (PurePosixPath(source).parent / target).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)
