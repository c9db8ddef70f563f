"""Regions that are not the registry's home read it, change nothing, and say where to ask."""

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from anfl.auth.rbac import ROUTES, Action
from anfl.cli import uploads
from anfl.cli.main import app
from anfl.environment import MissingSettingError
from anfl.inspection.limits import Limits
from anfl.problems import Problem
from anfl.registry.home import Home, home
from anfl.registry.inspections import Inspections
from anfl.registry.registry import Registry
from lambda_src.model_validation.handler import Function
from services.model_registry.app import assemble
from tests.unit.registry.test_protocol import ADMIN, API, PROXY, TenantInToken
from tests.unit.vectors.serving import served

FAR = Home(region="us-east-1", here="eu-west-1", endpoint="https://us-east-1.api.example.org")
Ask = Callable[..., httpx.Response]
WRITES = [
    pytest.param(route.method, route.path, id=f"{route.method} {route.path}")
    for route in ROUTES
    if route.action in {Action.MODELS_WRITE, Action.MODELS_APPROVE, Action.MODELS_GOVERN} and route.method != "GET"
]
READS = [
    pytest.param(route.path, id=route.path)
    for route in ROUTES
    if route.path.startswith(("/api/2.0/", "/ajax-api/", "/v1/models")) and route.method == "GET"
]


