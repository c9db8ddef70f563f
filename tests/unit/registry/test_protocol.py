"""The service over HTTP as MLflow's client speaks to it: documents, errors, artefacts, validation."""

import asyncio
import hashlib
import json
import os
import re
import tracemalloc
from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import httpx
import pytest
from botocore.response import StreamingBody
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate

from anfl.auth.principal import Principal, Role
from anfl.auth.rbac import ROUTES, Route
from anfl.http.service import Service
from anfl.problems import Problem
from anfl.registry.artifacts import PART_BYTES, Writer
from anfl.registry.locations import Locations
from anfl.registry.registry import Registry
from services.model_registry.app import assemble
from tests.unit.registry.conftest import received

ADMIN = "acme.admin"
API = "/api/2.0/mlflow"
PROXY = "/api/2.0/mlflow-artifacts/artifacts"


class TenantInToken:
    """Tokens are ``<tenant>.<role>``."""

    def cached(self, token: str) -> Principal | None:
        tenant, dot, role = token.partition(".")
        if not dot:
            return None
        roles = frozenset({Role(role)})
        return Principal(subject="s", tenant=tenant, roles=roles, token_id="1", expires_at=2**40)

    def verify(self, token: str) -> Principal:
        raise Problem(401, "token_malformed", f"{token} is no token")


class Caller:
    """Sends requests to a service in this process."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def __call__(
        self, method: str, path: str, body: object = None, *, token: str | None = ADMIN, **options: Any
    ) -> httpx.Response:
        if body is not None:
            options["json"] = body
        headers = options.pop("headers", {}) | ({"authorization": f"Bearer {token}"} if token else {})

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self._service, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://registry.test") as client:
                return await client.request(method, path, headers=headers, **options)

        return asyncio.run(send())


@pytest.fixture(name="call")
def _call(registry: Registry) -> Caller:
    return Caller(assemble(registry, verifier=TenantInToken(), stage_prefix="/live"))


def created(call: Caller, *, source: str = "mlflow-artifacts:/models/bert", **more: object) -> dict[str, Any]:
    call("POST", f"{API}/registered-models/create", {"name": "bert"})
    response = call("POST", f"{API}/model-versions/create", {"name": "bert", "source": source, **more})
    assert response.status_code == 200, response.text
    document: dict[str, Any] = response.json()["model_version"]
    return document


def test_every_route_of_the_registry_is_served(call: Caller) -> None:
    served = [route for route in ROUTES if "mlflow" in route.path or route.path.startswith("/v1/models")]
    assert len(served) > 40
    for route in served:
        path = route.path.replace("{path+}", "x").replace("{name}", "x").replace("{version}", "1")
        code = call(route.method, path, {} if route.method != "GET" else None).json().get("error_code")
        assert code != "ENDPOINT_NOT_FOUND", route


def unlike(name: str) -> str:
    """One of the same form."""
    return name[:-1] + ("1" if name[-1] == "0" else "0")


def test_what_is_anothers_is_met_as_what_is_not_there(call: Caller) -> None:
    """Whatever is asked: another tenant's model gets the answer of what nobody has, and nothing comes of it."""
    call("PUT", f"{PROXY}/models/bert/weights.bin", content=b"1")
    created(call)
    one = {"name": "bert", "version": "1"}
    call("POST", f"{API}/registered-models/alias", {"name": "bert", "alias": "prod", "version": "1"})
    call("POST", f"{API}/model-versions/set-tag", one | {"key": "k", "value": "v"})
    call("POST", f"{API}/registered-models/set-tag", {"name": "bert", "key": "k", "value": "v"})
    approval = call("POST", "/v1/models/bert/versions/1/approvals", {"alias": "prod"}).json()["id"]
    assert call("PUT", "/v1/models-policies/canary", {"require": ["validated"]}).is_success
    shown = (
        f"{API}/registered-models/get?name=bert",
        f"{API}/model-versions/get?name=bert&version=1",
        f"/v1/models/bert/approvals/{approval}",
        f"{PROXY}?path=models/bert",
        "/v1/models-policies",
    )
    before = [call("GET", path).text for path in shown]
    mine, nobodys = ("bert", approval, "models/bert/weights.bin"), ("nobodys", unlike(approval), "models/nobodys/x")

    def answer(route: Route, name: str, of: str, path: str) -> tuple[int, str]:
        given = {"name": name, "version": "1", "alias": "prod", "key": "k", "value": "v", "stage": "Archived"}
        given |= {"new_name": "renamed", "description": "x", "path": path.rpartition("/")[0]}
        target = route.path.replace("{name}", name).replace("{version}", "1").replace("{path+}", path)
        target = target.replace("{approval}", of).replace("{alias}", "dev")
        body: dict[str, Any] = {"params": given} if route.method == "GET" else {"body": given}
        found = call(route.method, target, token="other.admin", **body)
        text = re.sub(r'("request_id"|"error_id"): ?"[^"]*"', "", found.text)
        return found.status_code, re.sub("|".join(map(re.escape, (path, path.rpartition("/")[0], name, of))), "…", text)

    makes = re.compile(r"/(create|uploads)$|/artifacts/\{path\+\}$|/webhooks|/mpu/|models-(keys|policies)")
    routes = [route for route in ROUTES if route.path.startswith((API, PROXY.rpartition("/")[0], "/v1/models"))]
    asked = [route for route in routes if not (makes.search(route.path) and route.method in {"POST", "PUT"})]
    assert len(asked) > 40
    for route in asked:
        assert answer(route, *mine) == answer(route, *nobodys), route
    assert [call("GET", path).text for path in shown] == before


