"""``anfl models policies``: what a version must have before an alias may name it."""

from typing import Annotated
from urllib.parse import quote

import typer

from anfl.cli.options import Endpoint, Json, Role, Token
from anfl.cli.output import console, print_json, print_table
from anfl.cli.target import resolve

app = typer.Typer(no_args_is_help=True, help="Policies of aliases.")

Alias = Annotated[str, typer.Argument(help="The alias, for example prod.")]
_PATH = "/v1/models-policies"


@app.command("list")
def list_policies(endpoint: Endpoint = None, token: Token = None, role: Role = None, as_json: Json = False) -> None:
    """The deployment's policies and the tenant's own."""
    with resolve(endpoint, token, role=role).connect() as client:
        answer = client.json("GET", _PATH)
    if as_json:
        print_json(answer)
        return
    rows = [{**one, "require": ", ".join(one["require"])} for one in answer["policies"]]
    print_table(rows, ["alias", "require", "approvals", "origin"], empty="Every version may have every alias.")


@app.command("set")
def set_policy(
    alias: Alias,
    require: Annotated[list[str], typer.Option(help="validated, signed or approved; may be repeated.")],
    approvals: Annotated[int, typer.Option(min=1, max=5, help="How many people must approve.")] = 2,
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Set the tenant's own policy for an alias."""
    body = {"require": require, "approvals": approvals}
    with resolve(endpoint, token, role=role).connect() as client:
        answer = client.json("PUT", f"{_PATH}/{quote(alias, safe='')}", body=body, repeatable=True)
    if as_json:
        print_json(answer)
    else:
        console.print(f"{alias} takes: {', '.join(answer['require'])}.")


@app.command()
def delete(
    alias: Alias, endpoint: Endpoint = None, token: Token = None, role: Role = None, as_json: Json = False
) -> None:
    """Remove the tenant's own policy; the deployment's, where there is one, applies again."""
    with resolve(endpoint, token, role=role).connect() as client:
        client.send("DELETE", f"{_PATH}/{quote(alias, safe='')}")
    if as_json:
        print_json({"alias": alias})
    else:
        console.print(f"The tenant has no policy of its own for {alias}.")
