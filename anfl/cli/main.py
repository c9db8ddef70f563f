"""The program ``anfl``: every command, and one place that turns errors into messages and exit codes."""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from anfl.cli import collections, local_commands, models, vectors
from anfl.cli.errors import CliError, as_document, exit_code_of
from anfl.cli.invoke import invoke
from anfl.cli.login import login, whoami
from anfl.cli.output import console, errors, print_json
from anfl.client import ApiError, UnreachableError

app = typer.Typer(
    name="anfl",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 1 failed, 2 usage, 3 unreachable, 4 not allowed, 5 not found, 6 conflict.",
)
app.add_typer(collections.app, name="collections")
app.add_typer(vectors.app, name="vectors")
app.add_typer(models.app, name="models")
app.command()(login)
app.command()(whoami)
app.command()(invoke)
local_commands.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        console.print(f"anfl {version('anfl')}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """ANFL: a multi-region vector store and model registry."""


def main() -> None:
    """Run the command line; exits with `anfl.cli.errors.ExitCode`."""
    try:
        app()
    except (ApiError, CliError, UnreachableError) as error:
        if "--json" in sys.argv:
            print_json(as_document(error))
        else:
            errors.print(f"anfl: {_advice(error)}")
        sys.exit(exit_code_of(error))
    except BrokenPipeError:
        sys.exit(1)


def _advice(error: Exception) -> str:
    if isinstance(error, ApiError) and error.status == 401:
        return f"{error} Log in with 'anfl login', or restart the local run if its tokens have expired."
    return str(error)
