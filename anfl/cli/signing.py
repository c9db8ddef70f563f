"""``anfl models signatures`` and ``keys``: what the registry knows of signatures, and of whose it believes."""

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from anfl.cli.options import Endpoint, Json, Role, Token
from anfl.cli.output import console, print_json, print_table
from anfl.cli.target import resolve

keys = typer.Typer(no_args_is_help=True, help="Public keys whose signatures are believed.")
signatures = typer.Typer(no_args_is_help=True, help="Signatures of versions.")

Name = Annotated[str, typer.Argument(help="Name of the model.")]
Version = Annotated[str, typer.Argument(help="Version number.")]
_KEYS = "/v1/models-keys"


@signatures.command("add")
def add_signature(
    name: Name,
    version: Version,
    signature: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The file that `sign` wrote.")],
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Register a signature; refused where no registered key signed exactly this version's files."""
    body = {"bundle": signature.read_text(encoding="utf-8", errors="replace")}
    with resolve(endpoint, token, role=role).connect() as client:
        answer = client.json("POST", _of(name, version), body=body)
    if as_json:
        print_json(answer)
    else:
        console.print(f"{name} version {version} is signed by {answer['key_name']}.")


@signatures.command("list")
def list_signatures(
    name: Name,
    version: Version,
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """A version's signatures, each verified again."""
    with resolve(endpoint, token, role=role).connect() as client:
        answer = client.json("GET", _of(name, version))
    if as_json:
        print_json(answer)
        return
    print_table(answer["signatures"], ["key_name", "valid", "added_by", "key"], empty="No signatures yet.")


@keys.command("add")
def add_key(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    key: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Public key (P-256, P-384, P-521; PEM).")],
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Believe signatures of a key from now on."""
    body = {"name": name, "public_key": key.read_text(encoding="utf-8", errors="replace")}
    with resolve(endpoint, token, role=role).connect() as client:
        answer = client.json("POST", _KEYS, body=body, repeatable=True)
    if as_json:
        print_json(answer)
    else:
        console.print(f"Signatures of {answer['name']} are believed; id {answer['id']}")


@keys.command("list")
def list_keys(endpoint: Endpoint = None, token: Token = None, role: Role = None, as_json: Json = False) -> None:
    """Keys whose signatures are believed."""
    with resolve(endpoint, token, role=role).connect() as client:
        answer = client.json("GET", _KEYS)
    if as_json:
        print_json(answer)
    else:
        print_table(answer["keys"], ["name", "id", "added_by"], empty="No keys yet.")


@keys.command("remove")
def remove_key(
    key: Annotated[str, typer.Argument(help="Id of the key, as `list` prints it.")],
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Believe a key's signatures no more."""
    with resolve(endpoint, token, role=role).connect() as client:
        client.send("DELETE", f"{_KEYS}/{quote(key, safe='')}")
    if as_json:
        print_json({"key": key})
    else:
        console.print(f"Signatures of {key} are believed no more.")


def _of(name: str, version: str) -> str:
    return f"/v1/models/{quote(name, safe='')}/versions/{quote(version, safe='')}/signatures"
