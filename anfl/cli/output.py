"""What commands print: tables for people, JSON for scripts."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import IO, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_CONTROLS = [code for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"]
_ESCAPED = {code: f"\\u{code:04x}" for code in _CONTROLS if code > 0x1F}
"""Of those that JSON allows as they are."""
_SHOWN = {code: f"\\x{code:02x}" for code in _CONTROLS}


class _Console(Console):
    """Shows text as it is: no markup, no names of emoji, and no control characters, which a terminal would obey,
    whoever wrote them into a row."""

    def __init__(self, stream: IO[str], *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=not stream.isatty())

    def render_str(self, text: str, **given: Any) -> Text:  # noqa: ANN401 - as the base class
        """As the base class, with control characters spelt out."""
        return super().render_str(text.translate(_SHOWN), **given)


console = _Console(sys.stdout)
errors = _Console(sys.stderr, stderr=True)


def moment(seconds: float) -> str:
    """Seconds since the epoch as a date and a time of UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="seconds")


def print_json(document: object) -> None:
    """``document`` as indented JSON on standard output, without colours."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    sys.stdout.write(text.translate(_ESCAPED) + "\n")


def print_table(rows: Sequence[Mapping[str, object]], columns: Sequence[str], *, empty: str) -> None:
    """``rows`` as a table; ``empty`` where there are none. On a terminal it fits the width; in a pipe it is whole."""
    if not rows:
        console.print(empty)
        return
    if not console.is_terminal:
        _print_plain([columns, *([_cell(row.get(column)) for column in columns] for row in rows)])
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    console.print(table)


def _print_plain(lines: Sequence[Sequence[str]]) -> None:
    """Columns of one line a row, as ``cut``, ``awk`` and ``grep`` like them."""
    flat = [[" ".join(cell.split()).translate(_SHOWN) for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*flat, strict=True)]
    for line in flat:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
