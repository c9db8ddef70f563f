"""Ten rights, chosen at random, are taken away one by one, and a test notices each time."""

import json
import os
import random
import signal
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq

from anfl.client import Client, Collection
from local.iam.ledger import read
from tests.local.end_to_end import (
    test_api,
    test_auth,
    test_deliveries,
    test_engine_classes,
    test_functions,
    test_imports,
    test_keys,
    test_registry,
    test_repair,
    test_rights,
)
from tests.local.end_to_end.permissions import Permissions
from tests.local.end_to_end.running import Run, operator

TAKEN = int(os.environ.get("TAKEN") or 10)
SEED = int(os.environ.get("SEED") or random.randrange(2**32))
NOTICED_SECONDS = 60
ENDED_SECONDS = 10
Right = tuple[str, str, str]
"""Role, statement, action."""


@contextmanager
def collection(run: Run) -> Iterator[tuple[Client, Collection]]:
    with Client(run.document["api"], token=run.document["tokens"]["writer"]) as client:
        made = client.create_collection(f"r-{uuid.uuid4().hex[:8]}", dimension=test_imports.DIMENSION, metric="l2")
        yield client, made
        made.delete_collection()


def rows(run: Run) -> None:
    with run.client("writer") as writer:
        test_api.test_create_upsert_query_fetch_delete(writer, test_api.new_collection(writer))
        test_api.test_a_snapshot_is_restored_behind_an_alias(run, writer, test_api.new_collection(writer))


def classes(run: Run) -> None:
    """First of all: the rows of what it deletes are removed half a minute later."""
    test_engine_classes.kept_by_the_service(run)


def imports(run: Run) -> None:
    """Lines by the function, a table by the service, and one that is given up."""
    with collection(run) as (client, made), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        test_imports.test_rows_that_are_wrong_are_named_and_an_export_comes_back(client, made, folder)
        table, size = folder / "rows.parquet", test_imports.DIMENSION
        pq.write_table(pa.table({"id": ["a", "b"], "values": [[1.0] * size, [2.0] * size]}), table)
        assert client.imports.run(made.name, [table]).stored == 2
        given_up = client.imports.begin(made.name, [table])
        client.imports.send(given_up, [table])
        client.imports.cancel(given_up.id)


def nonsense(queue: str) -> Callable[[Run], None]:
    def send(run: Run) -> None:
        queues = operator(run, "sqs")
        url = queues.get_queue_url(QueueName=f"anfl-{run.document['environment']}-{queue}")["QueueUrl"]
        queues.send_message(QueueUrl=url, MessageBody=test_rights.about_nobody(run.document["tenant"]))
        queues.send_message(QueueUrl=url, MessageBody="nonsense")

    return send


def restarted(service: str) -> Callable[[Run], None]:
    """What is asked for once, or is remembered, is asked for again."""

    def restart(run: Run) -> None:
        before = run.current()["pids"][service]
        os.kill(before, signal.SIGKILL)
        test_rights.eventually(lambda: run.current()["pids"][service] != before)
        test_rights.eventually(lambda: serves(run, service))
        with run.client("reader") as reader:
            assert reader.get("/v1/collections").is_success
            assert reader.get("/v1/models-keys").is_success

    return restart


def first_secret(run: Run) -> None:
    """A tenant's first one has a data key made. Whoever has an earlier key in memory begins anew."""
    test_deliveries.without_a_key(run)
    fresh("webhook-signer")(run)
    restarted("model-registry")(run)
    with test_deliveries.hooked(run):
        pass


def serves(run: Run, service: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"{run.document['services'][service]}/health/ready", trust_env=False).is_success
    return False


def lets_in(run: Run) -> bool:
    """Whether both services take a token again: one that could not read who was revoked takes none."""
    paths = {"vector-store": "/v1/collections", "model-registry": "/api/2.0/mlflow/registered-models/search"}
    headers = {"authorization": f"Bearer {run.current()['tokens']['reader']}"}
    with suppress(httpx.TransportError), httpx.Client(headers=headers, trust_env=False, timeout=5) as client:
        return all(client.get(run.document["services"][name] + path).is_success for name, path in paths.items())
    return False


def fresh(function: str) -> Callable[[Run], None]:
    """Instances that remember nothing."""

    def renew(run: Run) -> None:
        client, name = operator(run, "lambda"), f"anfl-{run.document['environment']}-{function}"
        memory = client.get_function_configuration(FunctionName=name)["MemorySize"]
        client.update_function_configuration(FunctionName=name, MemorySize=memory + 1)

    return renew


def functions(run: Run) -> None:
    invoke = test_functions.invoker(run)
    test_functions.test_vector_processing_searches(invoke)
    test_functions.test_vector_processing_writes_what_the_service_reads(invoke, run)
    test_functions.test_vector_processing_lists_collections(invoke)
    test_engine_classes.kept_by_the_function(invoke)


def repaired(by: Callable[[Run, dict[str, Any]], None]) -> Callable[[Run], None]:
    def repair(run: Run) -> None:
        with test_repair.settings_of_one(run) as settings:
            by(run, settings)

    return repair


def rewrapped(run: Run) -> None:
    assert test_functions.invoker(run)("vector-processing", {"operation": "rewrap_keys"})["status"] == 200


