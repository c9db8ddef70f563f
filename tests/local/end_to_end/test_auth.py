"""Who may do what through gateway and services: the table and nothing else, whatever is tried, and until revoked."""

import base64
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.auth
import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from anfl.auth.keys import REVOCATION_LAG_SECONDS
from anfl.auth.names import former_server_id, granting_policies, server_id
from anfl.auth.principal import Role
from anfl.auth.rbac import GRANTS, ROUTES, Route
from local import sample
from tests.fuzz.judge import fuzz
from tests.local.end_to_end import running, test_api, test_registry
from tests.local.end_to_end.running import Run, cli
from tests.local.end_to_end.test_rights import eventually
from tests.local.end_to_end.walk import Names, send

SEED = int(os.environ.get("SEED") or random.randrange(2**32))
FUZZED = 800
"""Requests for each server; `make fuzz` sends more."""
_ABSENT = Names(collection="not-to-be-found", model="not-there", path="models/not-there/1/a.txt", other="nowhere")


def token_of(run: Run, role: str) -> str:
    """A new token, of a login of its own."""
    with run.client() as client:
        answer = client.post("/v1/auth/token", json={"grant": "approle", **run.document["clients"][role]})
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token


def doors(run: Run) -> dict[str, str]:
    """The ways in: the gateway, and each service as the accelerator's balancer reaches it."""
    return {"gateway": run.document["api"], **run.document["services"]}


def bearer(base: str, token: str) -> httpx.Client:
    return httpx.Client(base_url=base, headers={"authorization": f"Bearer {token}"}, timeout=40, trust_env=False)


def served_by(door: str, route: Route) -> bool:
    if route.path.startswith("/v1/auth/"):
        return door == "gateway"
    vectors = route.path.startswith(("/v1/collections", "/v1/aliases", "/v1/imports"))
    return door == "gateway" or (door == "vector-store") is vectors


@dataclass(frozen=True, kw_only=True)
class Revoked:
    """A token that was good everywhere, and when it was revoked."""

    token: str
    by_operator: str
    """Another one, of somebody else."""
    since: float

    def statuses(self, run: Run) -> set[int]:
        """What every way in says to both."""
        found = set()
        for token in (self.token, self.by_operator):
            for door, base in doors(run).items():
                path = (
                    f"{test_registry.API}/registered-models/search" if door == "model-registry" else "/v1/collections"
                )
                with bearer(base, token) as client:
                    found.add(client.get(path).status_code)
        return found


@pytest.fixture(scope="module", autouse=True)
def revoked(run: Run) -> Revoked:
    """Revoked before the others here begin, so that nobody waits for it."""
    own, stolen = token_of(run, "reader"), token_of(run, "writer")
    before = Revoked(token=own, by_operator=stolen, since=0)
    assert before.statuses(run) == {200}
    with run.client("writer") as writer:
        assert writer.get("/v1/auth/whoami").status_code == 200
    with bearer(run.document["api"], stolen) as client:
        token_id = client.get("/v1/auth/whoami").json()["token_id"]
    since = time.monotonic()
    assert anfl(run, "revoke", token=own)["refused_within"] == REVOCATION_LAG_SECONDS
    assert anfl(run, "revoke", token_id, token=run.document["tokens"]["operator"])["token_id"] == token_id
    return Revoked(token=own, by_operator=stolen, since=since)


