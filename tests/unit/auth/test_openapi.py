"""The description of ``/v1/auth``: complete, as it is committed, and true of what the function answers."""

import json
from typing import Any

import msgspec
from openapi_schema_validator import validate as check
from openapi_spec_validator import validate

from anfl.auth.openapi import OPERATIONS, document
from anfl.auth.principal import Role
from anfl.auth.rbac import PUBLIC_ROUTES, ROUTES
from anfl.auth.vault_setup import VaultSetup
from local.state import REPOSITORY
from tests.unit.auth.functions import Handler, answered, event

PLACE = REPOSITORY / "docs" / "auth_openapi.json"


def test_the_committed_description_is_what_the_types_say() -> None:
    assert json.loads(PLACE.read_text()) == msgspec.to_builtins(document()), "run 'make openapi'"


def test_it_is_openapi_3_1() -> None:
    validate(document())
    assert r"\A" not in PLACE.read_text(), "an anchor of Python's alone"


def test_it_has_every_route_and_says_which_are_open() -> None:
    routes = {(route.method, route.path) for route in ROUTES if route.path.startswith("/v1/auth/")}
    public = {route for route in PUBLIC_ROUTES if route[1].startswith("/v1/auth/")}
    assert {(call.method, call.path) for call in OPERATIONS} == routes | public
    assert {(call.method, call.path) for call in OPERATIONS if not call.guarded} == public


def test_answers_are_as_described(ready: VaultSetup, auth: Handler) -> None:
    client = ready.ensure_client("reader", tenant="demo", roles=[Role.READER])
    body = {"grant": "approle", "role_id": client.role_id, "secret_id": client.secret_id}
    token = answered(auth(event("POST", "/v1/auth/token", body=body), None), 200)
    given: dict[tuple[str, str], Any] = {("POST", "/v1/auth/token"): token}
    for call in OPERATIONS[1:]:
        asked = event(call.method, call.path, token=token["access_token"])
        given[call.method, call.path] = answered(auth(asked, None), 200)
    for call in OPERATIONS:
        assert call.answer is not None
        _check(call.answer.__name__, given[call.method, call.path])
    _check("AppRole", body)
    _check("Problem", answered(auth(event("GET", "/v1/auth/whoami"), None), 401))


def _check(schema: str, given: object) -> None:
    described = document()
    check(given, {"$ref": f"#/components/schemas/{schema}", "components": described["components"]})
