"""``anfl import`` and ``anfl imports``: files of any number of rows, sent, stored, watched."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from anfl.cli.errors import CliError, ExitCode, may_pass
from anfl.cli.options import Endpoint, Json, Role, Token
from anfl.cli.output import console, errors, moment, print_json, print_table
from anfl.cli.rows import count, load_array
from anfl.cli.target import resolve
from anfl.client import Client
from anfl.client.import_calls import Source, sent_bytes
from anfl.vectors.imports.model import Failure, Format, State
from anfl.vectors.imports.requests import Import, Uploads
from anfl.wording import counted

app = typer.Typer(no_args_is_help=True, help="Imports of files into collections.")

SHOWN_ERRORS = 10
ImportId = Annotated[str, typer.Argument(metavar="ID", help="Id of the import.")]
Files = Annotated[
    list[Path],
    typer.Argument(exists=True, dir_okay=False, help="A .jsonl; a .jsonl and a .npy with its values; or a .parquet."),
]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Whether to wait until every row is stored.")]


def import_files(
    collection: Annotated[str, typer.Argument(help="Name of the collection.")],
    files: Files,
    wait: Wait = True,
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Store the rows of files of any size. Rows that are wrong are named and left out; exit code 1 where some are."""
    with resolve(endpoint, token, role=role).connect() as client:
        _check(client, collection, _sources(files))
        uploads = client.imports.begin(collection, files)
        _carry_on(client, uploads, files, wait=wait, as_json=as_json)


@app.command()
def resume(
    import_id: ImportId,
    files: Files,
    wait: Wait = True,
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Go on with an import whose files were not sent to their end."""
    with resolve(endpoint, token, role=role).connect() as client:
        _sources(files)
        uploads = client.imports.missing(import_id)
        _carry_on(client, uploads, files, wait=wait, as_json=as_json)


@app.command("list")
def list_imports(
    collection: Annotated[str | None, typer.Option(help="Only those into this collection.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 20,
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """List the imports of your tenant."""
    with resolve(endpoint, token, role=role).connect() as client:
        found = [each for each, _ in zip(client.imports.list(collection), range(limit), strict=False)]
    if as_json:
        print_json({"imports": msgspec.to_builtins(found)})
        return
    rows = [msgspec.structs.asdict(each) | {"created": moment(each.created_at)} for each in found]
    print_table(rows, ["id", "collection", "state", "stored", "refused", "rows", "created"], empty="No imports yet.")


@app.command()
def show(
    import_id: ImportId, endpoint: Endpoint = None, token: Token = None, role: Role = None, as_json: Json = False
) -> None:
    """How far an import is, and what was wrong with its rows."""
    with resolve(endpoint, token, role=role).connect() as client:
        found = client.imports.show(import_id)
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        _tell(found)


@app.command()
def watch(
    import_id: ImportId, endpoint: Endpoint = None, token: Token = None, role: Role = None, as_json: Json = False
) -> None:
    """Wait until an import is over; exit code 1 where it failed, or rows were refused."""
    with resolve(endpoint, token, role=role).connect() as client:
        _end(_watched(client, import_id, as_json=as_json), as_json=as_json)


@app.command()
def redrive(
    import_id: ImportId,
    wait: Wait = True,
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Try what is not done of an import once more, for example one that failed."""
    with resolve(endpoint, token, role=role).connect() as client:
        _follow(client, client.imports.redrive(import_id), wait=wait, as_json=as_json)


@app.command()
def cancel(
    import_id: ImportId, endpoint: Endpoint = None, token: Token = None, role: Role = None, as_json: Json = False
) -> None:
    """Store nothing more of an import; what is stored stays, and chunks that are under way may still be."""
    with resolve(endpoint, token, role=role).connect() as client:
        found = client.imports.cancel(import_id)
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        console.print(f"Cancelled {found.id}; {counted(found.stored, 'row')} of it stored so far.")


def _sources(files: Sequence[Path]) -> list[Source]:
    try:
        return [Source.of(path) for path in files]
    except ValueError as error:
        raise CliError(f"{error}.", exit_code=ExitCode.USAGE) from error


def _check(client: Client, collection: str, sources: Sequence[Source]) -> None:
    """Refuse before anything is sent what would be refused afterwards."""
    by_format = {source.format: source.path for source in sources}
    if Format.NPY not in by_format or Format.JSONL not in by_format:
        return
    array = load_array(by_format[Format.NPY], dimensions=2)
    dimension = client.collection(collection).describe().dimension
    if array.shape[1] != dimension:
        wrong = f"{by_format[Format.NPY]} has rows of {array.shape[1]} numbers; {collection} takes {dimension}."
        raise CliError(wrong, exit_code=ExitCode.USAGE)
    lines = count(by_format[Format.JSONL])
    if lines != len(array):
        wrong = f"{by_format[Format.NPY]} has {counted(len(array), 'row')}, {by_format[Format.JSONL]} has {lines}."
        raise CliError(wrong, exit_code=ExitCode.USAGE)


def _carry_on(client: Client, uploads: Uploads, files: Sequence[Path], *, wait: bool, as_json: bool) -> None:
    again = shlex.join(["anfl", "imports", "resume", uploads.id, *map(str, files)])
    with _resumable(f"Import {uploads.id} waits for the rest of its files for a week. Go on with: {again}"):
        try:
            _send(client, uploads, files, as_json=as_json)
        except (ValueError, OSError) as error:
            raise CliError(f"{error}.", exit_code=ExitCode.USAGE) from error
        started = client.imports.start(uploads.id)
    _follow(client, started, wait=wait, as_json=as_json)


def _send(client: Client, uploads: Uploads, files: Sequence[Path], *, as_json: bool) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, disable=as_json) as progress:
        total = sum(file.bytes for file in uploads.files)
        task = progress.add_task("send", total=total, completed=sent_bytes(uploads))
        client.imports.send(uploads, files, sent=lambda done: progress.update(task, completed=done))


