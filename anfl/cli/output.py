"""What commands print: tables for people, JSON for scripts."""

import json
import sys
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

console = Console(highlight=False, markup=False, soft_wrap=not sys.stdout.isatty())
errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=not sys.stderr.isatty())


def print_json(document: object) -> None:
    """``document`` as indented JSON on standard output, without colours."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def print_table(rows: Sequence[Mapping[str, object]], columns: Sequence[str], *, empty: str) -> None:
    """``rows`` as a table; ``empty`` where there are none."""
    if not rows:
        console.print(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    console.print(table)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
