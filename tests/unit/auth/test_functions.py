"""The functions `auth` and `authorizer`, as API Gateway invokes them, against a running Vault and table."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import hvac
import jwt
import msgspec
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from requests.adapters import HTTPAdapter

from anfl.auth.identity_request import former, signed
from anfl.auth.keys import DenyList
from anfl.auth.names import server_id
from anfl.auth.principal import Principal, Role, new_login
from anfl.auth.rbac import ROUTES, is_allowed
from anfl.auth.table import AuthTable
from anfl.auth.vault import VaultClient
from anfl.auth.vault_setup import ClientCredentials, VaultSetup
from anfl.auth.verifier import Claims, principal_of
from tests.unit.auth.conftest import AUDIENCE, ENVIRONMENT, ISSUER, REGION, IamIdentity, RunningVault
from tests.unit.auth.functions import METHOD_ARN, Handler, answered, authorise, event, issue, load, token_request


def test_exchange_gives_a_short_token_that_the_published_keys_verify(ready: VaultSetup, auth: Handler) -> None:
    client = ready.ensure_client("reader", tenant="demo", roles=[Role.READER])

    response = auth(token_request(client), None)

    answer = answered(response, 200)
    assert response["headers"]["cache-control"] == "no-store"
    assert answer["token_type"] == "Bearer"
    assert answer["expires_in"] == 900
    jwks = answered(auth(event("GET", "/v1/auth/jwks.json"), None), 200)
    [key] = jwks["keys"]
    assert key["kid"] == f"{REGION}.1"
    assert "d" not in key
    claims = jwt.decode(answer["access_token"], jwt.PyJWK(key), ["ES256"], audience=AUDIENCE, issuer=ISSUER)
    assert (claims["sub"], claims["tenant"], claims["roles"]) == ("demo.reader", "demo", ["reader"])
    assert claims["exp"] - claims["iat"] == 900
    assert claims["nbf"] == claims["iat"] <= time.time()


def test_whoami_tells_the_bearer(ready: VaultSetup, auth: Handler) -> None:
    client = ready.ensure_client("boss", tenant="demo", roles=[Role.ADMIN, Role.WRITER])

    answer = answered(auth(event("GET", "/v1/auth/whoami", token=issue(auth, client)), None), 200)

    assert answer["subject"] == "demo.boss"
    assert answer["tenant"] == "demo"
    assert answer["roles"] == ["admin", "writer"]
    assert answer["expires_at"] > time.time()


def test_body_may_come_base64_encoded(ready: VaultSetup, auth: Handler) -> None:
    client = ready.ensure_client("reader", tenant="demo", roles=[Role.READER])
    request = token_request(client)
    request |= {"body": base64.b64encode(request["body"].encode()).decode(), "isBase64Encoded": True}

    answered(auth(request, None), 200)


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        ("{", 400, "malformed_json"),
        ("", 400, "invalid_request"),
        ("\x00\xff", 400, "malformed_json"),
        ("[]", 400, "invalid_request"),
        ("{}", 400, "invalid_request"),
        ('{"grant": "password", "role_id": "r", "secret_id": "s"}', 400, "invalid_request"),
        ('{"grant": "approle", "role_id": 1, "secret_id": "s"}', 400, "invalid_request"),
        ('{"grant": "approle", "role_id": "", "secret_id": "s"}', 400, "invalid_request"),
        ('{"grant": "approle", "role_id": " \\n", "secret_id": "s"}', 400, "invalid_request"),
        ('{"grant": "approle", "role_id": "r", "secret_id": "\\u3000"}', 400, "invalid_request"),
        ('{"grant": "approle", "role_id": "r", "secret_id": "s", "tenant": "other"}', 400, "invalid_request"),
        ("[" * 3000, 400, "invalid_request"),
        ("x" * (16 * 1024 + 1), 413, "too_large"),
    ],
)
def test_token_requests_that_are_refused(auth: Handler, raw: str, status: int, code: str) -> None:
    response = auth(event("POST", "/v1/auth/token", raw=raw), None)

    assert response["headers"]["content-type"] == "application/problem+json"
    assert answered(response, status)["code"] == code


@pytest.mark.usefixtures("ready")
def test_strange_credentials_are_wrong_credentials(auth: Handler) -> None:
    for role_id, secret_id in (("r", "s"), ("ä\x00", "😀"), ("../../sys", "x" * 256)):
        response = auth(token_request(ClientCredentials(role_id=role_id, secret_id=secret_id)), None)
        assert answered(response, 401)["code"] == "invalid_credentials"


def test_secret_id_of_another_client_is_refused(ready: VaultSetup, auth: Handler) -> None:
    reader = ready.ensure_client("reader", tenant="demo", roles=[Role.READER])
    admin = ready.ensure_client("admin", tenant="demo", roles=[Role.ADMIN])

    response = auth(token_request(reader, role_id=admin.role_id), None)

    assert answered(response, 401)["code"] == "invalid_credentials"


def test_a_login_without_tenant_gets_no_token(ready: VaultSetup, auth: Handler, vault: RunningVault) -> None:
    ready.ensure_client("stray", tenant="demo", roles=[Role.READER])
    approle = vault.client().attempt(lambda client: client).auth.approle
    role_id = approle.read_role_id("demo.stray")["data"]["role_id"]
    secret_id = approle.generate_secret_id("demo.stray")["data"]["secret_id"]

    response = auth(token_request(ClientCredentials(role_id=role_id, secret_id=secret_id)), None)

    assert answered(response, 403)["code"] == "no_roles"


def test_vault_outage_is_told_as_503_soon(ready: VaultSetup, auth: Handler, vault: RunningVault) -> None:
    client = ready.ensure_client("reader", tenant="demo", roles=[Role.READER])
    issue(auth, client)  # what a cold start costs is not the outage's
    vault.stop()

    started = time.monotonic()
    response = auth(token_request(client), None)

    assert answered(response, 503)["code"] == "vault_unavailable"
    assert "retry-after" in response["headers"]
    assert time.monotonic() - started < 2


def test_empty_vault_is_an_outage(auth: Handler) -> None:
    response = auth(token_request(ClientCredentials(role_id="r", secret_id="s")), None)

    assert answered(response, 503)["code"] == "vault_unavailable"


def test_whoami_without_token_and_unknown_route(auth: Handler) -> None:
    assert answered(auth(event("GET", "/v1/auth/whoami"), None), 401)["code"] == "token_missing"
    assert answered(auth(event("GET", "/v1/auth/whoami", token="a.b.c"), None), 401)["code"] == "token_malformed"
    assert answered(auth(event("DELETE", "/v1/auth/token"), None), 404)["code"] == "no_such_route"


def test_policy_allows_exactly_the_routes_of_the_role(ready: VaultSetup, auth: Handler, authorizer: Handler) -> None:
    api = METHOD_ARN.split("/")[0]
    for role in Role:
        token = issue(auth, ready.ensure_client("client", tenant="demo", roles=[role]))

        answer = authorise(authorizer, token)

        assert answer["principalId"] == "demo.client"
        assert answer["context"] == {"tenant": "demo", "subject": "demo.client", "roles": role.value}
        assert len(json.dumps(answer)) < 8192
        [statement] = answer["policyDocument"]["Statement"]
        assert statement["Effect"] == "Allow"
        principal = Principal(subject="s", tenant="demo", roles=frozenset({role}), token_id="t", expires_at=0)
        for route in ROUTES:
            requested = f"{api}/live/{route.iam_resource().replace('*', 'some%2Fname')}"
            allowed = any(fnmatchcase(requested, pattern) for pattern in statement["Resource"])
            assert allowed == is_allowed(principal, route.action), (role, route)


def test_roles_add_up_in_the_policy(ready: VaultSetup, auth: Handler, authorizer: Handler) -> None:
    token = issue(auth, ready.ensure_client("client", tenant="demo", roles=[Role.WRITER, Role.REGISTRAR]))

    resources = authorise(authorizer, token)["policyDocument"]["Statement"][0]["Resource"]

    api = METHOD_ARN.split("/")[0]
    for wanted in ("PUT/v1/collections/c/vectors", "POST/api/2.0/mlflow/registered-models/create"):
        assert any(fnmatchcase(f"{api}/live/{wanted}", pattern) for pattern in resources)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer a.b.c", "Bearer ä.ö.ü"])
def test_strangers_are_unauthorized(authorizer: Handler, header: str | None) -> None:
    with pytest.raises(Exception, match=r"\AUnauthorized\Z"):
        authorizer({"type": "TOKEN", "authorizationToken": header, "methodArn": METHOD_ARN}, None)


def test_vault_has_the_last_word(ready: VaultSetup, auth: Handler, authorizer: Handler, vault: RunningVault) -> None:
    """A token that passes every local check is nobody's when Vault does not know its key."""
    token = issue(auth, ready.ensure_client("client", tenant="demo", roles=[Role.ADMIN]))
    stranger = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = stranger.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    vault.client().attempt(lambda client: client.auth.jwt.configure(jwt_validation_pubkeys=[pem]))

    with pytest.raises(Exception, match=r"\AUnauthorized\Z"):
        authorise(authorizer, token)


