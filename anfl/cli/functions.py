"""Lambda functions of the local run, or of an environment in the user's AWS account."""

import json
from typing import Any

from anfl.cli.errors import CliError, ExitCode
from anfl.cli.target import local_state
from anfl.resources import Caretaker, Function


def local_run(region: str | None = None) -> dict[str, Any]:
    """What `anfl up` wrote.

    :raises CliError: nothing runs here, or not in ``region``.
    """
    local = local_state()
    if local is None:
        raise CliError("No local run here: start one with 'make run', or name a deployed one with --env.")
    if region is not None and region not in local["regions"]:
        raise CliError(
            f"The local run has no region {region!r}; it has {', '.join(local['regions'])}.", exit_code=ExitCode.USAGE
        )
    return local


def call(
    function: Function | Caretaker, event: object, *, environment: str | None, region: str | None
) -> tuple[Any, bool]:
    """What the function answers, and whether that is an error.

    :param environment: None: the local run's.
    :raises CliError: it cannot be called.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    options: dict[str, Any] = {"region_name": region}
    if environment is None:
        from local.environment import isolate
        from local.guard import require_loopback

        local = local_run(region)
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
