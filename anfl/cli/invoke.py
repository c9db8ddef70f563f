"""``anfl invoke``: call a Lambda function directly."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from anfl.cli.errors import CliError, ExitCode
from anfl.cli.given import parse_json, read_text
from anfl.cli.output import print_json
from anfl.cli.target import local_state
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
    answer, failed = _invoke(function, document, environment, region)
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


def _invoke(function: Function, event: object, environment: str | None, region: str | None) -> tuple[Any, bool]:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    options: dict[str, Any] = {"region_name": region}
    if environment is None:
        from local.environment import isolate
        from local.guard import require_loopback

        local = local_state()
        if local is None:
            raise CliError("No local run here: start one with 'make run', or name a deployed one with --env.")
        if region is not None and region not in local["regions"]:
            raise CliError(
                f"The local run has no region {region!r}; it has {', '.join(local['regions'])}.",
                exit_code=ExitCode.USAGE,
            )
        isolate()  # the user's AWS profile and proxies are for elsewhere
        environment = str(local.get("environment", "dev"))
        options = {
            "region_name": region or local["region"],
            "endpoint_url": require_loopback(local["aws_endpoint"]),
            "aws_access_key_id": "local",
            "aws_secret_access_key": "local",
        }
    config = Config(connect_timeout=5, read_timeout=910, retries={"total_max_attempts": 1})
    try:
        client = boto3.session.Session().client("lambda", config=config, **options)
        response = client.invoke(FunctionName=f"anfl-{environment}-{function}", Payload=json.dumps(event).encode())
    except (BotoCoreError, ClientError) as error:
        raise CliError(f"{function} could not be invoked: {error}") from error
    payload = response["Payload"].read()
    answer = json.loads(payload) if payload else None
    refused = isinstance(answer, dict) and int(answer.get("status", 200)) >= 400
    return answer, bool(response.get("FunctionError")) or refused