def test_vault_that_is_not_set_up_is_an_outage(
    ready: VaultSetup, auth: Handler, authorizer: Handler, vault: RunningVault
) -> None:
    token = issue(auth, ready.ensure_client("client", tenant="demo", roles=[Role.ADMIN]))
    vault.client().attempt(lambda client: client.adapter.delete("/v1/auth/jwt/role/anfl"))

    with pytest.raises(Exception, match="vault_unavailable"):
        authorise(authorizer, token)


def test_revoked_token_is_unauthorized(ready: VaultSetup, auth: Handler, authorizer: Handler, table: AuthTable) -> None:
    token = issue(auth, ready.ensure_client("client", tenant="demo", roles=[Role.ADMIN]))
    claims = jwt.decode(token, options={"verify_signature": False})
    table.revoke(f"demo/{claims['jti']}", expires_at=claims["exp"])

    with pytest.raises(Exception, match=r"\AUnauthorized\Z"):
        authorise(authorizer, token)


def test_vault_outage_is_not_unauthorized_and_spares_decided_tokens(
    ready: VaultSetup, auth: Handler, authorizer: Handler, vault: RunningVault
) -> None:
    client = ready.ensure_client("client", tenant="demo", roles=[Role.READER])
    decided, fresh = issue(auth, client), issue(auth, client)
    authorise(authorizer, decided)
    vault.stop()

    assert authorise(authorizer, decided)["principalId"] == "demo.client"
    with pytest.raises(Exception, match="vault_unavailable"):
        authorise(authorizer, fresh)


