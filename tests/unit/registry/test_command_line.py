"""``anfl models …`` of governance, against the service on loopback."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from anfl.cli.main import app
from anfl.registry.registry import Registry
from anfl.registry.requests import ValidationQueue
from services.model_registry.app import assemble
from tests.unit.registry.conftest import TABLE, items, past_the_registry
from tests.unit.registry.test_protocol import TenantInToken
from tests.unit.vectors.serving import served

Run = Callable[..., Result]


@pytest.fixture(name="run")
def _run(registry: Registry, queue: ValidationQueue) -> Iterator[Run]:
    with served(assemble(registry, queue, verifier=TenantInToken())) as url:

        def run(*arguments: str, role: str = "admin") -> Result:
            options = ("--endpoint", url, "--token", f"acme.{role}")
            return CliRunner().invoke(app, ["models", *arguments, *options])

        yield run


def document(result: Result) -> Any:
    return json.loads(result.stdout)


@pytest.fixture(name="bert")
def _bert(registry: Registry) -> Registry:
    registry.models.create("acme", "bert", by="ana")
    registry.models.describe("acme", "bert", "d", by="ben")
    registry.models.create("acme", "gone", by="ana")
    registry.models.delete("acme", "gone", by="ben")
    return registry


@pytest.mark.usefixtures("bert")
def test_the_audit_is_shown_and_verified(run: Run) -> None:
    shown = run("audit", "show", "bert")
    assert shown.exit_code == 0
    assert "ben" in shown.stdout
    assert "model.described" in shown.stdout
    verified = run("audit", "verify", "--json")
    assert verified.exit_code == 0
    chains = {chain["label"]: chain for chain in document(verified)["chains"]}
    assert {label: chain["entries"] for label, chain in chains.items()} == {
        "(no single model)": 0,
        "bert": 2,
        "gone": 2,
    }
    assert run("audit", "verify", "bert", "--head", chains["bert"]["head"]).exit_code == 0
    assert run("audit", "verify", "bert", "--head", "2:" + "0" * 64).exit_code == 1
    assert run("audit", "verify", "bert", "--head", "nonsense").exit_code != 0


def test_the_first_broken_link_is_named_and_fails_the_command(run: Run, bert: Registry, dynamodb: Any) -> None:
    page = bert.trails.of_model("acme", "bert")
    (row,) = (i for i in items(dynamodb) if i["pk"]["S"].endswith(page.chain) and i["sk"]["S"] == "000000000002")
    with past_the_registry(dynamodb):
        entry = row["entry"]["S"].replace('"by":"ben"', '"by":"eve"')
        dynamodb.put_item(TableName=TABLE, Item=row | {"entry": {"S": entry}})
    result = run("audit", "verify")
    assert result.exit_code == 1
    assert "bert: BROKEN at entry 2: altered" in result.stdout
    (broken,) = [c for c in document(run("audit", "verify", "--json"))["chains"] if c["broken"]]
    assert (broken["broken"]["chain"], broken["broken"]["sequence"]) == (page.chain, 2)
