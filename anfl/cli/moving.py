"""``anfl collections move``: to another engine, while others read and write."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from anfl.cli.errors import CliError, ExitCode
from anfl.cli.options import Endpoint, Json, Role, Token
from anfl.cli.output import console, errors, print_json
from anfl.cli.target import resolve
from anfl.client import Client
from anfl.vectors.moving.records import Stage
from anfl.vectors.moving.requests import Moved
from anfl.wording import counted

_SAYS = {
    Stage.COPYING: "copy",
    Stage.FOLLOWING: "copy what is written meanwhile",
    Stage.PAUSED: "writers wait: copy the rest, compare",
    Stage.SWITCHING: "switch",
    Stage.DONE: "done",
}


def move(
    name: Annotated[str, typer.Argument(help="The alias by which the collection is called.")],
    *,
    engine: Annotated[str | None, typer.Option(help="Where to: hnsw or dynamodb.")] = None,
    to: Annotated[
        str | None, typer.Option(metavar="NEW_NAME", help="Of the new collection. [default: NAME-ENGINE]")
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Give up a move that has not switched yet.")] = False,
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Move what the alias NAME stands for to another engine. Whatever ends it, the same command goes on."""
    if undo == (engine is not None):
        raise CliError("Give either --engine, or --undo.", exit_code=ExitCode.USAGE)
    with resolve(endpoint, token, role=role).connect() as client:
        if engine is None:
            _undo(client, name, as_json=as_json)
            return
        with _interruptible(name, engine, to):
            moved = _moved(client, name, engine, to, as_json=as_json)
    if as_json:
        print_json(msgspec.to_builtins(moved))
    else:
        _tell(name, moved)


def _undo(client: Client, name: str, *, as_json: bool) -> None:
    described = client.collection(name).undo_move()
    if as_json:
        print_json(msgspec.to_builtins(described))
    else:
        console.print(f"{name} is {described.name}, and is not being moved; what was copied is deleted.")


def _moved(client: Client, name: str, engine: str, to: str | None, *, as_json: bool) -> Moved:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    collection = client.collection(name)
    with Progress(*columns, console=errors, disable=as_json) as progress:
        task = progress.add_task("begin", total=None)
        rows: list[int] = []

        def update(moved: Moved) -> None:
            if not rows:
                rows.append(collection.stats().rows)
            what = f"{_SAYS.get(moved.stage, moved.stage)}{_how_far(moved)}"
            progress.update(task, description=what, total=max(rows[0], moved.looked), completed=moved.looked)

        return collection.move(engine, to=to, watch=update)


def _how_far(moved: Moved) -> str:
    if moved.stage is Stage.COPYING:
        return f", pass {moved.passes + 1}"
    return f", {counted(moved.behind, 'batch', 'batches')} to go" if moved.behind else ""


def _tell(name: str, moved: Moved) -> None:
    if moved.collection is None:
        console.print(f"{name} is {moved.to}, which is of the engine {moved.engine} already.")
        return
    console.print(f"{name} is {moved.to} from now on, of the engine {moved.engine}: {counted(moved.looked, 'row')}.")
    again = shlex.join(["anfl", "collections", "delete", moved.collection])
    console.print(f"{moved.collection} is as it was, and takes no more writes. When you need it no longer: {again}")


@contextmanager
def _interruptible(name: str, engine: str, to: str | None) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        on = shlex.join(
            ["anfl", "collections", "move", name, "--engine", engine, *([] if to is None else ["--to", to])]
        )
        undo = shlex.join(["anfl", "collections", "move", name, "--undo"])
        detail = (
            "Interrupted. Callers read and write as before (writers within a minute, if they were waiting). "
            f"Go on with: {on}\nGive up with: {undo}"
        )
        raise CliError(detail, exit_code=ExitCode.INTERRUPTED) from None
