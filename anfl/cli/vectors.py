"""``anfl vectors``: upsert, query, fetch, delete."""

import json
import uuid
from pathlib import Path
from time import sleep
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from anfl.cli.collections import path_of
from anfl.cli.errors import CliError, ExitCode
from anfl.cli.given import parse_json, read_text
from anfl.cli.options import Endpoint, Json, Role, Token
from anfl.cli.output import console, errors, print_json, print_table
from anfl.cli.rows import count, load_array
from anfl.cli.rows import rows as read_rows
from anfl.cli.target import resolve
from anfl.client import Client
from anfl.wording import counted

app = typer.Typer(no_args_is_help=True, help="Vectors of a collection.")

Collection = Annotated[str, typer.Argument(help="Name of the collection.")]

WAIT_SECONDS = 1.0
"""Between looks at a deletion."""


@app.command()
def upsert(
    collection: Collection,
    rows: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help='JSON lines: {"id", "values"?, "metadata"?} each.')
    ],
    values: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A .npy array (n × dimension) with line i's values in row i."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=1000, help="Rows a request.")] = 500,
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Store rows from a file. Rows with an id that exists are replaced."""
    array = None if values is None else load_array(values, dimensions=2)
    total = count(rows)
    if array is not None and len(array) != total:
        raise CliError(f"{values} has {counted(len(array), 'row')}, {rows} has {total}.", exit_code=ExitCode.USAGE)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        resolve(endpoint, token, role=role).connect() as client,
        Progress(*columns, console=errors, disable=as_json) as progress,
    ):
        task = progress.add_task(f"upsert into {collection}", total=total)
        client.collection(collection).load(
            read_rows(rows, array), batch_rows=batch, progress=lambda done: progress.update(task, completed=done)
        )
        position = client.session.position(collection)
    if as_json:
        print_json({"upserted": total, "sequence": position})
    else:
        console.print(f"Stored {counted(total, 'row')} (position {position})." if total else f"{rows} holds no rows.")


@app.command()
def query(
    collection: Collection,
    *,
    id_: Annotated[str | None, typer.Option("--id", help="Search around the row with this id.")] = None,
    like: Annotated[
        str | None, typer.Option(help="Search around the first row with FIELD=VALUE in its metadata.")
    ] = None,
    vector: Annotated[str | None, typer.Option(help="JSON list of numbers, or @file (.json or .npy).")] = None,
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="How many matches.")] = 10,
    where: Annotated[str | None, typer.Option(help='Metadata filter as JSON, for example \'{"pos": "noun"}\'.')] = None,
    show: Annotated[str | None, typer.Option(help="Metadata fields to print, separated by commas.")] = None,
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Find the nearest rows, nearest first."""
    if sum(choice is not None for choice in (id_, like, vector)) != 1:
        raise CliError("Give exactly one of --id, --like and --vector.", exit_code=ExitCode.USAGE)
    body: dict[str, Any] = {"k": k, "include": ["metadata"]}
    if where is not None:
        body["filter"] = parse_json(where, "--where")
    with resolve(endpoint, token, role=role).connect() as client:
        if vector is not None:
            body["vector"] = _read_vector(vector)
        else:
            body["id"] = id_ if id_ is not None else _find(client, collection, like or "")
        answer = client.json("POST", f"{path_of(collection)}/query", body=body, repeatable=True)
    if as_json:
        print_json(answer)
        return
    matches = answer["matches"]
    fields = show.split(",") if show else _shared_fields(matches)
    table = [{"distance": match["distance"], "id": match["id"], **(match.get("metadata") or {})} for match in matches]
    print_table(table, ["distance", "id", *fields], empty="No matches.")


@app.command()
def fetch(
    collection: Collection,
    ids: Annotated[list[str], typer.Argument(help="Ids of rows.")],
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Get rows by id, with values and metadata."""
    with resolve(endpoint, token, role=role).connect() as client:
        answer = client.json("POST", f"{path_of(collection)}/vectors/fetch", body={"ids": ids}, repeatable=True)
    if as_json:
        print_json(answer)
        return
    rows = [
        {"id": row["id"], "metadata": row.get("metadata"), "values": _shorten(row.get("values"))}
        for row in answer["vectors"]
    ]
    print_table(rows, ["id", "metadata", "values"], empty="None of these ids exists.")


@app.command()
def delete(
    collection: Collection,
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of rows.")] = None,
    where: Annotated[str | None, typer.Option(help="Delete what matches this filter (JSON) instead.")] = None,
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Delete rows by id or by filter. Where that takes its time, the command waits for it."""
    if bool(ids) == (where is not None):
        raise CliError("Give either ids or --where.", exit_code=ExitCode.USAGE)
    doomed = {"ids": ids, "atomic": False} if ids else {"filter": parse_json(where or "", "--where")}
    body = doomed | {"request_id": uuid.uuid4().hex}  # it is sent again where an answer gets lost
    with resolve(endpoint, token, role=role).connect() as client:
        answer = client.json("POST", f"{path_of(collection)}/vectors/delete", body=body, repeatable=True)
        while answer.get("state") == "RUNNING":
            sleep(WAIT_SECONDS)
            answer = client.json("GET", f"{path_of(collection)}/deletions/{answer['id']}", repeatable=True)
    if answer.get("state") == "FAILED":
        reason = f"Deletion {answer['id']} failed after {counted(answer['deleted'], 'row')}: {answer['reason']}"
        raise CliError(reason, exit_code=ExitCode.FAILED)
    if as_json:
        print_json(answer)
    else:
        told = f" (position {answer['sequence']})" if "sequence" in answer else ""
        console.print(f"Deleted {counted(answer['deleted'], 'row')}{told}.")


def _read_vector(text: str) -> object:
    if not text.startswith("@"):
        return parse_json(text, "--vector")
    path = Path(text[1:])
    if path.suffix == ".npy" and path.is_file():
        return load_array(path).ravel().tolist()
    return parse_json(read_text(path, "--vector"), f"--vector {path}")


def _find(client: Client, collection: str, condition: str) -> str:
    """The id of the first row whose metadata has ``FIELD=VALUE``."""
    field, separator, value = condition.partition("=")
    if not separator or not field:
        raise CliError("--like takes FIELD=VALUE, for example word=river.", exit_code=ExitCode.USAGE)
    parameters = {"limit": 1, "filter": json.dumps({field: value})}
    rows = client.json("GET", f"{path_of(collection)}/vectors", params=parameters)["vectors"]
    if not rows:
        raise CliError(f"No row of {collection} has {field}={value}.", exit_code=ExitCode.NOT_FOUND)
    return str(rows[0]["id"])


def _shared_fields(matches: list[dict[str, Any]]) -> list[str]:
    """Metadata fields in the order in which they first appear."""
    return list(dict.fromkeys(field for match in matches for field in (match.get("metadata") or {})))


def _shorten(values: object) -> object:
    return [*values[:4], "…"] if isinstance(values, list) and len(values) > 4 else values