@pytest.mark.parametrize("prefix", ["", "/live"])
@pytest.mark.parametrize("base", ["/api/2.0/mlflow", "/ajax-api/2.0/mlflow"])
def test_both_bases_work_with_and_without_the_stage(call: Caller, prefix: str, base: str) -> None:
    response = call("POST", f"{prefix}{base}/registered-models/create", {"name": "bert", "tags": [{"key": "a"}]})
    document = response.json()["registered_model"]
    assert document["creation_timestamp"] == document["last_updated_timestamp"]
    assert {"name": "bert", "tags": [{"key": "a", "value": ""}]}.items() <= document.items()
    assert document.keys() == {"name", "creation_timestamp", "last_updated_timestamp", "tags"}


def test_a_version_is_spelled_as_mlflow_spells_it(call: Caller) -> None:
    document = created(call, run_id="r", tags=[{"key": "k", "value": "v"}, {"key": "k", "value": "last"}])
    assert isinstance(document.pop("creation_timestamp"), int)
    assert isinstance(document.pop("last_updated_timestamp"), int)
    assert document == {
        "name": "bert",
        "version": "1",
        "current_stage": "None",
        "description": "",
        "run_id": "r",
        "run_link": "",
        "source": "mlflow-artifacts:/models/bert",
        "status": "READY",
        "tags": [{"key": "k", "value": "last"}],
    }


