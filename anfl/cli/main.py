"""The program ``anfl``: every command, and one place that turns errors into messages and exit codes."""

import os
import sys
import traceback
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from anfl.cli import collections, imports, keys, local_commands, models, operations, operator, vectors
from anfl.cli.classes import classes
from anfl.cli.errors import TOLD, CliError, ExitCode, advice_of, as_document, exit_code_of
from anfl.cli.exporting import export
from anfl.cli.invoke import invoke
from anfl.cli.login import auth, login, whoami
from anfl.cli.output import console, errors, print_json
from anfl.cli.target import TOKEN_VARIABLE, local_state
from anfl.client import CA_VARIABLE, ApiError, UnreachableError
from anfl.interruption import raised


class _Commands(TyperGroup):
    """Says that it was interrupted; by itself Typer ends without a word."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - Typer's own, which it keeps to itself
        """See `TyperGroup.invoke`."""
        try:
            with raised():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            raise CliError("Interrupted.", exit_code=ExitCode.INTERRUPTED) from None


app = typer.Typer(
    name="anfl",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 1 failed, 2 usage, 3 unreachable, 4 not allowed, 5 not found, 6 conflict, 130 interrupted.",
)
app.add_typer(collections.app, name="collections")
app.add_typer(vectors.app, name="vectors")
app.add_typer(imports.app, name="imports")
app.add_typer(models.app, name="models")
app.add_typer(auth, name="auth")
app.add_typer(keys.app, name="keys")
app.command("import")(imports.import_files)
app.command()(export)
app.command()(classes)
app.command()(login)
app.command()(whoami)
app.command()(invoke)
local_commands.register(app)
operations.register(app)
operator.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        console.print(f"anfl {version('anfl')}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    ca: Annotated[
        Path | None,
        typer.Option(
            "--ca",
            dir_okay=False,
            exists=True,
            help=f"Certificates to trust beside all others. Default: ${CA_VARIABLE}.",
        ),
    ] = None,
) -> None:
    """ANFL: a multi-region vector store and model registry."""
    if ca is not None:
        os.environ[CA_VARIABLE] = str(ca)


def main() -> None:
    """Run the command line; exits with `anfl.cli.errors.ExitCode`."""
    as_json = "--json" in sys.argv
    try:
        code = app(standalone_mode=not as_json)  # by itself it would print its errors as text
    except BrokenPipeError:
        sys.stdout = None  # nobody listens, so nothing is flushed at the end
        sys.exit(ExitCode.FAILED)
    except Exception as error:
        if not as_json and not isinstance(error, TOLD):
            raise
        if not as_json:
            errors.print(f"anfl: {_advice(error)}")
        else:
            print_json(as_document(error))
            if not isinstance(error, (*TOLD, typer.Abort, typer.TyperException)):
                traceback.print_exception(error)
        sys.exit(exit_code_of(error))
    sys.exit(code if isinstance(code, int) else 0)


def _advice(error: Exception) -> str:
    """The error, and what can be done."""
    hints = " ".join(filter(None, (_hint(error), advice_of(error))))
    return f"{str(error).rstrip('.')}. {hints}" if hints else str(error)


def _hint(error: Exception) -> str:
    if isinstance(error, ApiError) and error.status == HTTPStatus.UNAUTHORIZED:
        if TOKEN_VARIABLE in os.environ:
            return f"If no --token was given, the token is that of ${TOKEN_VARIABLE}."
        return "Log in with 'anfl login', or restart the local run if its tokens have expired."
    if isinstance(error, UnreachableError) and local_state() is not None:
        return "What runs here, 'anfl status' says; 'make run' starts it."
    return ""
