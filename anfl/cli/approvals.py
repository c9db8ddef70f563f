"""``anfl models approvals``: ask that a version may have an alias, agree, refuse."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from anfl.cli.options import Endpoint, Json, Role, Token
from anfl.cli.output import console, print_json, print_table
from anfl.cli.paging import pages
from anfl.cli.target import resolve

app = typer.Typer(no_args_is_help=True, help="Approvals of versions for aliases.")

Name = Annotated[str, typer.Argument(help="Name of the model.")]
Request = Annotated[str, typer.Argument(help="Id of the request, as `request` and `list` print it.")]
Comment = Annotated[str | None, typer.Option(help="Why.")]


@app.command()
def request(
    name: Name,
    version: Annotated[str, typer.Argument(help="Version number.")],
    alias: Annotated[str, typer.Argument(help="The alias that it shall have, for example prod.")],
    comment: Comment = None,
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Ask others to approve a version."""
    path = f"{_model(name)}/versions/{quote(version, safe='')}/approvals"
    with resolve(endpoint, token, role=role).connect() as client:
        answer = client.json("POST", path, body={"alias": alias, "comment": comment})
    _print(answer, as_json=as_json)


@app.command("list")
def list_requests(
    name: Name,
    version: Annotated[str | None, typer.Option(help="Only of this version.")] = None,
    status: Annotated[str | None, typer.Option(help="PENDING, APPROVED, REJECTED or WITHDRAWN.")] = None,
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Requests of a model and what became of them."""
    parameters = {key: value for key, value in {"version": version, "status": status}.items() if value}
    with resolve(endpoint, token, role=role).connect() as client:
        found = [
            one for answer in pages(client, f"{_model(name)}/approvals", parameters) for one in answer["approvals"]
        ]
    if as_json:
        print_json({"approvals": found})
        return
    rows = [
        {
            **{key: one[key] for key in ("id", "version", "alias", "status")},
            "asked by": one["requested"]["by"],
            "approved by": ", ".join(given["by"] for given in one["approvals"]),
            "comment": one["requested"].get("comment"),
        }
        for one in found
    ]
    columns = ["id", "version", "alias", "status", "asked by", "approved by", "comment"]
    print_table(rows, columns, empty="Nothing was asked yet.")


def _decision(step: str, about: str) -> None:
    """Add the command ``step``, which takes a decision on a request."""

    def decide(
        name: Name,
        approval: Request,
        comment: Comment = None,
        endpoint: Endpoint = None,
        token: Token = None,
        role: Role = None,
        as_json: Json = False,
    ) -> None:
        path = f"{_model(name)}/approvals/{quote(approval, safe='')}/{step}"
        with resolve(endpoint, token, role=role).connect() as client:
            answer = client.json("POST", path, body={"comment": comment})
        _print(answer, as_json=as_json)

    app.command(step, help=about)(decide)


_decision("approve", "Agree to what somebody else asked.")
_decision("reject", "Refuse what somebody else asked, also when it was approved.")
_decision("withdraw", "Take one's own request back.")


def _print(approval: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(approval)
        return
    people = ", ".join(given["by"] for given in approval["approvals"]) or "nobody yet"
    console.print(f"{approval['id']}: version {approval['version']} for {approval['alias']} is {approval['status']}")
    console.print(f"  asked by {approval['requested']['by']}, approved by {people}")


def _model(name: str) -> str:
    return f"/v1/models/{quote(name, safe='')}"