PROMPT = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
REFUSALS: list[tuple[str, str, object, int, str, str]] = [
    (
        "POST",
        "registered-models/create",
        {},
        400,
        "INVALID_PARAMETER_VALUE",
        "Missing value for required parameter 'name'",
    ),
    (
        "POST",
        "registered-models/create",
        {"name": 5},
        400,
        "INVALID_PARAMETER_VALUE",
        "Invalid value 5 for parameter 'name' supplied",
    ),
    (
        "POST",
        "registered-models/create",
        {"name": "x", "tags": "a"},
        400,
        "INVALID_PARAMETER_VALUE",
        "Hint: Value was of type 'str'",
    ),
    (
        "POST",
        "registered-models/create",
        {"name": "x", "tags": [{"value": "v"}]},
        400,
        "INVALID_PARAMETER_VALUE",
        "Invalid value \"\" for parameter 'key' supplied",
    ),
    *(
        (
            "POST",
            "model-versions/transition-stage",
            {"name": "bert", "version": "1", "stage": "Staging", "archive_existing_versions": flag},
            400,
            "INVALID_PARAMETER_VALUE",
            f"Invalid value {json.dumps(flag)} for parameter 'archive_existing_versions' supplied:  Hint: Value was of",
        )
        for flag in ("true", "False", 1)
    ),
    (
        "POST",
        "registered-models/create",
        {"name": "x", "tags": [{"key": 1}]},
        400,
        "INVALID_PARAMETER_VALUE",
        "parameter 'tags'",
    ),
    (
        "POST",
        "registered-models/create",
        {"name": "bert"},
        400,
        "RESOURCE_ALREADY_EXISTS",
        "Registered Model (name=bert) already exists",
    ),
    ("POST", "registered-models/rename", {"name": "bert"}, 400, "INVALID_PARAMETER_VALUE", "'new_name'"),
    (
        "PATCH",
        "registered-models/update",
        {"name": "nope", "description": "x"},
        404,
        "RESOURCE_DOES_NOT_EXIST",
        "Registered Model with name=nope not found",
    ),
    (
        "POST",
        "registered-models/alias",
        {"name": "nope", "alias": "prod", "version": "1"},
        404,
        "RESOURCE_DOES_NOT_EXIST",
        "Model Version (name=nope, version=1) not found",
    ),
    ("GET", "registered-models/get?name=nope", None, 404, "RESOURCE_DOES_NOT_EXIST", "name=nope not found"),
    (
        "GET",
        "registered-models/get",
        None,
        400,
        "INVALID_PARAMETER_VALUE",
        "Missing value for required parameter 'name'",
    ),
    (
        "GET",
        "registered-models/search?max_results=1001",
        None,
        400,
        "INVALID_PARAMETER_VALUE",
        "Invalid value 1001 for parameter 'max_results' supplied",
    ),
    (
        "GET",
        "registered-models/search?max_results=abc",
        None,
        400,
        "INVALID_PARAMETER_VALUE",
        "Invalid value \"abc\" for parameter 'max_results'",
    ),
    ("GET", "registered-models/search?max_results=1e15", None, 400, "INVALID_PARAMETER_VALUE", "'max_results'"),
    ("GET", "registered-models/search?max_results=0", None, 400, "INVALID_PARAMETER_VALUE", "positive integer"),
    (
        "GET",
        "registered-models/search?page_token=evilhax",
        None,
        400,
        "INVALID_PARAMETER_VALUE",
        "Invalid page token, could not base64-decode",
    ),
    (
        "GET",
        "registered-models/search?filter=foo",
        None,
        400,
        "INVALID_PARAMETER_VALUE",
        "Invalid clause(s) in filter string",
    ),
    (
        "GET",
        "model-versions/get?name=bert&version=x",
        None,
        400,
        "INVALID_PARAMETER_VALUE",
        "Parameter 'version' must be an integer, got 'x'.",
    ),
    (
        "GET",
        "model-versions/get?name=bert&version=9",
        None,
        404,
        "RESOURCE_DOES_NOT_EXIST",
        "Model Version (name=bert, version=9) not found",
    ),
    (
        "GET",
        "registered-models/alias?name=bert&alias=nope",
        None,
        400,
        "INVALID_PARAMETER_VALUE",
        "Registered model alias nope not found.",
    ),
    (
        "GET",
        "registered-models/get-latest-versions?name=bert&stages=Wrong",
        None,
        400,
        "INVALID_PARAMETER_VALUE",
        "Invalid Model Version stage: Wrong. Value must be one of None, Staging, Production, Archived.",
    ),
    (
        "POST",
        "model-versions/transition-stage",
        {"name": "bert", "version": "1", "stage": "Prod"},
        400,
        "INVALID_PARAMETER_VALUE",
        "Invalid Model Version stage: Prod",
    ),
    (
        "POST",
        "model-versions/set-tag",
        {"name": "bert", "version": "1", "key": "k", "value": "x" * 100_001},
        400,
        "INVALID_PARAMETER_VALUE",
        "'value' exceeds the maximum length of 100000 characters",
    ),
    (
        "POST",
        "model-versions/set-tag",
        {"name": "bert", "version": "1", "key": "k" * 251, "value": "x"},
        400,
        "INVALID_PARAMETER_VALUE",
        "'key' exceeds the maximum length of 250 characters",
    ),
    (
        "POST",
        "model-versions/create",
        {"name": "bert", "source": "/etc/passwd"},
        400,
        "INVALID_PARAMETER_VALUE",
        "Invalid model version source: '/etc/passwd'",
    ),
    (
        "POST",
        "model-versions/create",
        {"name": "bert", "source": "file:///etc"},
        400,
        "INVALID_PARAMETER_VALUE",
        "Invalid model version source",
    ),
    (
        "POST",
        "model-versions/create",
        {"name": "bert", "source": "s3://b/a/..%252fb"},
        400,
        "INVALID_PARAMETER_VALUE",
        "without relative path references",
    ),
    (
        "POST",
        "model-versions/create",
        {"name": "bert", "source": "mlflow-artifacts:/a%00"},
        400,
        "INVALID_PARAMETER_VALUE",
        "Invalid model version source",
    ),
    (
        "POST",
        "model-versions/create",
        {"name": "bert", "source": "models:/nope/1"},
        404,
        "RESOURCE_DOES_NOT_EXIST",
        "(name=nope, version=1) not found",
    ),
    (
        "POST",
        "model-versions/create",
        {"name": "bert", "source": "models:/m-123"},
        400,
        "INVALID_PARAMETER_VALUE",
        "Unable to fetch model",
    ),
    (
        "POST",
        "model-versions/create",
        {"name": "bert", "source": "file:///etc", "tags": PROMPT},
        400,
        "INVALID_PARAMETER_VALUE",
        "Invalid prompt source: 'file:///etc'. Local source paths are not allowed for prompts.",
    ),
    (
        "POST",
        "model-versions/create",
        {"name": "bert", "source": "/etc/passwd", "tags": PROMPT},
        400,
        "INVALID_PARAMETER_VALUE",
        "Invalid prompt source: '/etc/passwd'",
    ),
    (
        "POST",
        "model-versions/create",
        {"name": "bert", "source": "//etc/passwd", "tags": PROMPT},
        400,
        "INVALID_PARAMETER_VALUE",
        "Invalid prompt source: '//etc/passwd'",
    ),
    (
        "POST",
        "model-versions/create",
        {"name": "bert", "source": "s3://b/a/../c", "tags": PROMPT},
        400,
        "INVALID_PARAMETER_VALUE",
        "without relative path references",
    ),
    (
        "POST",
        "model-versions/create",
        {"name": "bert", "source": "http://[broken"},
        400,
        "INVALID_PARAMETER_VALUE",
        "Invalid model version source",
    ),
    ("DELETE", "registered-models/delete", {"name": "nope"}, 404, "RESOURCE_DOES_NOT_EXIST", "name=nope not found"),
    ("GET", "registered-models/none-such", None, 404, "ENDPOINT_NOT_FOUND", "There is no"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "code", "message"), REFUSALS)
