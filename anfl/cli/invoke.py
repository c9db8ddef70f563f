"""``anfl invoke``: call a Lambda function directly."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from anfl.cli.errors import CliError, ExitCode
from anfl.cli.functions import call
from anfl.cli.given import parse_json, read_text
from anfl.cli.output import print_json
from anfl.resources import Function


def invoke(
    function: Annotated[Function, typer.Argument(help="Which function.")],
    event: Annotated[
        str, typer.Argument(help='The event: JSON, @file or - for standard input, e.g. \'{"operation": "stats", …}\'.')
    ],
    environment: Annotated[
        str | None, typer.Option("--env", help="Environment deployed in your AWS account; default: the local run.")
    ] = None,
    region: Annotated[
        str | None, typer.Option(help="AWS region; default: the local run's, else your profile's.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The answer is JSON in any case.")] = False,
) -> None:
    """Invoke a function with an event and print its answer; exit code 1 where the answer is an error."""
    del as_json  # accepted so that scripts can pass it to every command
    document = parse_json(_read(event), "EVENT")
    if not isinstance(document, dict):
        raise CliError("EVENT is no JSON object.", exit_code=ExitCode.USAGE)
    answer, failed = call(function, document, environment=environment, region=region)
    print_json(answer)
    if failed:
        raise typer.Exit(ExitCode.FAILED)


def _read(event: str) -> str:
    if event == "-":
        try:
            return sys.stdin.read()
        except UnicodeDecodeError as error:
            raise CliError(f"EVENT is not UTF-8 text: {error}", exit_code=ExitCode.USAGE) from error
    if event.startswith("@"):
        return read_text(Path(event[1:]), "EVENT")
    return event
