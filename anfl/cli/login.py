"""``anfl login`` and ``anfl auth``: exchange a Vault credential for a token and keep it, or take it back."""

from typing import Annotated

import typer

from anfl.cli.errors import CliError, ExitCode
from anfl.cli.options import Endpoint, Json, Role, Token
from anfl.cli.output import console, print_json
from anfl.cli.target import forget_token, resolve, save_token
from anfl.client import Client


def login(
    role_id: Annotated[
        str | None, typer.Option(envvar="ANFL_ROLE_ID", help="Your AppRole's id. Asked for where absent.")
    ] = None,
    secret_id: Annotated[
        str | None, typer.Option(envvar="ANFL_SECRET_ID", help="Its secret id. Asked for where absent.")
    ] = None,
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> None:
    """Log in with a Vault AppRole; later commands to the same endpoint use the token until it expires."""
    target = resolve(endpoint, None)
    role_id = role_id or typer.prompt("AppRole role id", err=True)
    secret_id = secret_id or typer.prompt("AppRole secret id", hide_input=True, err=True)
    body = {"grant": "approle", "role_id": role_id, "secret_id": secret_id}
    with Client(target.endpoint, ca=target.ca) as client:
        answer = client.json("POST", "/v1/auth/token", body=body)
    if answer.get("token_type") != "Bearer":
        raise CliError(f"{target.endpoint} answered no bearer token; is it ANFL's API?", exit_code=ExitCode.FAILED)
    place = save_token(target, answer["access_token"], lifetime=answer["expires_in"])
    if as_json:
        print_json({"endpoint": target.endpoint, "expires_in": answer["expires_in"], "saved_in": str(place)})
    else:
        console.print(f"Logged in to {target.endpoint} for {answer['expires_in']} s (token in {place}).")


auth = typer.Typer(no_args_is_help=True, help="Tokens: whose they are, longer ones, and taking them back.")


def whoami(endpoint: Endpoint = None, token: Token = None, role: Role = None, as_json: Json = False) -> None:
    """Who the current token says you are."""
    with resolve(endpoint, token, role=role).connect() as client:
        answer = client.json("GET", "/v1/auth/whoami")
    if as_json:
        print_json(answer)
    else:
        console.print(f"{answer['subject']} of tenant {answer['tenant']}: {', '.join(answer['roles'])}")


@auth.command()
def refresh(endpoint: Endpoint = None, token: Token = None, role: Role = None, as_json: Json = False) -> None:
    """Exchange the current token for one that lives longer, and keep that; a login as a whole has an end."""
    target = resolve(endpoint, token, role=role)
    body = {"grant": "refresh", "token": target.token or ""}
    with Client(target.endpoint, ca=target.ca) as client:
        answer = client.json("POST", "/v1/auth/token", body=body)
    place = save_token(target, answer["access_token"], lifetime=answer["expires_in"])
    if as_json:
        print_json({"endpoint": target.endpoint, "expires_in": answer["expires_in"], "saved_in": str(place)})
    else:
        console.print(f"Logged in to {target.endpoint} for {answer['expires_in']} s (token in {place}).")


@auth.command()
def revoke(
    token_id: Annotated[
        str | None, typer.Argument(help="Id of another's token, as whoami or the audit log tells it. Default: yours.")
    ] = None,
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Take a token back, and every other one of the same login; again is the same as once."""
    target = resolve(endpoint, token, role=role)
    with target.connect() as client:
        answer = client.json("POST", "/v1/auth/revoke", body={} if token_id is None else {"token_id": token_id})
    if token_id is None:
        forget_token(target)
    if as_json:
        print_json(answer)
    else:
        console.print(f"{answer['token_id']} is revoked; nobody takes it any more in {answer['refused_within']} s.")


auth.command("login")(login)
auth.command("whoami")(whoami)
