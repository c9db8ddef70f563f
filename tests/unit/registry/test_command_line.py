"""``anfl models …`` of governance, against the service on loopback."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from anfl.cli import models
from anfl.cli.main import app
from anfl.registry.registry import Registry
from services.model_registry.app import assemble
from tests.unit.registry.conftest import BUCKET, TABLE, items, past_the_registry
from tests.unit.registry.test_governance import People
from tests.unit.registry.test_models import version
from tests.unit.vectors.serving import served

Run = Callable[..., Result]


@pytest.fixture(name="run")
def _run(registry: Registry) -> Iterator[Run]:
    with served(assemble(registry, verifier=People())) as url:

        def run(*arguments: str, by: str = "root") -> Result:
            options = ("--endpoint", url, "--token", f"acme.admin.{by}")
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


def test_people_ask_approve_and_set_policies(run: Run, bert: Registry) -> None:
    version(bert, "acme", "bert")
    assert run("policies", "set", "prod", "--require", "approved", "--approvals", "1").exit_code == 0
    assert "prod" in run("policies", "list").stdout
    asked = run("approvals", "request", "bert", "1", "prod", "--comment", "new", "--json", by="ana")
    request = document(asked)["id"]
    alone = run("approvals", "approve", "bert", request, by="ana")
    assert alone.exit_code != 0
    assert run("alias", "bert", "prod", "1").exit_code != 0
    approved = run("approvals", "approve", "bert", request, by="ben")
    assert "is APPROVED\n  asked by acme.ana, approved by acme.ben" in approved.stdout
    assert "acme.ben" in run("approvals", "list", "bert", "--status", "APPROVED").stdout
    assert run("alias", "bert", "prod", "1").exit_code == 0
    assert document(run("approvals", "reject", "bert", request, "--json", by="ben"))["status"] == "REJECTED"
    again = document(run("approvals", "request", "bert", "1", "prod", "--json", by="ana"))["id"]
    assert document(run("approvals", "withdraw", "bert", again, "--json", by="ana"))["status"] == "WITHDRAWN"
    assert run("policies", "delete", "prod").exit_code == 0
    assert document(run("policies", "list", "--json")) == {"policies": []}


@pytest.mark.parametrize("place", ["_chunks", "_upload"], ids=["between two files", "after the last"])
def test_an_interrupted_registration_leaves_no_artefact_behind(
    run: Run, s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"x")
    original, calls = getattr(models, place), 0

    def interrupted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if place == "_chunks" and calls == 1:
            return original(*arguments)
        if place == "_upload":
            original(*arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(models, place, interrupted)
    result = run("register", "bert", str(tmp_path))
    assert (result.exit_code, "Interrupted" in str(result.exception)) == (1, True)
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET)