def test_both_functions_measure_what_came_of_a_call(
    ready: VaultSetup, auth: Handler, authorizer: Handler, capsys: pytest.CaptureFixture[str]
) -> None:
    client = ready.ensure_client("measured", tenant="demo", roles=[Role.READER])
    token = issue(auth, client)
    authorizer({"authorizationToken": f"Bearer {token}", "methodArn": METHOD_ARN}, None)
    with pytest.raises(Exception, match=r"^Unauthorized$"):
        authorizer({"authorizationToken": "Bearer forged", "methodArn": METHOD_ARN}, None)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["Function"], line["Operation"], line["Outcome"]) for line in lines] == [
        ("auth", "POST /v1/auth/token", "ok"),
        ("authorizer", "authorize", "ok"),
        ("authorizer", "authorize", "refused"),
    ]
    assert token not in json.dumps(lines)


def revoke(auth: Handler, token: str, body: object = None) -> dict[str, Any]:
    return auth(event("POST", "/v1/auth/revoke", body=body, token=token), None)


def whoami(auth: Handler, token: str) -> dict[str, Any]:
    return answered(auth(event("GET", "/v1/auth/whoami", token=token), None), 200)


def restarted(table: AuthTable, token: str) -> bool:
    """Whether a process that starts now, with no list in its memory, takes the token for revoked."""
    payload = jwt.decode(token, options={"verify_signature": False})
    bearer = msgspec.convert(payload, Claims)
    return DenyList(table.revoked).contains(principal_of(bearer))