def asking(registry: Registry, written_in: Home | None) -> Ask:
    service = assemble(registry, verifier=TenantInToken(), written_in=written_in)

    def ask(method: str, path: str, **request: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(service)
            async with httpx.AsyncClient(transport=transport, base_url="http://registry.test") as client:
                return await client.request(method, path, headers={"authorization": f"Bearer {ADMIN}"}, **request)

        return asyncio.run(send())

    return ask


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_elsewhere_nothing_is_changed(registry: Registry, method: str, path: str) -> None:
    """Before anything of the request is looked at: not even that it is wrong."""
    refused = asking(registry, FAR)(method, re.sub(r"\{\w+\+?\}", "1", path))
    told = refused.json()
    assert refused.status_code == 409
    if path.startswith("/v1/"):
        assert (told["code"], told["home"], told["endpoint"]) == ("written_elsewhere", FAR.region, FAR.endpoint)
    else:  # MLflow's client shows the message
        assert told["error_code"] == "RESOURCE_CONFLICT"
        assert str(FAR.endpoint) in told["message"]


def test_elsewhere_it_is_read(registry: Registry) -> None:
    here, far = asking(registry, None), asking(registry, FAR)
    assert here("POST", f"{API}/registered-models/create", json={"name": "m"}).status_code == 200
    assert here("PUT", f"{PROXY}/m/a/f", content=b"x").status_code == 200
    for method, path in (
        ("GET", f"{API}/registered-models/get?name=m"),
        ("POST", f"{API}/registered-models/get-latest-versions"),
        ("GET", f"{API}/registered-models/search"),
        ("GET", f"{PROXY}/m/a/f"),
        ("GET", "/v1/models/m/audit"),
    ):
        answers = [ask(method, path, **({"json": {"name": "m"}} if method == "POST" else {})) for ask in (here, far)]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert answers[0].content == answers[1].content


@pytest.mark.parametrize("path", READS)
def test_elsewhere_every_read_is_answered_as_at_home(registry: Registry, path: str) -> None:
    """Addresses of webhooks too, though only who may change them may read them."""
    asked = re.sub(r"\{\w+\+?\}", "1", path)
    answers = [asking(registry, written_in)("GET", asked) for written_in in (None, FAR)]
    assert [answer.status_code for answer in answers] == [answers[0].status_code] * 2
    assert answers[0].status_code != 409


def test_at_home_everything_is_done(registry: Registry) -> None:
    ask = asking(registry, Home(region="us-east-1", here="us-east-1"))
    assert ask("POST", f"{API}/registered-models/create", json={"name": "m"}).status_code == 200


def test_elsewhere_no_verdict_is_recorded(registry: Registry, tmp_path: Path) -> None:
    inspections = Inspections(registry, scratch=tmp_path, limits=Limits(seconds=5))
    function = Function(registry, inspections, default_tenant="demo", written_in=FAR)
    answer = function.answer({"operation": "inspect", "name": "m", "version": 1})
    assert (answer["status"], answer["problem"]["home"]) == (409, "us-east-1")
    message = {"tenant": "demo", "name": "m", "model_id": "i", "version": 1}
    batch = function.answer({"Records": [{"messageId": "1", "body": json.dumps(message)}]})
    assert batch == {"batchItemFailures": [{"itemIdentifier": "1"}]}


@pytest.mark.parametrize("tenant", ["demo\n", "Demo", "../demo", ""])
def test_what_is_no_tenants_name_is_asked_of_nobody(registry: Registry, tmp_path: Path, tenant: str) -> None:
    function = Function(registry, Inspections(registry, scratch=tmp_path, limits=Limits(seconds=5)))
    answer = function.answer({"operation": "inspect", "tenant": tenant, "path": "models/m"})
    assert answer["status"] == 400


def test_a_home_without_a_name_of_its_own_is_named_by_its_region() -> None:
    with pytest.raises(Problem, match="ask us-east-1") as refused:
        Home(region="us-east-1", here="eu-west-1").check()
    assert refused.value.extensions == {"home": "us-east-1"}


def test_the_environment_says_where_home_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("REGION_ENDPOINTS", json.dumps({"us-east-1": FAR.endpoint}))
    monkeypatch.delenv("REGISTRY_HOME", raising=False)
    with pytest.raises(MissingSettingError, match="REGISTRY_HOME"):
        home()
    monkeypatch.setenv("REGISTRY_HOME", "us-east-1")
    assert home() == FAR
    assert not home().is_here


def test_the_command_line_registers_at_home(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever region it is told: what is uploaded, registered and looked at afterwards goes to one."""
    file = tmp_path / "a.bin"
    file.write_bytes(b"x" * 100)
    with served(assemble(registry, verifier=TenantInToken())) as url:
        far = Home(region="us-east-1", here="eu-west-1", endpoint=url)
        with served(assemble(registry, verifier=TenantInToken(), written_in=far)) as elsewhere:
            monkeypatch.setenv("ANFL_ENDPOINT", elsewhere)
            monkeypatch.setenv("ANFL_TOKEN", ADMIN)
            done = CliRunner().invoke(app, ["models", "register", "m", str(file), "--wait", "0"])
            assert (done.exit_code, done.stdout.strip()) == (0, "Registered m version 1 (1 file).")
            aliased = CliRunner().invoke(app, ["models", "alias", "m", "best", "1"])
            assert aliased.exit_code == 0, aliased.output
    assert registry.versions.get("acme", "m", 1).version.source.startswith("mlflow-artifacts:/")


def test_what_is_large_goes_by_a_link_of_the_home_where_the_path_for_it_leads_elsewhere(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That path leads to the nearest region, whatever endpoint is named, and the home's gateway takes nothing large."""
    file = tmp_path / "a.bin"
    file.write_bytes(b"x" * 100)
    linked: list[bytes] = []

    def by_link(_client: object, _name: str, _place: str, file: Path, *, sent: object) -> None:
        assert sent is not None
        linked.append(file.read_bytes())

    monkeypatch.setattr(uploads, "GATEWAY_LIMIT", 10)
    monkeypatch.setattr(uploads, "_by_link", by_link)
    with served(assemble(registry, verifier=TenantInToken())) as url:
        far = Home(region="us-east-1", here="eu-west-1", endpoint=url)
        with served(assemble(registry, verifier=TenantInToken(), written_in=far)) as elsewhere:
            monkeypatch.setenv("ANFL_ENDPOINT", url)
            monkeypatch.setenv("ANFL_INGEST", elsewhere)
            monkeypatch.setenv("ANFL_TOKEN", ADMIN)
            done = CliRunner().invoke(app, ["models", "register", "m", str(file), "--wait", "0"])
    assert done.exit_code == 0, done.output
    assert linked == [b"x" * 100]