def test_refusals_are_mlflows(
    call: Caller, method: str, path: str, body: object, status: int, code: str, message: str
) -> None:
    created(call)
    response = call(method, f"{API}/{path}", body)
    assert (response.status_code, response.json()["error_code"]) == (status, code)
    assert message in response.json()["message"]


@pytest.mark.parametrize("source", ["dummy-source", "prompt-template", "http://host/prompts/1"])
def test_a_prompt_needs_no_artefacts(call: Caller, source: str) -> None:
    assert created(call, source=source, tags=PROMPT)["source"] == source


def test_who_may_not_is_told_so_in_mlflows_form(call: Caller) -> None:
    missing = call("GET", f"{API}/registered-models/search", token=None)
    assert (missing.status_code, missing.json()["error_code"]) == (401, "UNAUTHENTICATED")
    assert missing.headers["www-authenticate"] == "Bearer"
    reader = call("POST", f"{API}/registered-models/create", {"name": "x"}, token="acme.reader")
    assert (reader.status_code, reader.json()["error_code"]) == (403, "PERMISSION_DENIED")
    other = call("GET", "/v1/models/x/versions/1/validation", token=None)
    assert (other.status_code, other.json()["code"]) == (401, "token_missing")


@pytest.mark.parametrize("stage", ["", "/live"])
@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"null", b"\xff\xfe", b'"{}"', b"[" * 100_000])
def test_bodies_that_are_no_object_lack_their_parameters(call: Caller, content: bytes, stage: str) -> None:
    headers = {"content-type": "application/json"}
    response = call("POST", f"{stage}{API}/registered-models/create", content=content, headers=headers)
    assert (response.status_code, response.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert "Missing value for required parameter 'name'" in response.json()["message"]


@pytest.mark.parametrize("stage", ["", "/live"])
def test_a_body_encoded_twice_is_understood_and_another_type_refused(call: Caller, stage: str) -> None:
    twice = json.dumps(json.dumps({"name": "bert"}))
    json_type = {"content-type": "application/json; charset=utf-8"}
    made = call("POST", f"{stage}{API}/registered-models/create", content=twice, headers=json_type)
    assert made.status_code == 200
    form = {"content-type": "application/x-www-form-urlencoded"}
    response = call("POST", f"{stage}{API}/registered-models/create", content="name=x", headers=form)
    assert response.json()["error_code"] == "INVALID_PARAMETER_VALUE"
    assert "Content-Type must be application/json" in response.json()["message"]


def test_a_tags_value_that_is_null_is_empty(call: Caller) -> None:
    made = call("POST", f"{API}/registered-models/create", {"name": "bert", "tags": [{"key": "k", "value": None}]})
    assert made.json()["registered_model"]["tags"] == [{"key": "k", "value": ""}]


def test_of_a_parameter_given_twice_the_first_counts(call: Caller) -> None:
    for name in ("bert", "gpt"):
        call("POST", f"{API}/registered-models/create", {"name": name})
    found = call("GET", f"{API}/registered-models/get?name=bert&name=gpt")
    assert found.json()["registered_model"]["name"] == "bert"


def test_own_calls_take_json_whatever_its_type_is_called(call: Caller) -> None:
    """So ``curl -d`` does, as with the vector API; what is no object is said to be none."""
    form = {"content-type": "application/x-www-form-urlencoded"}
    asked = json.dumps({"path": "w", "size": 1, "sha256": "a" * 64})
    assert call("POST", "/v1/models/bert/uploads", content=asked, headers=form).status_code == 201
    for content in ("{", "[1]", "null", "name=x"):
        response = call("POST", "/v1/models/bert/uploads", content=content, headers=form)
        assert (response.status_code, response.json()["detail"]) == (400, "The body must be a JSON object.")


def test_oversize_bodies_are_413(call: Caller) -> None:
    response = call("POST", f"{API}/registered-models/create", {"name": "x", "description": "y" * 3_000_000})
    assert response.status_code == 413


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


_VALUES = (
    "bert",
    "1",
    "None",
    "s3://b/x",
    "mlflow-artifacts:/x",
    "https://example.test",
    "a/b",
    "0" * 64,
    "name = 'x'",
)
_NAMES = [
    "name",
    "version",
    "new_name",
    "key",
    "value",
    "alias",
    "stage",
    "stages",
    "source",
    "tags",
    "max_results",
    "page_token",
    "filter",
    "order_by",
    "description",
    "run_id",
    "run_link",
    "archive_existing_versions",
    "url",
    "events",
    "event",
    "status",
    "secret",
    "path",
    "num_parts",
    "upload_id",
    "parts",
    "size",
    "sha256",
]


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    route=st.sampled_from([route for route in ROUTES if "mlflow" in route.path or route.path.startswith("/v1/models")]),
    inside=st.text(min_size=1, max_size=8) | st.sampled_from(_VALUES),
    values=st.fixed_dictionaries({}, optional={name: _JSON | st.sampled_from(_VALUES) for name in _NAMES}),
)
def test_no_input_is_a_server_error(call: Caller, route: Any, inside: str, values: dict[str, Any]) -> None:
    path = re.sub(r"\{\w+\+?\}", lambda _: quote(inside, safe=""), route.path)
    if route.method == "GET":
        params = {key: json.dumps(value) if not isinstance(value, str) else value for key, value in values.items()}
        response = call("GET", path, params=params)
    else:
        response = call(route.method, path, values)
    assert response.status_code < 500, response.text


