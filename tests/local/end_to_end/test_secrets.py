"""No credential that anybody has or guesses is in a log, an environment, a command line, or a template."""

import json
import secrets
from collections.abc import Iterator

import httpx
import psutil
import pytest

from local.resolved import RESOURCES_PATH
from tests.local.end_to_end.running import Run

CANARY = f"canary{secrets.token_hex(12)}"
"""Stands where callers put credentials, and in bodies."""


def real(run: Run) -> set[str]:
    """What is secret in the run: tokens by their signatures, which no log needs."""
    document = run.current()
    tokens = {token.rpartition(".")[2] for token in document["tokens"].values()}
    return tokens | {client["secret_id"] for client in document["clients"].values()} | {document["vault_token"]}


def attempts(run: Run) -> Iterator[httpx.Response]:
    """Every way to put the canary where a credential belongs, at every door."""
    token = run.current()["tokens"]["writer"]
    client = run.current()["clients"]["writer"]
    forged = f"{token.rpartition('.')[0]}.{CANARY}"
    bodies = [
        json.dumps({"grant": "approle", "role_id": client["role_id"], "secret_id": CANARY}),
        json.dumps({"grant": "approle", "role_id": CANARY, "secret_id": client["secret_id"]}),
        json.dumps({"grant": "approle", "role_id": 7, "secret_id": [CANARY]}),
        json.dumps({"grant": "oidc", "token": CANARY}),
        json.dumps({"grant": "refresh", "token": CANARY}),
        json.dumps({CANARY: CANARY}),
        f'{{"secret_id": "{CANARY}',
    ]
    gateway, services = str(run.document["api"]), dict[str, str](run.document["services"])
    registry, store = services["model-registry"], services["vector-store"]
    with httpx.Client(timeout=40, trust_env=False) as http:
        for body in bodies:
            yield http.post(f"{gateway}/v1/auth/token", content=body)
            yield http.post(f"{gateway}/v1/auth/token?secret_id={CANARY}", content=body)
        given = [f"Bearer {CANARY}", f"Bearer {forged}", f"Basic {CANARY}", CANARY, f"Bearer {token} {CANARY}"]
        for door, header in ((door, header) for door in (gateway, registry, store) for header in given):
            path = "/api/2.0/mlflow/registered-models/search" if door == registry else "/v1/collections"
            yield http.get(f"{door}{path}?token={CANARY}", headers={"authorization": header, "cookie": CANARY})
        entered = {"authorization": f"Bearer {token}", "x-api-key": CANARY, "x-anfl-hop": CANARY, "cookie": CANARY}
        for door in (gateway, store):
            for body in (f'{{"vector": "{CANARY}"}}', f'{{"vector": {CANARY}', f'{{"{CANARY}": 1}}'):
                yield http.post(f"{door}/v1/collections/glosses/query", content=body, headers=entered)
        event = {"entity": "REGISTERED_MODEL", "action": "CREATED"}
        hook = {"name": "h", "url": "https://203.0.113.9/", "events": [event], "secret": CANARY}
        admin = {"authorization": f"Bearer {run.current()['tokens']['admin']}"}
        for door, events in ((gateway, [event]), (registry, [])):
            made = http.post(f"{door}/api/2.0/mlflow/webhooks", json=hook | {"events": events}, headers=admin)
            yield made
            if made.is_success:
                yield http.delete(f"{made.request.url}/{made.json()['webhook']['webhook_id']}", headers=admin)


@pytest.fixture(scope="module", name="known")
def _known(run: Run) -> set[str]:
    """What must be nowhere, after everything was tried."""
    for answer in attempts(run):
        assert answer.status_code < 500, (answer.request.url, answer.text)
    known = real(run)
    assert all(len(secret) > 20 for secret in known)
    return {*known, CANARY}


def test_no_log_holds_a_credential(run: Run, known: set[str]) -> None:
    logs = [path for path in (run.state / "logs").rglob("*") if path.is_file()]
    assert {"gateway.log", "vault.log", "vector-store.log", "model-registry.log", "functions.log"} <= {
        path.name for path in logs
    }
    for path in (*logs, run.output):
        content = path.read_bytes()
        assert not [secret for secret in known if secret.encode() in content], path


def test_no_process_is_told_a_credential(run: Run, known: set[str]) -> None:
    vault = run.current()["pids"]["vault"]  # a development Vault is given its root token, as Vault itself has it
    for process in run.family():
        told = "\0".join(process.cmdline())
        if process.pid != vault:
            told += "\0".join(process.environ().values())
        assert not [secret for secret in known if secret in told], process.cmdline()


def test_no_template_and_no_deployed_resource_holds_a_credential(run: Run, known: set[str]) -> None:
    deployed = httpx.get(run.document["aws_endpoint"] + RESOURCES_PATH, trust_env=False, timeout=30).text
    assert "AWS::Lambda::Function" in deployed
    templates = [path for path in (run.state / "cdk.out").rglob("*.json") if path.is_file()]
    assert templates
    for content in (deployed, *(path.read_text() for path in templates)):
        assert not [secret for secret in known if secret in content]


def test_the_search_finds_what_is_there(run: Run, known: set[str]) -> None:
    assert {secret for secret in known if secret in json.dumps(run.current())} == known - {CANARY}
    psutil.Process(run.process.pid).environ()  # readable at all
