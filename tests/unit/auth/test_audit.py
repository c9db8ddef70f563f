"""Decisions are told with who, what, why and for which request; tokens and credentials never are."""

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest

from anfl.auth.audit import LOGGER
from anfl.auth.principal import Role, new_login
from anfl.auth.vault_setup import VaultSetup
from anfl.http.answers import Response, json_response
from anfl.http.requests import Request
from anfl.http.service import Service, build
from anfl.telemetry.logs import JsonFormatter
from tests.unit.auth.functions import Handler, answered, authorise, event, issue, token_request
from tests.unit.auth.tokens import claims, new_key, signed, verifier

KEY = new_key()
COLLECTION = "/v1/collections/c/vectors"


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Everything that is logged, as it is written."""
    found: list[str] = []
    formatter = JsonFormatter()

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(formatter.format(record))

    root, keeper = logging.getLogger(), Keeper()
    level = root.level
    root.addHandler(keeper)
    root.setLevel("INFO")
    yield found
    root.removeHandler(keeper)
    root.setLevel(level)


def decisions(lines: list[str]) -> list[dict[str, Any]]:
    return [entry for entry in map(json.loads, lines) if entry["logger"] == LOGGER]


async def stored(_request: Request, _principal: object) -> Response:
    return json_response({})


async def failing(_request: Request, _principal: object) -> Response:
    raise RuntimeError("an error of ours")


@pytest.fixture
def service() -> Service:
    routes = {
        ("PUT", "/v1/collections/{name}/vectors"): stored,
        ("GET", "/v1/collections/{name}/vectors"): stored,
        ("PATCH", "/v1/collections/{name}/vectors"): failing,
    }
    return build(routes, verifier=verifier(KEY), max_body=100, ready=lambda: None)


def call(service: Service, method: str, *headers: tuple[str, str], more: str = "") -> int:
    async def send() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(service), base_url="http://service") as client:
            return (
                await client.request(method, COLLECTION + more, headers=list(headers), content=b"canary")
            ).status_code

    return asyncio.run(send())


def test_a_service_tells_who_wrote_and_who_was_refused(service: Service, lines: list[str]) -> None:
    writer, reader = (signed(KEY, claims(sub=f"demo.{role}", roles=[role], jti=role)) for role in ("writer", "reader"))
    asked = ("x-request-id", "asked-1")
    assert call(service, "PUT", ("authorization", f"Bearer {writer}"), asked) == 200
    assert call(service, "PUT", ("authorization", f"Bearer {reader}"), asked) == 403
    assert call(service, "PUT", ("authorization", f"Bearer {reader[:-9]}AAAAAAAAA"), asked) == 401
    assert call(service, "PUT", asked) == 401

    told = [(each["message"], each["decision"], each["reason"], each.get("subject")) for each in decisions(lines)]
    assert told == [
        ("authentication", "allow", "token_verified", "demo.writer"),
        ("authorisation", "allow", "granted", "demo.writer"),
        ("authentication", "allow", "token_verified", "demo.reader"),
        ("authorisation", "deny", "forbidden", "demo.reader"),
        ("authentication", "deny", "token_signature", None),
        ("authentication", "deny", "token_missing", None),
    ]
    for each in decisions(lines):
        assert (each["request_id"], each["method"], each["path"], each["action"]) == (
            "asked-1",
            "PUT",
            COLLECTION,
            "vectors:write",
        )


def test_a_service_writes_no_secret_of_a_request_whatever_becomes_of_it(service: Service, lines: list[str]) -> None:
    good, reader = (signed(KEY, claims(sub=f"demo.{role}", roles=[role], jti=role)) for role in ("writer", "reader"))
    forged = f"{good[:-9]}canary-AA"
    canaries = [(name, "canary ;") for name in ("cookie", "x-api-key", "x-request-id")]
    asked = (
        ("PUT", f"Bearer {good}", 200),
        ("PATCH", f"Bearer {good}", 500),
        ("PUT", f"Bearer {reader}", 403),
        ("PUT", f"Bearer {forged}", 401),
        ("PUT", "Bearer canary", 401),
        ("PUT", f"Basic {good}", 401),
    )
    for method, bearer, status in asked:
        assert call(service, method, ("authorization", bearer), *canaries, more=f"?token={good}") == status

    written = [line for line in lines if json.loads(line)["logger"] != "httpx"]  # which is the client's
    told = {json.loads(line)["message"] for line in written}
    assert told >= {"authentication", "authorisation", "request", "unexpected error"}
    secrets = ["canary", *(part for token in (good, reader) for part in token.split(".")[1:])]
    assert [secret for secret in secrets if any(secret in line for line in written)] == []


def test_reading_is_told_where_it_is_refused_and_not_each_time_it_is_not(service: Service, lines: list[str]) -> None:
    bearer = ("authorization", f"Bearer {signed(KEY)}")
    for _ in range(3):
        assert call(service, "GET", bearer) == 200
    assert [each["message"] for each in decisions(lines)] == ["authentication"]


def test_two_authorization_headers_are_refused(service: Service, lines: list[str]) -> None:
    good, forged = (("authorization", f"Bearer {token}") for token in (signed(KEY), "a.b.c"))
    for pair in ((good, forged), (forged, good), (good, good)):
        assert call(service, "GET", *pair) == 401
    assert {each["reason"] for each in decisions(lines)} == {"token_ambiguous"}


def test_functions_tell_every_decision_and_no_canary(
    ready: VaultSetup, auth: Handler, authorizer: Handler, lines: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    client = ready.ensure_client("reader", tenant="demo", roles=[Role.READER])
    token = issue(auth, client)
    refreshed = answered(auth(event("POST", "/v1/auth/token", body={"grant": "refresh", "token": token}), None), 200)
    forged = f"{token[:-9]}canaryAAA"
    authorise(authorizer, token)
    with pytest.raises(Exception, match=r"\AUnauthorized\Z"):
        authorise(authorizer, forged)
    request = event("GET", "/v1/auth/whoami", token=token) | {"requestContext": {"requestId": "gateway-1"}}
    answered(auth(request, None), 200)
    answered(auth(event("GET", "/v1/auth/whoami", token=forged), None), 401)
    answered(auth(token_request(client, secret_id="canary-secret"), None), 401)
    answered(auth(event("POST", "/v1/auth/revoke", body={"token_id": new_login()}, token=token), None), 403)
    answered(auth(event("POST", "/v1/auth/revoke", token=token), None), 200)
    follower = jwt.decode(refreshed["access_token"], options={"verify_signature": False})["jti"]
    answered(auth(event("POST", "/v1/auth/revoke", body={"token_id": follower}, token=token), None), 200)

    told = [(each["message"], each["decision"], each["reason"]) for each in decisions(lines)]
    assert told == [
        ("token_issued", "allow", "approle"),
        ("token_issued", "allow", "refresh"),
        ("authentication", "allow", "token_verified"),
        ("authentication", "deny", "token_signature"),
        ("authentication", "allow", "token_verified"),
        ("authentication", "deny", "token_signature"),
        ("authentication", "deny", "invalid_credentials"),
        ("authentication", "allow", "token_verified"),
        ("authorisation", "deny", "forbidden"),
        ("authentication", "allow", "token_verified"),
        ("token_revoked", "allow", "own"),
        ("authentication", "allow", "token_verified"),
        ("token_revoked", "allow", "own"),
    ]
    assert decisions(lines)[4]["request_id"] == "gateway-1"
    written = "\n".join(lines) + "".join(capfd.readouterr())
    secrets = [client.secret_id, client.role_id, "canary", token, forged, refreshed["access_token"]]
    secrets += [part for secret in (token, refreshed["access_token"]) for part in secret.split(".")[1:]]
    assert [secret for secret in secrets if secret in written] == []