def test_a_download_link_is_what_the_caller_can_reach(call: Caller) -> None:
    created(call, source="mlflow-artifacts:/models/b e/1")
    path = f"{API}/model-versions/get-download-uri?name=bert&version=1"
    tail = f"{PROXY}/models/b%20e/1"
    assert call("GET", path).json() == {"artifact_uri": f"http://registry.test{tail}"}
    behind = {"x-anfl-host": "api.test", "x-anfl-path": f"/live{API}/model-versions/get", "x-forwarded-proto": "https"}
    assert call("GET", f"/live{path}", headers=behind).json() == {"artifact_uri": f"https://api.test/live{tail}"}


def test_a_source_given_as_the_proxys_url_lies_in_the_store(call: Caller, registry: Registry) -> None:
    created(call, source=f"http://registry.test{PROXY}/models/bert")
    created(call, source=f"http://elsewhere.test{PROXY}/models/bert")
    locations = [registry.versions.get("acme", "bert", number).version.location for number in (1, 2)]
    assert locations == ["mlflow-artifacts:/models/bert", f"http://elsewhere.test{PROXY}/models/bert"]


def test_a_source_that_names_a_host_lies_in_the_store_only_if_that_is_the_hosts(
    call: Caller, registry: Registry
) -> None:
    """What lies at that path here says nothing of what another host gives for it: it is not inspected, nor frozen."""
    assert call("PUT", f"{PROXY}/models/bert/weights", content=b"x").status_code == 200
    elsewhere = "mlflow-artifacts://elsewhere.test:5000/models/bert"
    for source in (elsewhere, "mlflow-artifacts://registry.test/models/bert"):
        created(call, source=source)
    versions = [registry.versions.get("acme", "bert", number) for number in (1, 2)]
    assert [one.version.location for one in versions] == [elsewhere, "mlflow-artifacts:/models/bert"]
    uris = [call("GET", f"{API}/model-versions/get-download-uri?name=bert&version={n}").json() for n in (1, 2)]
    assert [uri["artifact_uri"] for uri in uris] == [elsewhere, f"http://registry.test{PROXY}/models/bert"]
    verdicts = [registry.verdicts.of("acme", of) for of in versions]
    assert [verdict and verdict.status for verdict in verdicts] == ["QUARANTINED", "PENDING"]
    place = Locations(registry.records.table).at("acme", "models/bert")
    assert place is not None
    assert [holder.rpartition("#")[2] for holder in place.holders] == ["2"]


@pytest.mark.parametrize("gone", ["version", "model"])
def test_a_place_that_an_earlier_release_froze_for_another_host_thaws(registry: Registry, gone: str) -> None:
    registry.models.create("acme", "bert", by="ana")
    location = "mlflow-artifacts://elsewhere.test/models/bert"
    place = partial(registry.store.place, "acme", "models/bert")
    registry.versions.create("acme", "bert", source=location, location=location, place=place, by="ana")
    if gone == "version":
        registry.versions.delete("acme", "bert", 1, by="ana")
    else:
        registry.models.delete("acme", "bert", by="ana")
    assert Locations(registry.records.table).at("acme", "models/bert") is None


def test_references_are_resolved_when_a_version_is_registered(call: Caller) -> None:
    created(call, source="s3://bucket/a")
    call("POST", f"{API}/registered-models/alias", {"name": "bert", "alias": "best", "version": "1"})
    assert created(call, source="models:/bert/1")["source"] == "models:/bert/1"
    created(call, source="models:/bert@best")
    created(call, source="models:/bert/2")
    for number in (2, 3, 4):
        response = call("GET", f"{API}/model-versions/get-download-uri?name=bert&version={number}")
        assert response.json() == {"artifact_uri": "s3://bucket/a"}


@pytest.mark.parametrize("size", [0, 10, PART_BYTES, 2 * PART_BYTES + 17])
def test_artefacts_come_back_as_they_went_in(call: Caller, size: int) -> None:
    content = os.urandom(size)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, size, 1_000_003):
            yield content[start : start + 1_000_003]

    assert call("PUT", f"{PROXY}/models/bert/the weights.bin", content=chunks()).json() == {}
    response = call("GET", f"{PROXY}/models/bert/the weights.bin")
    assert response.content == content
    assert response.headers["content-length"] == str(size)
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "attachment" in response.headers["content-disposition"]
    listing = call("GET", PROXY, params={"path": "models/bert"}).json()
    assert listing == {"files": [{"path": "the weights.bin", "is_dir": False, "file_size": size}]}