def verdicts(run: Run) -> None:
    expected = {"VALIDATED"}
    test_registry.test_verdict_arrives_through_the_queue(run, "weights.npy", test_registry.array(), expected)
    test_functions.test_model_validation_inspects_a_path(test_functions.invoker(run), run)
    test_functions.test_model_validation_knows_no_absent_model(test_functions.invoker(run))


def newcomer(run: Run) -> None:
    """A token that API Gateway has not seen, so that it asks the authorizer."""
    with run.client() as client:
        given = client.post("/v1/auth/token", json={"grant": "approle", **run.document["clients"]["reader"]})
        headers = {"authorization": f"Bearer {given.json()['access_token']}"}
        assert client.get("/v1/collections", headers=headers).is_success


def leaver(run: Run) -> None:
    """A token that is taken back."""
    test_auth.anfl(run, "revoke", token=test_auth.token_of(run, "reader"))


def models(run: Run) -> None:
    test_rights.test_a_file_is_listed_fetched_by_a_link_and_removed(run)
    test_rights.test_a_file_is_sent_in_parts_by_links_or_given_up(run)
    test_rights.test_a_model_is_renamed_and_deleted(run)


PROBES: Mapping[str, tuple[Callable[[Run], None], ...]] = {
    "VectorStoreServiceTaskRole": (
        classes,
        rows,
        imports,
        repaired(test_repair.test_the_service_reads_what_the_function_wrote),
        nonsense("jobs"),
        restarted("vector-store"),
    ),
    "ModelRegistryServiceTaskRole": (
        models,
        test_deliveries.delivered,
        test_registry.test_prod_takes_a_verdict_and_two_people_and_the_audit_tells_of_it,
        restarted("model-registry"),
        first_secret,
    ),
    "VectorProcessingFunctionRole": (
        fresh("vector-processing"),
        functions,
        imports,
        repaired(test_repair.test_the_function_reads_what_the_service_wrote),
        nonsense("chunks"),
        rewrapped,
    ),
    "ModelValidationFunctionRole": (fresh("model-validation"), verdicts),
    "WebhooksFunctionRole": (fresh("webhooks"), nonsense("webhooks"), test_deliveries.delivered),
    "WebhookSignerFunctionRole": (fresh("webhook-signer"), test_deliveries.sealed_afterwards),
    "AuthFunctionRole": (fresh("auth"), newcomer, leaver),
    "AuthorizerFunctionRole": (fresh("authorizer"), newcomer),
    "key-leader-FunctionRole": (test_keys.rotated,),
    "key-agent-FunctionRole": (test_keys.rotated, test_keys.republished),
}
"""What has a role use all its rights."""


def used(run: Run) -> list[Right]:
    """Rights of the run's roles that were used, always in the same order."""
    entries = read([run.state / "logs" / "permissions.jsonl"])
    return sorted({(entry.role, entry.sid, entry.granted) for entry in entries if entry.outcome == "used"})


@contextmanager
def without(run: Run, right: Right) -> Iterator[None]:
    """Take the right away for a while."""
    role, sid, action = right
    iam = operator(run, "iam")
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    policy = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]

    def put(document: Any) -> None:
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))

    put(policy | {"Statement": [s for given in policy["Statement"] if (s := narrowed(given, sid, action))]})
    try:
        yield
    finally:
        put(policy)


def narrowed(statement: dict[str, Any], sid: str, action: str) -> dict[str, Any] | None:
    if statement.get("Sid") != sid or statement["Effect"] != "Allow":
        return statement
    actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
    left = [other for other in actions if other != action]
    assert len(left) == len(actions) - 1
    return statement | {"Action": left} if left else None


def noticed(run: Run, permissions: Permissions, right: Right) -> bool:
    """Whether the role is refused it while its tests run, which fails them (`conftest`)."""
    role, _, action = right
    steps = next(steps for name, steps in PROBES.items() if name in role)

    over = threading.Event()
    test_rights.eventually(lambda: lets_in(run))

    def work() -> None:
        # Again and again: a step that the right before has lamed, by a restart for example, did not get to this one.
        while not over.is_set():
            for step in steps:
                if not over.is_set():
                    with suppress(Exception):  # they go on as well as they can
                        step(run)

    thread = threading.Thread(target=work, daemon=True)
    try:
        with without(run, right):
            thread.start()
            deadline = time.monotonic() + NOTICED_SECONDS
            while time.monotonic() < deadline:
                if any((entry.role, entry.action) == (role, action) for entry in permissions.newly_refused()):
                    return True
                time.sleep(0.05)
    finally:
        over.set()
        thread.join(ENDED_SECONDS)  # who then still waits for a verdict only asks for it
    return False


def test_a_right_that_is_taken_away_is_missed(run: Run, permissions: Permissions) -> None:
    rights = used(run)
    chosen = random.Random(SEED).sample(rights, min(TAKEN, len(rights)))
    missed = [right for right in chosen if noticed(run, permissions, right)]
    permissions.newly_refused()
    assert missed == chosen, f"SEED={SEED}"
    test_rights.eventually(lambda: all(serves(run, name) for name in ("vector-store", "model-registry")))
