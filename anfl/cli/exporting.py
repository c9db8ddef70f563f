"""``anfl export``: every row of a collection, as JSON lines that ``anfl import`` takes."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from anfl.cli.collections import path_of
from anfl.cli.errors import CliError, ExitCode
from anfl.cli.given import parse_json
from anfl.cli.options import Endpoint, Json, Role, Token
from anfl.cli.output import console, errors, print_json
from anfl.cli.target import resolve
from anfl.client import Client
from anfl.client.connection import reading
from anfl.vectors.requests import MAX_ROWS
from anfl.wording import counted

_TEXT = "-"


class _Page(msgspec.Struct):
    """Rows as they came."""

    vectors: list[msgspec.Raw]
    cursor: str | None = None


_pages = msgspec.json.Decoder(_Page)


def export(
    collection: Annotated[str, typer.Argument(help="Name of the collection.")],
    file: Annotated[str, typer.Argument(help="Where to write JSON lines; - for standard output.")],
    where: Annotated[str | None, typer.Option(help='Metadata filter as JSON, for example \'{"pos": "noun"}\'.')] = None,
    packed: Annotated[bool, typer.Option("--packed", help="Values as base64 of float32: smaller, bit by bit.")] = False,
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Write every row of a collection to a file, which appears whole or not at all; or to a device or a pipe."""
    if where is not None:
        parse_json(where, "--where")
    if file == _TEXT and as_json:
        raise CliError("Standard output takes the rows or --json, not both.", exit_code=ExitCode.USAGE)
    params = {"values_format": "f32" if packed else "list"} | ({} if where is None else {"filter": where})
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        resolve(endpoint, token, role=role).connect() as client,
        Progress(*columns, console=errors, disable=as_json or file == _TEXT) as progress,
        _target(file) as out,
    ):
        total = None if where is not None else client.collection(collection).count()
        task = progress.add_task(f"export {collection}", total=total)
        rows = _copy(client, collection, params, out, lambda done: progress.update(task, completed=done))
    if as_json:
        print_json({"rows": rows, "file": file})
    elif file != _TEXT:
        console.print(f"{counted(rows, 'row')} of {collection} written to {file}.")


def _copy(
    client: Client, collection: str, params: dict[str, str], out: BinaryIO, progress: Callable[[int], None]
) -> int:
    """Write page after page, since API Gateway passes no large answer on; returns how many rows they had."""
    asked, rows = params | {"include": "values,metadata", "limit": str(MAX_ROWS)}, 0
    while True:
        response = client.send("GET", f"{path_of(collection)}/vectors", params=asked)
        with reading(client.endpoint, response):
            page = _pages.decode(response.content)
        for row in page.vectors:
            out.write(row)
            out.write(b"\n")
        rows += len(page.vectors)
        progress(rows)
        if page.cursor is None:
            return rows
        asked["cursor"] = page.cursor


@contextmanager
def _target(file: str) -> Iterator[BinaryIO]:
    if file == _TEXT:
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    path = Path(file)
    try:
        if path.exists() and not path.is_file():  # a folder cannot be opened, and nothing else is replaced
            with path.open("wb") as out:
                yield out
        else:
            with _whole(path.resolve()) as out:
                yield out
    except OSError as error:
        raise CliError(f"{file} cannot be written: {error.strerror or error}.") from error


@contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    partial = path.with_name(f"{path.name}.part")
    try:
        with partial.open("wb") as out:
            yield out
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