def anfl(run: Run, *words: str, token: str) -> Any:
    [program, flag, main, *_] = cli(run.state, "auth")
    done = subprocess.run(
        [program, flag, main, "auth", *words, "--endpoint", run.document["api"], "--token", token, "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=os.environ | {"XDG_CONFIG_HOME": str(run.state / "config")},
    )
    return json.loads(done.stdout)


def test_every_route_answers_every_role_as_the_table_says(run: Run) -> None:
    """403 for a role without the action and for nobody else, by the gateway and by the services alone."""
    wrong = []
    for door, base in doors(run).items():
        routes = [route for route in ROUTES if served_by(door, route)]
        for role in Role:
            with bearer(base, run.document["tokens"][role]) as client:
                for route in routes:
                    if (route.method, route.path) == ("POST", "/v1/auth/revoke"):
                        continue  # its own tests revoke
                    status = send(client, route, _ABSENT).status_code
                    granted = route.action in GRANTS[role]
                    if status in {401, 405} or status >= 500 or (status == 403) is granted:
                        wrong.append((door, role.value, route.method, route.path, status))
    assert wrong == []


@pytest.mark.parametrize("spelling", ["Bearer  {}", "Bearer\t{}", "BEARER {}"])
def test_a_token_is_read_alike_at_every_door(run: Run, spelling: str) -> None:
    """API Gateway has one expression for the header; services that read it otherwise would be another way in."""
    token = run.document["tokens"][Role.READER]
    for door, base in doors(run).items():
        path = f"{test_registry.API}/registered-models/search" if door == "model-registry" else "/v1/collections"
        told = [
            httpx.get(f"{base}{path}", headers={"authorization": header}, trust_env=False, timeout=40).status_code
            for header in (f"Bearer {token}", f"bearer {token}", spelling.format(token))
        ]
        assert (door, told) == (door, [200, 200, 401])


OTHERWISE = (
    *({name: "GET"} for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")),
    *({name: "/health/live"} for name in ("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix")),
)
"""Headers by which some servers take a request for another one."""


@pytest.mark.parametrize("header", OTHERWISE, ids=lambda header: next(iter(header)))
def test_no_header_makes_a_request_another(run: Run, header: dict[str, str]) -> None:
    for door, base in doors(run).items():
        model = door == "model-registry"
        path = "/v1/models-keys" if model else "/v1/collections"  # the same path lists them, to a reader
        with bearer(base, run.document["tokens"][Role.READER]) as client:
            told = [client.post(path, json={}, headers=given).status_code for given in ({}, header)]
            assert (door, told) == (door, [403, 403])
            assert client.get(path, headers=header).status_code == 200


def test_what_is_anothers_is_as_if_it_were_not_there(run: Run) -> None:
    """Two tenants that have nothing ask, one for what a third has, one for what nobody has: they are told the same."""
    names = there(run)
    told = [told_to_a_stranger(run, "elsewhere", names), told_to_a_stranger(run, "anywhere", _ABSENT)]
    different = [(route, told[0][route], told[1][route]) for route in told[0] if told[0][route] != told[1][route]]
    assert different == []
    assert {status for status, _ in told[0].values()} >= {200, 404}
    with run.client("reader") as reader:  # and nothing has happened to it
        assert reader.get(f"/v1/collections/{names.collection}").status_code == 200
        got = reader.get(f"{test_registry.API}/model-versions/get", params={"name": names.model, "version": "1"})
        assert got.status_code == 200, got.text
        assert reader.get(f"/api/2.0/mlflow-artifacts/artifacts/{names.path}").status_code == 200


def there(run: Run) -> Names:
    model = f"theirs-{time.time_ns():x}"
    with run.client("registrar") as registrar:
        test_registry.register(registrar, model, "a.txt", b"content")
    return Names(collection=sample.COLLECTION, model=model, path=f"models/{model}/1/a.txt", other="nowhere")


def told_to_a_stranger(run: Run, tenant: str, names: Names) -> dict[str, tuple[int, str]]:
    """By route, what a tenant's administrator sees.

    It asks right behind the owner, on the same connection and so of the same process, which has just answered about it.
    """
    token, found = foreign_token(run, tenant), {}
    for door, base in run.document["services"].items():
        with bearer(base, token) as client:
            for route in ROUTES:
                if not served_by(door, route):
                    continue
                if route.action in GRANTS[Role.READER]:
                    client.headers["authorization"] = f"Bearer {run.document['tokens'][Role.READER]}"
                    send(client, route, names)
                    client.headers["authorization"] = f"Bearer {token}"
                found[f"{route.method} {route.path}"] = seen(send(client, route, names), names, tenant)
    return found


def foreign_token(run: Run, tenant: str) -> str:
    """Of an administrator of a tenant that has nothing. Vault's root makes the client, as `local.accounts` does."""
    client_role = f"{run.document['vault']}/v1/auth/approle/role/{tenant}.admin"
    with httpx.Client(headers={"x-vault-token": run.document["vault_token"]}, trust_env=False) as vault:
        vault.post(client_role, json={"token_type": "batch", "token_ttl": 60}).raise_for_status()
        metadata = json.dumps({"tenant": tenant, "roles": "admin"})
        secret_id = vault.post(f"{client_role}/secret-id", json={"metadata": metadata}).json()["data"]["secret_id"]
        role_id = vault.get(f"{client_role}/role-id").json()["data"]["role_id"]
    with run.client() as client:
        body = {"grant": "approle", "role_id": role_id, "secret_id": secret_id}
        token: str = client.post("/v1/auth/token", json=body).json()["access_token"]
    return token


ALTERED: Mapping[str, Callable[[dict[str, str]], dict[str, str]]] = {
    "header": lambda headers: headers | {"Content-Type": headers["Content-Type"] + "x"},
    "date": lambda headers: headers | {"X-Amz-Date": headers["X-Amz-Date"][:9] + "000000Z"},
    "scope": lambda headers: headers | {"Authorization": headers["Authorization"].replace("/sts/", "/s3/")},
    "signature": lambda headers: headers | {"Authorization": headers["Authorization"][:-1] + "z"},
    "session": lambda headers: headers | {"X-Amz-Security-Token": "another"},
    "unsigned": lambda headers: {name: value for name, value in headers.items() if name != "Authorization"},
}
"""What somebody may do to the headers that another has signed."""


def test_only_who_signs_as_an_iam_role_gets_its_clients_token(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the gateway to STS, which computes each signature anew."""
    client, session = iam_client(run, "end-to-end.signer")
    _, stranger = iam_client(run, "end-to-end.stranger")
    assert log_in(run, client, identity_request(run, session)) == (200, "")
    signed = identity_request(run, session)
    headers = json.loads(base64.b64decode(signed["iam_request_headers"]))
    refused = {
        name: signed | {"iam_request_headers": encoded(json.dumps(alter(headers)))} for name, alter in ALTERED.items()
    }
    body = "Version=2011-06-15&Action=GetCallerIdentity"
    refused["body"] = signed | {"iam_request_body": encoded(body)}
    refused["host"] = signed | {"iam_request_url": encoded("https://sts.amazonaws.com/")}
    refused["another secret"] = identity_request(run, Credentials(session.access_key, "another", session.token))
    refused["another key"] = identity_request(run, Credentials("ASIAANOTHER", session.secret_key, session.token))
    refused["another role"] = identity_request(run, stranger)
    refused["another region's Vault"] = identity_request(run, session, addressee=server_id("dev", "eu-west-1"))
    refused["another environment's Vault"] = identity_request(
        run, session, addressee=server_id("prod", run.document["region"])
    )
    refused["what the release before signed"] = identity_request(
        run, session, addressee=former_server_id(run.document["region"])
    )
    refused["another region"] = identity_request(run, session, region="eu-west-1")
    refused["another service"] = identity_request(run, session, service="iam")
    for minutes in (-16, 16):
        moved = datetime.now(UTC) + timedelta(minutes=minutes)
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, moved=moved, **__: moved)
        refused[f"{minutes} minutes"] = identity_request(run, session)
    told = {name: log_in(run, client, request) for name, request in refused.items()}
    assert told == dict.fromkeys(refused, (401, "invalid_credentials"))


def iam_client(run: Run, name: str) -> tuple[str, Credentials]:
    """A client that is an IAM role, and a session of it."""
    role = running.operator(run, "iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    policies = granting_policies(tenant="end-to-end", roles=[Role.READER])
    bound = {"auth_type": "iam", "bound_iam_principal_arn": role, "resolve_aws_unique_ids": False, "policies": policies}
    with httpx.Client(headers={"x-vault-token": run.document["vault_token"]}, trust_env=False) as vault:
        vault.post(f"{run.document['vault']}/v1/auth/aws/role/{name}", json=bound).raise_for_status()
    given = running.operator(run, "sts").assume_role(RoleArn=role, RoleSessionName="me")["Credentials"]
    return name, Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])


def identity_request(
    run: Run, session: Credentials, *, region: str = "", service: str = "sts", addressee: str = ""
) -> dict[str, str]:
    """As `anfl.auth.identity_request.signed` makes it, or for another place.

    :param addressee: id of the Vault that it is for.
    """
    home: str = run.document["region"]
    host, body = f"sts.{home}.amazonaws.com", "Action=GetCallerIdentity&Version=2011-06-15"
    headers = {
        "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
        "Host": host,
        "X-Vault-AWS-IAM-Server-ID": addressee or server_id("dev", home),
    }
    request = AWSRequest("POST", f"https://{host}/", data=body, headers=headers)
    SigV4Auth(session, service, region or home).add_auth(request)
    return {
        "iam_http_request_method": "POST",
        "iam_request_url": encoded(f"https://{host}/"),
        "iam_request_body": encoded(body),
        "iam_request_headers": encoded(json.dumps(dict(request.headers))),
    }


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def log_in(run: Run, client: str, request: Mapping[str, str]) -> tuple[int, str]:
    """(status, code)"""
    with run.client() as gateway:
        answer = gateway.post("/v1/auth/token", json={"grant": "aws_iam", "client": client, **request})
    return answer.status_code, answer.json().get("code", "")


_CHAINS = re.compile(r'(?<="models":\[)[^]]+')
"""Models with an audit come by the hashes of their names, and so in another order for other names."""


def seen(response: httpx.Response, names: Names, tenant: str) -> tuple[int, str]:
    """What a caller can tell, but for its own name, those it asked for, and what is made anew for each request."""
    text = response.text
    for name in (names.path, names.collection, names.model, tenant):
        text = text.replace(name, "…")
    text = re.sub(
        r'"(request_id|creation_timestamp|last_updated_timestamp|created_at|at|upload_id|id)":[^,}]+', "", text
    )
    text = _CHAINS.sub(lambda chains: "".join(sorted(re.findall(r"{[^}]*}", chains[0]))), text)
    return response.status_code, re.sub(r"[0-9a-f-]{16,}|\d{10,}", "#", text)


@pytest.mark.parametrize("door", ["gateway", "vector-store", "model-registry"])
def test_strange_requests_find_no_way_round_and_break_nothing(run: Run, door: str) -> None:
    port = httpx.URL(doors(run)[door]).port
    assert port is not None
    tokens = {role: run.document["tokens"][role] for role in (Role.READER,)}
    with run.client("writer") as writer:
        names = [test_api.new_collection(writer)]  # a small one: the gateway answers 500 to more than 10 MB
    faults, answered = fuzz(port, seed=SEED, requests=FUZZED, tokens=tokens, names=names)
    assert faults == [], f"SEED={SEED}"
    assert answered > FUZZED * 0.6


@contextlib.contextmanager
def hanging(run: Run, program: str) -> Iterator[None]:
    """While it accepts connections and answers nothing."""
    victim = run.current()["pids"][program]
    os.kill(victim, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(victim, signal.SIGCONT)


def test_while_vault_hangs_who_was_known_goes_on_and_nobody_new_comes_in(run: Run) -> None:
    known, fresh = token_of(run, "writer"), token_of(run, "writer")
    with bearer(run.document["api"], known) as client:
        assert client.get("/v1/collections").status_code == 200
    with hanging(run, "vault"):
        started = time.monotonic()
        assert ask_for_a_token(run) == (503, "vault_unavailable")
        assert time.monotonic() - started < 2
        for token, status in ((known, 200), (fresh, 503)):
            with bearer(run.document["api"], token) as client:
                answer = client.get("/v1/collections")
                assert (answer.status_code, "retry-after" in answer.headers) == (status, status == 503), answer.text
        with bearer(run.document["services"]["vector-store"], fresh) as client:
            assert client.get("/v1/collections").status_code == 200, "the service proves a token by itself"
    eventually(lambda: ask_for_a_token(run)[0] == 200)
    with bearer(run.document["api"], fresh) as client:
        eventually(lambda: client.get("/v1/collections").status_code == 200)


def ask_for_a_token(run: Run) -> tuple[int, str]:
    with run.client() as client:
        answer = client.post("/v1/auth/token", json={"grant": "approle", **run.document["clients"]["reader"]})
    document: Mapping[str, str] = answer.json()
    return answer.status_code, document.get("code", "")


def test_a_revoked_token_is_refused_by_every_way_in_after_the_stated_time(run: Run, revoked: Revoked) -> None:
    left = revoked.since + REVOCATION_LAG_SECONDS + 1 - time.monotonic()
    time.sleep(max(0.0, left))
    assert revoked.statuses(run) == {401}
    with run.client("writer") as writer:
        assert writer.get("/v1/auth/whoami").status_code == 200, "others of the client stay"
