"""``python -m local.accounts``: brings each region's Vault into the deployed shape and makes a client for every role.

Reads a `Request` as JSON from standard input and writes ``{region: {role: {"role_id", "secret_id"}}}``. A process of
its own, so that an interrupted start can end it at once.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

import boto3
import msgspec

from anfl import aws
from anfl.auth.principal import Role
from anfl.auth.table import AuthTable
from anfl.auth.vault import StaticToken, VaultClient
from anfl.auth.vault_setup import VaultSetup
from anfl.crypto.errors import DistributionError
from anfl.crypto.rounds import Answer, Rounds
from anfl.problems import Problem
from anfl.resources import Caretaker, Function, Variable
from local.resolved import Resource, Resources, fetch


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What to set up."""

    endpoint: str
    """The embedded AWS."""
    root_token: str
    vaults: dict[str, str]
    """Region → address of its Vault."""
    tenant: str


def main() -> int:
    """Set up every Vault; 1 where one refuses, with the reason on standard error."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    deployed = fetch(request.endpoint)
    try:
        setups = {region: _setup(request, Resources(deployed, region=region)) for region in request.vaults}
        for setup in setups.values():
            setup.keys.adopt()  # again: now every region has published its own
        _distribute(request, deployed)
        clients = {
            region: {role: setup.ensure_client(role, tenant=request.tenant, roles=[role]) for role in Role}
            for region, setup in setups.items()
        }
    except Problem as problem:
        print(f"{problem}: {problem.__cause__!r}", file=sys.stderr)  # noqa: T201
        return 1
    except DistributionError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(clients))
    return 0


def _setup(request: Request, resources: Resources) -> VaultSetup:
    """Reconcile one region's Vault with the roles, table, issuer and audience that the templates declare."""
    region = resources.region
    functions = {_short_name(function): function for function in resources.of_type("AWS::Lambda::Function")}
    variables: dict[str, Any] = functions[Function.AUTH].properties["Environment"]["Variables"]
    dynamodb = boto3.session.Session(region_name=region).client(
        "dynamodb", endpoint_url=request.endpoint, config=aws.config()
    )
    setup = VaultSetup(
        VaultClient(address=request.vaults[region], credentials=StaticToken(request.root_token)),
        environment=variables[Variable.ENVIRONMENT],
        region=region,
        auth_table=AuthTable(name=variables[Variable.AUTH_TABLE], client=dynamodb),
        issuer=variables[Variable.TOKEN_ISSUER],
        audience=variables[Variable.TOKEN_AUDIENCE],
        sts_endpoint=request.endpoint,
    )
    roles = {name: str(function.properties["Role"]) for name, function in functions.items()}
    setup.reconcile(iam_roles=roles | dict(_task_roles(resources)))
    return setup


def _distribute(request: Request, deployed: list[Resource]) -> None:
    """Give the Vaults their wrapping key at once; later versions come by the schedules."""
    names = {
        (resource.region, _short_name(resource)): str(resource.properties["FunctionName"])
        for resource in deployed
        if resource.type == "AWS::Lambda::Function"
    }
    (home,) = (region for region, name in names if name == Caretaker.KEY_LEADER)

    def invoke(region: str, function: Caretaker, event: dict[str, str]) -> Answer:
        client = boto3.session.Session(region_name=region).client(
            "lambda", endpoint_url=request.endpoint, config=aws.config(read_timeout=120)
        )
        response = client.invoke(FunctionName=names[region, function], Payload=json.dumps(event).encode())
        answer: Answer = json.loads(response["Payload"].read())
        if response.get("FunctionError"):
            raise DistributionError(f"{function} in {region}: {answer.get('errorMessage', answer)}")
        return answer

    Rounds(invoke, home=home, regions=list(request.vaults)).go()


def _short_name(function: Resource) -> str:
    """``anfl-dev-auth`` → ``auth``; another function's name as it is."""
    name = str(function.properties.get("FunctionName", function.physical_id))
    known = (*Function, Caretaker.KEY_LEADER, Caretaker.KEY_AGENT)
    return next((one for one in known if name.endswith(f"-{one}")), name)


def _task_roles(resources: Resources) -> Iterator[tuple[str, str]]:
    for task in resources.of_type("AWS::ECS::TaskDefinition"):
        for container in task.properties["ContainerDefinitions"]:
            yield container["Name"], str(task.properties["TaskRoleArn"])


if __name__ == "__main__":
    sys.exit(main())
