"""Small assemblies, and an account that answers from files."""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from deployment.preflight.account import Account
from deployment.rollout import Rollout, read

ANSWERS = Path(__file__).with_name("answers")

Assemble = Callable[..., Rollout]
Recorded = Callable[[str], Account]


@pytest.fixture
def assemble(tmp_path: Path) -> Assemble:
    """Write stacks (``{name: {"region", "resources", "needs"?}}``) of ``prod`` and read them as one rollout."""

    def write(stacks: Mapping[str, Mapping[str, Any]], *, regions: tuple[str, ...] = ()) -> Rollout:
        artifacts = {}
        for name, stack in stacks.items():
            (tmp_path / f"{name}.json").write_text(json.dumps({"Resources": stack["resources"]}))
            artifacts[name] = {
                "type": "aws:cloudformation:stack",
                "environment": f"aws://unknown-account/{stack['region']}",
                "properties": {
                    "templateFile": f"{name}.json",
                    "tags": {"environment": "prod"},
                    "requiresBootstrapStackVersion": 6,
                },
                "dependencies": stack.get("needs", []),
            }
        (tmp_path / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))
        return read(tmp_path, regions=regions)

    return write


@pytest.fixture
def one_stack(assemble: Assemble) -> Callable[..., Rollout]:
    """A rollout of one stack in us-west-1 with the given resources."""

    def write(layer: str = "service", **resources: Mapping[str, Any]) -> Rollout:
        return assemble({f"anfl-prod-us-west-1-{layer}": {"region": "us-west-1", "resources": resources}})

    return write


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    """A resource of a template."""
    return {"Type": kind, "Properties": properties}


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    """An account that gives the answers of one case (``file/case``), in their order and to those questions alone.

    botocore holds questions and answers against AWS's own service models: a recording that AWS could not have given
    fails, and so does an answer that nobody asked for.
    """
    stubbers: list[Stubber] = []

    def play(case: str) -> Account:
        file, _, name = case.partition("/")
        exchanges = json.loads((ANSWERS / f"{file}.json").read_text())[name]
        clients: dict[tuple[str, str], tuple[Any, Stubber]] = {}
        for exchange in exchanges:
            service, operation = exchange["ask"].split(".")
            where = (service, exchange["region"])
            if where not in clients:
                client = _client(service, exchange["region"])
                clients[where] = (client, Stubber(client))
                stubbers.append(clients[where][1])
            _add(clients[where][1], operation, exchange)
        for _, stubber in clients.values():
            stubber.activate()

        def connect(service: str, region: str) -> Any:
            assert (service, region) in clients, f"{case} has no answer of {service} in {region}"
            return clients[service, region][0]

        return Account(connect)

    yield play
    for stubber in stubbers:
        stubber.assert_no_pending_responses()


@cache
def _session() -> Any:
    """One for all: it keeps the service models that it has read."""
    return boto3.session.Session(aws_access_key_id="test", aws_secret_access_key="test")


def _client(service: str, region: str) -> Any:
    session = _session()
    return session.client(service, region_name=region)


@pytest.fixture
def unasked() -> Account:
    """An account of which nothing may be asked."""

    def connect(service: str, region: str) -> Any:
        raise AssertionError(f"{service} in {region} was asked")

    return Account(connect)


def _add(stubber: Stubber, operation: str, exchange: Mapping[str, Any]) -> None:
    if "error" in exchange:
        error = exchange["error"]
        stubber.add_client_error(
            operation,
            service_error_code=error["code"],
            service_message=error.get("message", ""),
            http_status_code=error.get("status", 400),
            expected_params=exchange.get("with"),
        )
    else:
        stubber.add_response(operation, exchange["answer"], exchange.get("with"))