def _follow(client: Client, started: Import, *, wait: bool, as_json: bool) -> None:
    if wait:
        _end(_watched(client, started.id, as_json=as_json), as_json=as_json)
    elif as_json:
        print_json(msgspec.to_builtins(started))
    else:
        console.print(f"Import {started.id} runs. Watch it with: anfl imports watch {started.id}")


def _watched(client: Client, import_id: str, *, as_json: bool) -> Import:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    again = f"Import {import_id} goes on by itself. Watch it with: anfl imports watch {import_id}"
    with _resumable(again), Progress(*columns, console=errors, disable=as_json) as progress:
        task = progress.add_task("look through the files", total=None)

        def update(shown: Import) -> None:
            doing = "look through the files" if shown.rows is None else "store"
            waits = "" if shown.waiting is None else f", waits: {shown.waiting.code.replace('_', ' ')}"
            progress.update(task, description=doing + waits, total=shown.rows, completed=shown.stored + shown.refused)

        return client.imports.wait(import_id, watch=update)


@contextmanager
def _resumable(advice: str) -> Iterator[None]:
    """Say how to go on after an interruption, or an error that may pass."""
    try:
        yield
    except KeyboardInterrupt:
        raise CliError(f"Interrupted. {advice}", exit_code=ExitCode.INTERRUPTED) from None
    except Exception as error:
        if may_pass(error):
            error.add_note(advice)
        raise


def _end(ended: Import, *, as_json: bool) -> None:
    if as_json:
        print_json(msgspec.to_builtins(ended))
    else:
        _tell(ended)
    if ended.state is not State.DONE or ended.refused:
        raise typer.Exit(ExitCode.FAILED)


def _tell(found: Import) -> None:
    stored = counted(found.stored, "row") if found.rows is None else f"{found.stored} of {counted(found.rows, 'row')}"
    console.print(f"{found.id} into {found.collection}: {found.state}, {stored} stored.")
    if found.waiting is not None:
        console.print(f"It waits: {found.waiting.detail}")
    if found.failure is not None:
        console.print(
            f"It failed: {found.failure.code}: {found.failure.detail}{_place(msgspec.to_builtins(found.failure))}"
        )
        console.print(_mending(found, found.failure))
    if found.refused:
        console.print(f"{found.refused} {'row was' if found.refused == 1 else 'rows were'} refused:")
        for error in found.errors[:SHOWN_ERRORS]:
            console.print(f"  {error.detail}{_place(msgspec.to_builtins(error))}")
        if found.refused > SHOWN_ERRORS:
            more = f"anfl imports show {found.id} --json"
            console.print(f"  … {found.refused - SHOWN_ERRORS} more; the first {len(found.errors)}: {more}")


def _mending(found: Import, failure: Failure) -> str:
    if not failure.final:
        return f"Once that is mended: anfl imports redrive {found.id}"
    again = shlex.join(["anfl", "import", found.collection]) + " FILES"
    if failure.field is not None and failure.field.startswith("files["):
        return f"Another attempt would read the same: correct the file, and import it anew: {again}"
    return f"Another attempt would come to the same. Begin a new import: {again}"


def _place(members: dict[str, Any]) -> str:
    named = [f"{name} {members[name]}" for name in ("row", "field") if members.get(name) is not None]
    return f" ({', '.join(named)})" if named else ""