def test_ranges_and_folders_and_deletion(call: Caller) -> None:
    for path in ("a/x.txt", "a/sub/y.txt", "ab.txt"):
        call("PUT", f"{PROXY}/{path}", content=b"0123456789")
    part = call("GET", f"{PROXY}/a/x.txt", headers={"range": "bytes=2-4"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    assert call("GET", PROXY).json() == {
        "files": [{"path": "a", "is_dir": True}, {"path": "ab.txt", "is_dir": False, "file_size": 10}]
    }
    assert call("GET", PROXY, params={"path": "a/x.txt"}).json() == {}
    assert call("DELETE", f"{PROXY}/a").json() == {}
    for path in ("a/x.txt", "a/sub/y.txt"):
        missing = call("GET", f"{PROXY}/{path}")
        assert (missing.status_code, missing.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert call("GET", f"{PROXY}/ab.txt").status_code == 200


def test_another_tenants_artefacts_do_not_exist(call: Caller) -> None:
    call("PUT", f"{PROXY}/secret.txt", content=b"secret")
    assert call("GET", f"{PROXY}/secret.txt", token="other.admin").status_code == 404
    assert call("GET", PROXY, token="other.admin").json() == {}
    call("DELETE", f"{PROXY}/secret.txt", token="other.admin")
    assert call("GET", f"{PROXY}/secret.txt").content == b"secret"


@pytest.mark.parametrize(
    "path",
    [
        "..%2facme%2fsecret",
        "a/..%2f..%2fx",
        "a%252f..%252f..%252fx",
        "%2fetc/passwd",
        "a%5c..%5cx",
        "C:%5cx",
        "C:/x",
        "file:x",
        "a//b",
        "a%2f.%2fb",
        "x%00",
        "x%23y",
        "x%ef%bf%be",
        "x%ef%bf%bf",
        "x" * 1100,
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_paths_that_climb_or_hide_are_refused(call: Caller, method: str, path: str) -> None:
    response = call(method, f"{PROXY}/{path}", content=b"x" if method == "PUT" else None)
    assert (response.status_code, response.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize("name", ["a%ff", "a%fe", "%c3/x"])
def test_names_that_are_no_utf8_are_refused_and_never_taken_for_each_other(call: Caller, name: str) -> None:
    call("PUT", f"{PROXY}/a%EF%BF%BD", content=b"x")
    call("POST", f"{API}/registered-models/create", {"name": "bert"})
    for answer in (
        *(call(method, f"{PROXY}/{name}", content=b"y") for method in ("GET", "PUT", "DELETE")),
        call("POST", f"{PROXY.removesuffix('artifacts')}mpu/create/{name}", {"path": "x", "num_parts": 1}),
        call("GET", f"{PROXY}?path={name}"),
        call("GET", f"{API}/registered-models/get?name={name}"),
        call("POST", f"{API}/model-versions/create", {"name": "bert", "source": f"mlflow-artifacts:/{name}"}),
    ):
        assert answer.status_code == 400, answer.text
        assert "UTF-8" in answer.json()["message"]
    assert call("GET", f"{PROXY}/a%EF%BF%BD").content == b"x"


def test_a_source_elsewhere_may_be_of_any_bytes(call: Caller) -> None:
    assert created(call, source="s3://bucket/a%ff")["source"] == "s3://bucket/a%ff"


def test_an_upload_that_breaks_off_leaves_nothing(call: Caller, s3: Any) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * (PART_BYTES + 1)
        raise RuntimeError("the line went dead")

    call_failed = False
    try:
        call_failed = call("PUT", f"{PROXY}/half", content=broken()).status_code >= 400
    except RuntimeError:
        call_failed = True
    assert call_failed
    assert call("GET", f"{PROXY}/half").status_code == 404
    assert s3.list_multipart_uploads(Bucket="artifacts").get("Uploads", []) == []


def test_registration_asks_for_an_inspection_and_can_be_asked_again(
    call: Caller, registry: Registry, sqs: Any, queue_url: str
) -> None:
    created(call)
    path = "/v1/models/bert/versions/1/validation"
    assert call("GET", path).json()["status"] == "PENDING"
    again = call("POST", path)
    assert (again.status_code, again.json()["status"]) == (202, "PENDING")
    registry.outbox.deliver()
    asked = [json.loads(record["body"]) for record in received(sqs, queue_url)]
    assert [(one["tenant"], one["name"], one["version"]) for one in asked] == [("acme", "bert", 1)] * 2


def test_what_lies_elsewhere_is_quarantined_at_once(call: Caller, registry: Registry, sqs: Any, queue_url: str) -> None:
    created(call, source="s3://bucket/model")
    registry.outbox.deliver()
    verdict = call("GET", "/v1/models/bert/versions/1/validation").json()
    assert (verdict["status"], verdict["reasons"][0]["code"]) == ("QUARANTINED", "source_not_inspectable")
    assert received(sqs, queue_url) == []


def test_a_missing_version_has_no_validation(call: Caller) -> None:
    response = call("GET", "/v1/models/bert/versions/1/validation")
    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")
    assert response.json()["code"] == "resource_does_not_exist"


def test_bytes_that_are_not_the_recorded_ones_never_arrive_whole(
    call: Caller, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("PUT", f"{PROXY}/m/weights", content=b"x" * 3_000_000)
    whole = call("GET", f"{PROXY}/m/weights")
    assert len(whole.content) == 3_000_000
    stored = registry.artifacts.newest("acme", "m/weights")
    monkeypatch.setattr(registry.store, "_recorded", lambda *_: {("m/weights", stored.version): "0" * 64})

    async def download() -> bytes:
        transport = httpx.ASGITransport(call._service, raise_app_exceptions=False)
        received = b""
        headers = {"authorization": f"Bearer {ADMIN}"}
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://registry.test") as client,
            client.stream("GET", f"{PROXY}/m/weights", headers=headers) as response,
        ):
            async for chunk in response.aiter_raw():
                received += chunk
        return received

    assert len(asyncio.run(download())) < 3_000_000


def test_an_upload_holds_no_more_than_a_part_in_memory() -> None:
    size = 64 * 1024 * 1024

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b"\x00" * (1024 * 1024)

    class Counting:
        """S3 that keeps nothing."""

        def __init__(self) -> None:
            self.parts: list[int] = []

        def create_multipart_upload(self, **_: Any) -> dict[str, str]:
            return {"UploadId": "1"}

        def upload_part(self, *, Body: bytes, **_: Any) -> dict[str, str]:  # noqa: N803
            self.parts.append(len(Body))
            return {"ETag": "e"}

        def complete_multipart_upload(self, **_: Any) -> dict[str, str]:
            return {"VersionId": "v"}

    async def feed(writer: Writer) -> None:
        async for chunk in chunks():
            if writer.wants_flush(chunk):
                writer.flush()

    s3 = Counting()
    writer = Writer(bucket="b", path="p", key="k", client=s3)  # type: ignore[arg-type]
    tracemalloc.start()
    try:
        asyncio.run(feed(writer))
        stored, sha256 = writer.finish()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (stored.size, sum(s3.parts)) == (size, size)
    assert sha256 == hashlib.sha256(bytes(size)).hexdigest()
    assert peak < 4 * PART_BYTES


def test_uploads_past_the_service(call: Caller) -> None:
    body = {"path": "1/weights", "size": 3, "sha256": hashlib.sha256(b"abc").hexdigest()}
    answer = call("POST", "/v1/models/bert/uploads", body)
    assert answer.status_code == 201
    given = answer.json()
    assert (given["path"], given["expires_in"]) == ("models/bert/1/weights", 900)
    assert given["headers"].keys() == {"content-length", "x-amz-checksum-sha256", "if-none-match"}
    for wrong in ({"size": -1}, {"size": 6 * 1024**3}, {"sha256": "0"}, {"sha256": "a" * 66}, {"path": "../x"}):
        refusal = call("POST", "/v1/models/bert/uploads", body | wrong)
        assert (refusal.status_code, refusal.json()["code"]) == (400, "invalid_parameter_value")


def test_a_page_ends_before_it_is_more_than_the_gateway_passes_on(
    call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is asked for; only what is too large by itself comes alone."""
    monkeypatch.setattr("anfl.registry.pages.MAX_PAGE_BYTES", 30_000)
    values = ['"' * 4000, "\x01" * 900, "é" * 3000, "x" * 60_000, "", "x" * 6000]
    small = [{"key": f"k{number}", "value": ""} for number in range(100)]
    names = [f"m{number}" for number in range(len(values))]
    for name, value in zip(names, values, strict=True):
        call("POST", f"{API}/registered-models/create", {"name": name, "tags": small})
        tags = [*small, {"key": "large", "value": value}]
        assert call(
            "POST", f"{API}/model-versions/create", {"name": name, "source": "s3://x/y", "tags": tags}
        ).is_success
    for path, kind in (("registered-models", "registered_models"), ("model-versions", "model_versions")):
        for order in ("name", "last_updated_timestamp"):
            seen, pages = list[str](), 0
            token: str | None = ""
            while token is not None:
                parameters = {"order_by": order, "page_token": token}
                answer = call("GET", f"{API}/{path}/search?{urlencode(parameters)}")
                found = [one["name"] for one in answer.json()[kind]]
                assert len(answer.content) <= 30_000 + 200 or found == ["m3"]
                seen += found
                pages += 1
                token = answer.json().get("next_page_token")
            assert seen == names
            assert pages < len(names)


def test_parts_are_put_past_the_service(call: Caller, s3: Any) -> None:
    base = "/api/2.0/mlflow-artifacts"
    begun = call("POST", f"{base}/mpu/create/m/1", {"path": "/data/weights", "num_parts": 1}).json()
    assert [credential["part_number"] for credential in begun["credentials"]] == [1]
    key = "acme/m/1/weights"
    (s3_id,) = parse_qs(urlsplit(begun["credentials"][0]["url"]).query)["uploadId"]
    etag = s3.upload_part(Bucket="artifacts", Key=key, UploadId=s3_id, PartNumber=1, Body=b"x")["ETag"]
    done = {"path": "weights", "upload_id": begun["upload_id"], "parts": [{"part_number": 1, "etag": etag, "url": ""}]}
    for _ in ("done", "asked again, because nothing was heard"):
        answer = call("POST", f"{base}/mpu/complete/m/1", done)
        assert (answer.status_code, answer.json()) == (200, {})
    assert call("GET", f"{PROXY}/m/1/weights").headers["x-anfl-sha256"] == hashlib.sha256(b"x").hexdigest()
    linked = call("GET", f"{base}/presigned/m/1/weights").json()
    assert (linked["file_size"], linked["headers"]) == (1, {})
    gone = call("POST", f"{base}/mpu/abort/m/1", done)
    assert (gone.status_code, gone.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_a_registered_place_is_frozen_in_mlflows_form(call: Caller) -> None:
    call("PUT", f"{PROXY}/models/bert/weights", content=b"x")
    created(call)
    answer = call("PUT", f"{PROXY}/models/bert/weights", content=b"y")
    assert (answer.status_code, answer.json()["error_code"]) == (409, "RESOURCE_CONFLICT")


def test_no_answer_bears_headers_of_an_earlier_one(call: Caller) -> None:
    for _ in range(3):
        answer = call("GET", "/v1/models/openapi.json", token=None)
        assert len(answer.headers.get_list("x-request-id")) == 1
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"]


def test_the_description_names_every_route_of_v1(call: Caller) -> None:
    described = call("GET", "/v1/models/openapi.json", token=None).json()
    validate(described)
    wanted = {(route.path, route.method.lower()) for route in ROUTES if route.path.startswith("/v1/models")}
    assert {(path, method) for path, methods in described["paths"].items() for method in methods} == wanted
    assert {"Verdict", "Upload", "UploadRequest"} <= described["components"]["schemas"].keys()


def test_health(call: Caller) -> None:
    assert call("GET", "/health/live", token=None).status_code == 200
    assert call("GET", "/health/ready", token=None).status_code == 200


def test_head_tells_of_a_file_and_reads_none_of_it(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    call("PUT", f"{PROXY}/models/bert/weights.bin", content=b"12345")
    shown = call("GET", f"{PROXY}/models/bert/weights.bin")
    read: list[int | None] = []
    monkeypatch.setattr(StreamingBody, "read", lambda _self, amount=None: read.append(amount))
    told = call("HEAD", f"{PROXY}/models/bert/weights.bin")
    assert (told.status_code, told.content, read) == (200, b"", [])
    own = {"x-request-id"}
    assert {k: v for k, v in told.headers.items() if k not in own} == {
        k: v for k, v in shown.headers.items() if k not in own
    }
    part = call("HEAD", f"{PROXY}/models/bert/weights.bin", headers={"range": "bytes=1-2"})
    assert (part.status_code, part.headers["content-range"], read) == (206, "bytes 1-2/5", [])
    assert call("HEAD", f"{PROXY}/models/bert/none").status_code == 404


def test_a_list_of_parts_has_room_for_the_links_that_mlflow_sends_along(call: Caller) -> None:
    base = PROXY.removesuffix("/artifacts")
    parts = [{"part_number": n, "etag": "e" * 34, "url": "https://s3/" + "x" * 1850} for n in range(1, 5001)]
    begun = call("POST", f"{base}/mpu/create/m/1", {"path": "weights", "num_parts": 1}).json()
    asked = {"path": "weights", "upload_id": begun["upload_id"], "parts": parts}
    refused = call("POST", f"{base}/mpu/complete/m/1", asked)
    assert (refused.status_code, "not the parts that were uploaded" in refused.text) == (400, True)
    assert call("POST", f"{base}/mpu/complete/m/1", asked | {"path": "x" * 1_000_000}).status_code == 413


@pytest.mark.parametrize(
    "before", ["http://registry.test/api/2.0/mlflow-artifacts/artifacts/", "mlflow-artifacts://registry.test/"]
)
def test_a_doubled_slash_makes_no_folder_a_host(call: Caller, before: str) -> None:
    call("PUT", f"{PROXY}/models/bert/weights.bin", content=b"1")
    created(call, source=f"{before}/models/bert")
    uri = call("GET", f"{API}/model-versions/get-download-uri?name=bert&version=1").json()["artifact_uri"]
    assert uri == f"http://registry.test{PROXY}/models/bert"
    assert call("PUT", f"{PROXY}/models/bert/weights.bin", content=b"2").status_code == 409