def test_a_bearer_revokes_its_own_token_and_may_do_so_again(ready: VaultSetup, auth: Handler, table: AuthTable) -> None:
    client = ready.ensure_client("reader", tenant="demo", roles=[Role.READER])
    token, other = issue(auth, client), issue(auth, client)

    bodies: list[dict[str, str] | None] = [None, {}]
    for body in bodies:
        answer = answered(revoke(auth, token, body), 200)
        assert answer == {"token_id": whoami(auth, token)["token_id"], "refused_within": 15}

    assert restarted(table, token)
    assert not restarted(table, other)


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.ADMIN])
def test_who_operates_a_tenant_revokes_anybodys_token_of_it(
    ready: VaultSetup, auth: Handler, table: AuthTable, role: Role
) -> None:
    boss = issue(auth, ready.ensure_client("boss", tenant="demo", roles=[role]))
    stolen = issue(auth, ready.ensure_client("reader", tenant="demo", roles=[Role.READER]))

    answered(revoke(auth, boss, {"token_id": whoami(auth, stolen)["token_id"]}), 200)

    assert restarted(table, stolen)
    assert not restarted(table, boss)


def test_another_tenants_token_cannot_be_revoked_and_nothing_tells_whether_there_is_one(
    ready: VaultSetup, auth: Handler, table: AuthTable
) -> None:
    boss = issue(auth, ready.ensure_client("boss", tenant="demo", roles=[Role.ADMIN]))
    foreign = issue(auth, ready.ensure_client("reader", tenant="other", roles=[Role.READER]))
    token_id = whoami(auth, foreign)["token_id"]

    there = answered(revoke(auth, boss, {"token_id": token_id}), 200)
    nowhere = answered(revoke(auth, boss, {"token_id": new_login()}), 200)

    assert there | {"token_id": ""} == nowhere | {"token_id": ""}
    assert not restarted(table, foreign)
    for sly in (f"other/{token_id}", f"../other/{token_id}"):
        assert answered(revoke(auth, boss, {"token_id": sly}), 400)["field"] == "token_id"
    assert not restarted(table, foreign)


def test_others_tokens_take_the_role(ready: VaultSetup, auth: Handler, table: AuthTable) -> None:
    victim = issue(auth, ready.ensure_client("victim", tenant="demo", roles=[Role.READER]))
    for role in set(Role) - {Role.OPERATOR, Role.ADMIN}:
        token = issue(auth, ready.ensure_client("client", tenant="demo", roles=[role]))
        response = revoke(auth, token, {"token_id": whoami(auth, victim)["token_id"]})
        assert answered(response, 403)["code"] == "forbidden"
    assert not restarted(table, victim)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("[]", "invalid_request"),
        ('{"token_id": ""}', "invalid_request"),
        ('{"token_id": 1}', "invalid_request"),
        ('{"token_id": "no-such-token"}', "invalid_request"),
        ('{"token_id": "0F8FAD5B-D9CB-469F-A165-70867728950E"}', "invalid_request"),
        ('{"token_id": "0f8fad5b-d9cb-469f-a165-70867728950e.\\n"}', "invalid_request"),
        ('{"token_id": "\\ud800"}', "malformed_json"),
        ('{"jti": "x"}', "invalid_request"),
        ("{", "malformed_json"),
    ],
)
def test_revocations_that_make_no_sense(ready: VaultSetup, auth: Handler, body: str, code: str) -> None:
    token = issue(auth, ready.ensure_client("reader", tenant="demo", roles=[Role.READER]))

    response = auth(event("POST", "/v1/auth/revoke", raw=body, token=token), None)

    assert answered(response, 400)["code"] == code


