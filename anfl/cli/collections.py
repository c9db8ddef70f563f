"""``anfl collections``: create, list, show, update, delete; aliases and snapshots."""

from typing import Annotated, Any
from urllib.parse import quote

import msgspec
import typer

from anfl.cli import moving, naming
from anfl.cli.errors import CliError, ExitCode
from anfl.cli.given import parse_json
from anfl.cli.options import Endpoint, Json, Role, Token
from anfl.cli.output import console, errors, moment, print_json, print_table
from anfl.cli.target import resolve
from anfl.client.calls import is_building
from anfl.vectors.requests import Described
from anfl.wording import counted

app = typer.Typer(no_args_is_help=True, help="Collections of vectors.")
app.add_typer(naming.aliases, name="alias")
app.add_typer(naming.snapshots, name="snapshots")
app.command()(naming.restore)
app.command()(moving.move)

Name = Annotated[str, typer.Argument(help="Name of the collection.")]


@app.command()
def create(
    name: Name,
    *,
    dimension: Annotated[int, typer.Option(min=1, max=4096, help="Length of every vector.")],
    metric: Annotated[str, typer.Option(help="cosine, l2 or ip.")] = "cosine",
    fields: Annotated[
        str | None, typer.Option(help='Typed metadata as JSON, for example \'{"price": "number"}\'.')
    ] = None,
    m: Annotated[int | None, typer.Option("--m", help="HNSW: links a row.")] = None,
    ef_construction: Annotated[int | None, typer.Option(help="HNSW: candidates while building.")] = None,
    ef_search: Annotated[int | None, typer.Option(help="HNSW: candidates while searching.")] = None,
    engine: Annotated[str | None, typer.Option(help="hnsw (in a node's memory) or dynamodb (in a class).")] = None,
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Create a collection."""
    body: dict[str, Any] = {"name": name, "dimension": dimension, "metric": metric}
    index = {"m": m, "ef_construction": ef_construction, "ef_search": ef_search}
    if given := {key: value for key, value in index.items() if value is not None}:
        body["index"] = given
    if fields is not None:
        body["fields"] = parse_json(fields, "--fields")
    if engine is not None:
        body["engine"] = engine
    with resolve(endpoint, token, role=role).connect() as client:
        answer = client.json("POST", "/v1/collections", body=body, repeatable=True)
    if as_json:
        print_json(answer)
    else:
        console.print(f"Created {name}: {dimension} dimensions, {metric}.")


@app.command("list")
def list_collections(endpoint: Endpoint = None, token: Token = None, role: Role = None, as_json: Json = False) -> None:
    """List the collections of your tenant."""
    with resolve(endpoint, token, role=role).connect() as client:
        found = msgspec.to_builtins(client.collections())
    if as_json:
        print_json({"collections": found})
    else:
        print_table(found, ["name", "dimension", "metric"], empty="No collections yet.")


@app.command()
def show(name: Name, endpoint: Endpoint = None, token: Token = None, role: Role = None, as_json: Json = False) -> None:
    """Settings and size of a collection."""
    with resolve(endpoint, token, role=role).connect() as client:
        settings = client.json("GET", path_of(name))
        stats = client.json("GET", f"{path_of(name)}/stats")
    if as_json:
        print_json({"collection": settings, "stats": stats})
    else:
        shown = {**settings, **stats, "created_at": moment(settings["created_at"])}
        rows = [{"property": key, "value": value} for key, value in shown.items()]
        print_table(rows, ["property", "value"], empty="")


@app.command()
def update(
    name: Name,
    *,
    field: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=TYPE", help="Declare a field: string, number, boolean or string[]. Repeatable."),
    ] = None,
    drop_field: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Declare a field no more. Repeatable.")
    ] = None,
    ef_search: Annotated[int | None, typer.Option(help="HNSW: candidates while searching.")] = None,
    wait: Annotated[bool, typer.Option(help="Wait until filters can name the fields.")] = True,
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Change settings. Fields can be declared for rows that are there; refused where these contradict."""
    added, dropped = _types(field or []), set(drop_field or [])
    if not (added or dropped or ef_search is not None):
        raise CliError("Say what is to change: --field, --drop-field or --ef-search.", exit_code=ExitCode.USAGE)
    with resolve(endpoint, token, role=role).connect() as client:
        collection = client.collection(name)
        fields = None
        if added or dropped:
            before = collection.describe()
            pending = {each: field.type for each, field in before.pending_fields.items() if field.state == "building"}
            known = {each: str(declared) for each, declared in {**before.fields, **pending}.items()}
            if absent := dropped - known.keys():
                raise CliError(f"{name} declares no field {', '.join(sorted(absent))}.", exit_code=ExitCode.USAGE)
            fields = {each: declared for each, declared in known.items() if each not in dropped} | added
        described = collection.update(ef_search=ef_search, fields=fields)
        if wait and is_building(described):
            with errors.status("Looking through the rows …"):
                described = collection.wait()
    if as_json:
        print_json(msgspec.to_builtins(described))
    else:
        _tell(described)


@app.command()
def delete(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Delete a collection with everything in it, and its aliases."""
    if not yes and not typer.confirm(f"Delete {name}, all its vectors and its aliases?", err=True):
        raise CliError("Nothing was deleted.", exit_code=ExitCode.FAILED)
    with resolve(endpoint, token, role=role).connect() as client:
        client.collection(name).delete_collection()
    if as_json:
        print_json({"deleted": name})
    else:
        console.print(f"Deleted {name}.")


def _types(fields: list[str]) -> dict[str, str]:
    """By name, of ``NAME=TYPE``."""
    types = {}
    for given in fields:
        name, separator, declared = given.rpartition("=")
        if not separator:
            raise CliError(f"--field {given}: NAME=TYPE, for example price=number.", exit_code=ExitCode.USAGE)
        types[name] = declared
    return types


def _tell(described: Described) -> None:
    fields = ", ".join(f"{name} ({declared})" for name, declared in described.fields.items()) or "none"
    search = "" if described.index is None else f"ef_search {described.index.ef_search}; "
    console.print(f"{described.name}: {search}fields: {fields}.")
    for name, pending in described.pending_fields.items():
        if pending.state == "building":
            console.print(f"  {name} ({pending.type}) cannot be filtered by yet: its rows are being looked through.")
        else:
            rows = counted(pending.contradicting_rows or 0, "row")
            console.print(f"  {name} is no {pending.type} in {rows}, so it is not declared.")


def path_of(name: str) -> str:
    """The API's path of a collection; whatever the name holds, it stays one segment."""
    return f"/v1/collections/{quote(name, safe='', errors='replace')}"
