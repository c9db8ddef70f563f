"""What commands print: tables for people, JSON for scripts."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

console = Console(highlight=False, markup=False, soft_wrap=not sys.stdout.isatty())
errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=not sys.stderr.isatty())


def moment(seconds: float) -> str:
    """Seconds since the epoch as a date and a time of UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="seconds")


def print_json(document: object) -> None:
    """``document`` as indented JSON on standard output, without colours."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


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
    flat = [[" ".join(cell.split()) for cell in line] for line in lines]
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