def test_a_tenants_share_of_the_deny_list_ends_and_ones_own_login_can_still_be_revoked(
    ready: VaultSetup, auth: Handler, table: AuthTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REVOCATIONS_PER_TENANT", "6")
    auth = load("auth").handler
    boss = issue(auth, ready.ensure_client("boss", tenant="demo", roles=[Role.ADMIN]))
    reader = ready.ensure_client("reader", tenant="demo", roles=[Role.READER])
    mine = [issue(auth, reader) for _ in range(4)]
    own = [whoami(auth, token)["token_id"] for token in mine]
    others = [new_login() for _ in range(3)]

    for login in others * 2:
        answered(revoke(auth, boss, {"token_id": login}), 200)
    refused = revoke(auth, boss, {"token_id": new_login()})

    assert answered(refused, 429)["code"] == "too_many_revocations"
    assert 3600 < int(refused["headers"]["retry-after"]) <= 7200
    answered(revoke(auth, boss, {"token_id": others[0]}), 200)
    for token in mine:
        answered(revoke(auth, token), 200)
        assert restarted(table, token)
    assert table.revoked() == {f"demo/{login}" for login in [*others, *own]}
    stranger = issue(auth, ready.ensure_client("boss", tenant="other", roles=[Role.ADMIN]))
    answered(revoke(auth, stranger, {"token_id": new_login()}), 200)


def stingy(monkeypatch: pytest.MonkeyPatch, *, calls: int) -> Handler:
    """The function where each caller has so many at once, and another one after minutes."""
    monkeypatch.setenv("TOKEN_THROTTLE_RATE", "0.01")
    monkeypatch.setenv("TOKEN_THROTTLE_BURST", str(calls))
    handler: Handler = load("auth").handler
    return handler


@pytest.mark.usefixtures("auth")
def test_each_caller_may_ask_so_much_and_no_more(
    ready: VaultSetup, vault: RunningVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth = stingy(monkeypatch, calls=3)
    client = ready.ensure_client("one", tenant="demo", roles=[Role.READER])
    tokens = [issue(auth, client) for _ in range(3)]
    other = issue(auth, ready.ensure_client("other", tenant="demo", roles=[Role.READER]))
    vault.stop()  # nobody asks it any more

    refused = auth(token_request(client), None)

    assert answered(refused, 429)["code"] == "too_many_requests"
    assert 0 < int(refused["headers"]["retry-after"]) <= 100
    for _ in range(3):
        whoami(auth, tokens[0])
    for asked in (event("GET", "/v1/auth/whoami", token=tokens[1]), event("POST", "/v1/auth/revoke", token=tokens[2])):
        assert answered(auth(asked, None), 429)["code"] == "too_many_requests"
    assert answered(refresh(auth, tokens[0]), 429)["code"] == "too_many_requests"
    whoami(auth, other)


@pytest.mark.usefixtures("auth")
def test_who_claims_to_be_a_client_elsewhere_does_not_keep_it_out(
    ready: VaultSetup, auth_role: IamIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth = stingy(monkeypatch, calls=2)
    client = ready.ensure_iam_client("ci", tenant="demo", roles=[Role.READER], role_arn=auth_role.arn)
    false = iam_request(client, iam_request_headers=base64.b64encode(b"{}").decode())
    false["requestContext"] = {"identity": {"sourceIp": "203.0.113.9"}}

    assert [auth(false, None)["statusCode"] for _ in range(4)] == [401, 401, 429, 429]
    answered(auth(iam_request(client), None), 200)


@pytest.mark.usefixtures("auth")
def test_blanks_around_a_role_id_are_no_other_client(ready: VaultSetup, monkeypatch: pytest.MonkeyPatch) -> None:
    auth = stingy(monkeypatch, calls=2)
    client = ready.ensure_client("one", tenant="demo", roles=[Role.READER])
    spelled = [client.role_id, f" {client.role_id}\n", f"{client.role_id}\u3000"]

    guessed = [auth(token_request(client, role_id=role_id, secret_id="guess"), None) for role_id in spelled]

    assert [response["statusCode"] for response in guessed] == [401, 401, 429], "Vault takes all three for the client"


def test_a_stranger_revokes_nothing(auth: Handler) -> None:
    assert (
        answered(auth(event("POST", "/v1/auth/revoke", body={"token_id": "x"}), None), 401)["code"] == "token_missing"
    )


def refresh(auth: Handler, token: str) -> dict[str, Any]:
    return auth(event("POST", "/v1/auth/token", body={"grant": "refresh", "token": token}), None)


def test_a_refreshed_token_is_the_same_bearers_and_is_revoked_with_its_login(
    ready: VaultSetup, auth: Handler, authorizer: Handler, table: AuthTable
) -> None:
    first = issue(auth, ready.ensure_client("client", tenant="demo", roles=[Role.WRITER, Role.REGISTRAR]))
    second = answered(refresh(auth, first), 200)["access_token"]
    third = answered(refresh(auth, second), 200)["access_token"]

    before, after = (whoami(auth, token) for token in (first, third))
    assert {name: before[name] for name in ("subject", "tenant", "roles")} == {
        name: after[name] for name in ("subject", "tenant", "roles")
    }
    assert len({whoami(auth, token)["token_id"] for token in (first, second, third)}) == 3
    assert authorise(authorizer, third)["principalId"] == "demo.client"

    answered(revoke(auth, second), 200)

    assert [restarted(table, token) for token in (first, second, third)] == [True] * 3


def test_a_login_ends_however_often_it_is_refreshed(
    ready: VaultSetup, auth: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = ready.ensure_client("client", tenant="demo", roles=[Role.READER])
    token = issue(auth, client)
    monkeypatch.setenv("TOKEN_SESSION_SECONDS", "60")
    strict: Handler = load("auth").handler

    shorter = answered(refresh(strict, token), 200)

    assert 0 < shorter["expires_in"] <= 60
    begun = jwt.decode(token, options={"verify_signature": False})["auth_time"]
    assert jwt.decode(shorter["access_token"], options={"verify_signature": False})["exp"] == begun + 60
    monkeypatch.setenv("TOKEN_SESSION_SECONDS", "0")
    over: Handler = load("auth").handler
    assert answered(refresh(over, token), 401)["code"] == "login_ended"


def test_what_is_no_good_token_is_not_refreshed(ready: VaultSetup, auth: Handler, vault: RunningVault) -> None:
    token = issue(auth, ready.ensure_client("client", tenant="demo", roles=[Role.READER]))
    assert answered(refresh(auth, "a.b.c"), 401)["code"] == "token_malformed"
    vault.client().attempt(lambda client: client.adapter.delete("/v1/auth/jwt/role/anfl"))
    assert answered(refresh(auth, token), 503)["code"] == "vault_unavailable"


def iam_request(name: str, **changes: str) -> dict[str, Any]:
    body = {"grant": "aws_iam", "client": name, **signed(ENVIRONMENT)}
    return event("POST", "/v1/auth/token", body=body | changes)


def test_an_iam_role_is_exchanged_for_its_clients_token(
    ready: VaultSetup, auth: Handler, authorizer: Handler, auth_role: IamIdentity
) -> None:
    client = ready.ensure_iam_client("ci", tenant="demo", roles=[Role.WRITER, Role.READER], role_arn=auth_role.arn)

    token = answered(auth(iam_request(client), None), 200)["access_token"]

    identity = whoami(auth, token)
    assert (identity["subject"], identity["tenant"], identity["roles"]) == ("demo.ci", "demo", ["reader", "writer"])
    assert authorise(authorizer, token)["principalId"] == "demo.ci"


def test_an_iam_clients_login_can_do_nothing_in_vault(
    ready: VaultSetup, vault: RunningVault, auth_role: IamIdentity
) -> None:
    client = ready.ensure_iam_client("ci", tenant="demo", roles=[Role.ADMIN], role_arn=auth_role.arn)
    login = VaultClient(address=vault.address).login_client_iam(role=client, request=signed(ENVIRONMENT))

    assert login.policies == ("anfl/role/admin", "anfl/tenant/demo")
    assert (login.lifetime, login.renewable) == (60, False)
    with pytest.raises(hvac.exceptions.Forbidden):
        hvac.Client(url=vault.address, token=login.token).auth.token.lookup_self()


def test_a_client_that_is_removed_logs_in_no_more_whichever_way(
    ready: VaultSetup, auth: Handler, auth_role: IamIdentity
) -> None:
    by_iam = ready.ensure_iam_client("both", tenant="demo", roles=[Role.READER], role_arn=auth_role.arn)
    by_approle = ready.ensure_client("both", tenant="demo", roles=[Role.READER])
    issue(auth, by_approle)

    ready.remove_client("both", tenant="demo")

    assert answered(auth(token_request(by_approle), None), 401)["code"] == "invalid_credentials"
    answered(auth(iam_request(by_iam), None), 200)
    with pytest.raises(LookupError, match=r"no AppRole demo\.both in us-west-1"):
        ready.remove_client("both", tenant="demo")
    ready.remove_iam_client("both", tenant="demo")
    assert answered(auth(iam_request(by_iam), None), 401)["code"] == "invalid_credentials"
    with pytest.raises(LookupError, match=r"logs in as demo\.both"):
        ready.remove_iam_client("both", tenant="demo")


def test_what_an_iam_role_signed_for_another_vault_is_of_no_use_here(
    ready: VaultSetup, auth: Handler, auth_role: IamIdentity
) -> None:
    client = ready.ensure_iam_client("ci", tenant="demo", roles=[Role.ADMIN], role_arn=auth_role.arn)
    for elsewhere in (signed("dev"), signed("prod"), former()):
        answer = auth(iam_request(client, **elsewhere), None)
        assert answered(answer, 401)["code"] == "invalid_credentials"


def test_an_iam_role_is_nobody_elses_client(
    ready: VaultSetup, auth: Handler, iam_role: Callable[[str], IamIdentity]
) -> None:
    stranger = iam_role("anfl-test-stranger")
    client = ready.ensure_iam_client("ci", tenant="demo", roles=[Role.ADMIN], role_arn=stranger.arn)
    code = "invalid_credentials"
    assert answered(auth(iam_request(client), None), 401)["code"] == code
    assert answered(auth(iam_request("demo.absent"), None), 401)["code"] == code
    for changes in (
        {"iam_request_url": base64.b64encode(b"https://evil.example.test/").decode()},
        {"iam_request_headers": base64.b64encode(b"{}").decode()},
        {"iam_request_headers": "%%%"},
        {"iam_request_body": base64.b64encode(b"Action=DeleteUser&Version=2011-06-15").decode()},
    ):
        assert answered(auth(iam_request(client, **changes), None), 401)["code"] == code


@pytest.mark.parametrize(
    "header", [{"X-A": ["b\r\nHost: x"]}, {"X-A": "\u0142"}, {"": ["x"]}, {"X A": "x"}, {"X-A": {}}, ["X-A"]]
)
def test_a_header_that_cannot_be_sent_is_no_outage(
    ready: VaultSetup, auth: Handler, auth_role: IamIdentity, header: Any
) -> None:
    client = ready.ensure_iam_client("ci", tenant="demo", roles=[Role.READER], role_arn=auth_role.arn)
    headers = json.loads(base64.b64decode(signed(ENVIRONMENT)["iam_request_headers"]))
    given = headers | header if isinstance(header, dict) else header
    encoded = base64.b64encode(json.dumps(given).encode()).decode()
    answer = answered(auth(iam_request(client, iam_request_headers=encoded), None), 401)
    assert answer["code"] == "invalid_credentials"


def test_headers_that_frame_a_body_are_vaults_own(ready: VaultSetup, auth: Handler, auth_role: IamIdentity) -> None:
    """As Go's client leaves them out: no client makes the request to STS longer, or one that waits for more."""
    client = ready.ensure_iam_client("ci", tenant="demo", roles=[Role.READER], role_arn=auth_role.arn)
    headers = json.loads(base64.b64decode(signed(ENVIRONMENT)["iam_request_headers"]))
    for header in ({"Transfer-Encoding": ["chunked"]}, {"content-length": ["0"]}, {"Content-Length": ["9999"]}):
        encoded = base64.b64encode(json.dumps(headers | header).encode()).decode()
        answered(auth(iam_request(client, iam_request_headers=encoded), None), 200)


@pytest.mark.parametrize(("status", "told"), [(403, 401), (400, 401), (500, 503), (503, 503)])
def test_what_sts_answers_is_told_from_its_outages_and_stays_out_of_the_log(
    ready: VaultSetup,
    auth: Handler,
    auth_role: IamIdentity,
    vault: RunningVault,
    status: int,
    told: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its answer may repeat the request, with the session's token."""
    client = ready.ensure_iam_client("ci", tenant="demo", roles=[Role.READER], role_arn=auth_role.arn)
    text = (
        "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>\ncanary\n</Message></Error></ErrorResponse>"
    )
    with answering(status, text) as endpoint, caplog.at_level("INFO"):
        vault.client().attempt(
            lambda hvac: hvac.auth.aws.configure(
                sts_endpoint=endpoint, iam_server_id_header_value=server_id(ENVIRONMENT, REGION)
            )
        )
        answered(auth(iam_request(client), None), told)
    logged = "".join(str(vars(record)) for record in caplog.records)
    assert "SignatureDoesNotMatch" in logged
    assert "canary" not in logged


@contextmanager
def answering(status: int, text: str) -> Iterator[str]:
    """The address of something that gives this answer to everything."""

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("client", ["auth", "vector-store", "demo", "Demo.ci", "demo.ci/../auth", "demo.ci\n", ".ci"])
@pytest.mark.usefixtures("ready")
def test_roles_of_functions_are_no_clients(auth: Handler, client: str) -> None:
    """The function's own role may log in to Vault, and gets no token for it."""
    assert answered(auth(iam_request(client), None), 400)["code"] == "invalid_request"


@pytest.mark.parametrize("spelling", ["demo.CI", "demo.Ci", "demo.k\u0131", "demo.c\u0130", "demo.\u212a"])
def test_a_client_has_one_name(ready: VaultSetup, auth: Handler, auth_role: IamIdentity, spelling: str) -> None:
    """Vault takes its roles' names in any case; a second subject would be a second voice where two have to approve."""
    for name in ("ci", "k"):
        ready.ensure_iam_client(name, tenant="demo", roles=[Role.APPROVER], role_arn=auth_role.arn)
    assert answered(auth(iam_request(spelling), None), 400)["code"] == "invalid_request"
    with pytest.raises(ValueError, match="lower-case"):
        ready.ensure_iam_client(
            spelling.removeprefix("demo."), tenant="demo", roles=[Role.READER], role_arn=auth_role.arn
        )


def test_an_outage_of_vault_is_told_without_asking_it_each_time_and_ends_by_itself(
    ready: VaultSetup, auth: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = ready.ensure_client("reader", tenant="demo", roles=[Role.READER])
    issue(auth, client)
    sent: list[object] = []

    def failing(_adapter: HTTPAdapter, request: Any, **_options: Any) -> Any:
        sent.append(request)
        raise requests.ConnectionError("nobody there")

    with monkeypatch.context() as patch:
        patch.setattr(HTTPAdapter, "send", failing)
        assert answered(auth(token_request(client), None), 503)["code"] == "vault_unavailable"
        asked = len(sent)
        for _ in range(50):
            assert answered(auth(token_request(client), None), 503)["code"] == "vault_unavailable"
        assert len(sent) <= asked + 3
    deadline = time.monotonic() + 20
    while auth(token_request(client), None)["statusCode"] != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_two_authorization_headers_are_refused(ready: VaultSetup, auth: Handler) -> None:
    token = issue(auth, ready.ensure_client("client", tenant="demo", roles=[Role.READER]))
    asked = event("GET", "/v1/auth/whoami", token=token)
    for values in ([f"Bearer {token}", "Bearer a.b.c"], ["Bearer a.b.c", f"Bearer {token}"]):
        response = auth(asked | {"multiValueHeaders": {"authorization": values}}, None)
        assert answered(response, 401)["code"] == "token_ambiguous"
    answered(auth(asked | {"multiValueHeaders": {"Authorization": [f"Bearer {token}"]}}, None), 200)
