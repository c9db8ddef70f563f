"""``anfl collections alias``, ``snapshots`` and ``restore``: further names, and states that are kept under one."""

from typing import Annotated

import msgspec
import typer

from anfl.cli.errors import CliError, ExitCode
from anfl.cli.options import Endpoint, Json, Role, Token
from anfl.cli.output import console, moment, print_json, print_table
from anfl.cli.target import resolve
from anfl.client.calls import CollectionCalls
from anfl.wording import counted

aliases = typer.Typer(no_args_is_help=True, help="Further names of collections.")
snapshots = typer.Typer(no_args_is_help=True, help="States of a collection, kept under names.")

Collection = Annotated[str, typer.Argument(help="Name of the collection.")]
Alias = Annotated[str, typer.Argument(help="The further name.")]
Snapshot = Annotated[str, typer.Argument(help="Name of the snapshot.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@aliases.command("set")
def set_alias(
    alias: Alias,
    collection: Collection,
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Let ALIAS stand for COLLECTION, at once, whatever it stood for before."""
    with resolve(endpoint, token, role=role).connect() as client:
        made = client.set_alias(alias, collection)
    if as_json:
        print_json(msgspec.to_builtins(made))
    else:
        console.print(f"{alias} is {collection}.")


@aliases.command("list")
def list_aliases(endpoint: Endpoint = None, token: Token = None, role: Role = None, as_json: Json = False) -> None:
    """List the aliases of your tenant."""
    with resolve(endpoint, token, role=role).connect() as client:
        found = msgspec.to_builtins(client.aliases())
    if as_json:
        print_json({"aliases": found})
    else:
        print_table(found, ["alias", "collection"], empty="No aliases yet.")


@aliases.command("delete")
def delete_alias(
    alias: Alias, endpoint: Endpoint = None, token: Token = None, role: Role = None, as_json: Json = False
) -> None:
    """Let ALIAS stand for nothing; the collection stays."""
    with resolve(endpoint, token, role=role).connect() as client:
        client.delete_alias(alias)
    _tell_deleted(alias, as_json=as_json)


@snapshots.command("create")
def create_snapshot(
    collection: Collection,
    snapshot: Snapshot,
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Keep the present state of COLLECTION under the name SNAPSHOT."""
    with resolve(endpoint, token, role=role).connect() as client:
        made = client.collection(collection).create_snapshot(snapshot)
    if as_json:
        print_json(msgspec.to_builtins(made))
    else:
        console.print(f"Kept {counted(made.rows, 'row')} of {collection} as {snapshot} (position {made.sequence}).")


@snapshots.command("list")
def list_snapshots(
    collection: Collection, endpoint: Endpoint = None, token: Token = None, role: Role = None, as_json: Json = False
) -> None:
    """List the named snapshots of COLLECTION."""
    with resolve(endpoint, token, role=role).connect() as client:
        pages = list(client.pages(CollectionCalls(collection).snapshots))
    found = [each for page in pages for each in page.snapshots]
    damaged = [name for page in pages for name in page.damaged]
    if as_json:
        print_json({"snapshots": msgspec.to_builtins(found)} | ({"damaged": damaged} if damaged else {}))
        return
    rows = [msgspec.to_builtins(each) | {"created": moment(each.created_at)} for each in found]
    rows += [{"name": name, "created": "damaged"} for name in damaged]
    print_table(rows, ["name", "rows", "bytes", "sequence", "created"], empty="No named snapshots yet.")


@snapshots.command("delete")
def delete_snapshot(
    collection: Collection,
    snapshot: Snapshot,
    yes: Yes = False,
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Forget a named snapshot of COLLECTION."""
    if not yes and not typer.confirm(f"Delete snapshot {snapshot} of {collection}?", err=True):
        raise CliError("Nothing was deleted.", exit_code=ExitCode.FAILED)
    with resolve(endpoint, token, role=role).connect() as client:
        client.collection(collection).delete_snapshot(snapshot)
    _tell_deleted(snapshot, as_json=as_json)


def restore(
    collection: Collection,
    snapshot: Snapshot,
    into: Annotated[str, typer.Argument(help="Name of the new collection.")],
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Make the new collection INTO from a named snapshot of COLLECTION."""
    with resolve(endpoint, token, role=role).connect() as client:
        client.collection(collection).restore(snapshot, into)
    if as_json:
        print_json({"restored": into})
    else:
        console.print(f"{into} is {collection} as it was in {snapshot}.")


def _tell_deleted(name: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"deleted": name})
    else:
        console.print(f"Deleted {name}.")
