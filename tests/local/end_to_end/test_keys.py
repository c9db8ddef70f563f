"""The wrapping key of a local run: it is there before anything asks for it, and rotates while data is read."""

import base64
import json
import time
from typing import Any

import hvac

from anfl.auth.names import DATA_KEY
from anfl.crypto.rounds import Answer, Rounds
from anfl.resources import PARTITION_KEY, SORT_KEY, AuthPartition, Caretaker
from tests.local.end_to_end.running import Run, operator
from tests.local.end_to_end.test_functions import invoker

CONTEXT = base64.b64encode(b"demo/glosses").decode()


def rounds(run: Run) -> Rounds:
    invoke = invoker(run)

    def call(region: str, function: Caretaker, event: dict[str, str]) -> Answer:  # noqa: ARG001 - there is one
        answer: Answer = invoke(function, event)
        return answer

    region = run.document["region"]
    return Rounds(call, home=region, regions=[region])


def rotated(run: Run) -> None:
    """A version that was under way is brought to its end, and the next one, whoever had the lease."""
    table = f"anfl-{run.document['environment']}-auth"
    lease = {PARTITION_KEY: {"S": "wrapping-key"}, SORT_KEY: {"S": f"lease#{run.document['region']}"}}
    operator(run, "dynamodb").delete_item(TableName=table, Key=lease)
    rounds(run).go()
    rounds(run).go(rotate=True)


def republished(run: Run) -> None:
    """The published keys of tokens become those of Vault: one that it has not goes, one that differs is written anew.

    Nobody notices: the one is too young to sign, and the other verifies as before.
    """
    dynamodb, table = operator(run, "dynamodb"), f"anfl-{run.document['environment']}-auth"

    def published() -> dict[str, dict[str, str]]:
        answer = dynamodb.query(
            TableName=table,
            KeyConditionExpression="pk = :p",
            ExpressionAttributeValues={":p": {"S": AuthPartition.KEYS}},
        )
        return {item[SORT_KEY]["S"]: json.loads(item["jwk"]["S"]) for item in answer["Items"]}

    before = published()
    (kid, jwk), now = next(iter(before.items())), {"N": str(int(time.time()))}
    altered = {kid: jwk | {"altered": "yes"}, f"{run.document['region']}.99": jwk}
    for name, key in altered.items():
        item = {PARTITION_KEY: {"S": AuthPartition.KEYS}, SORT_KEY: {"S": name}, "jwk": {"S": json.dumps(key)}}
        dynamodb.put_item(TableName=table, Item=item | {"published_at": now})
    invoker(run)(Caretaker.KEY_AGENT, {"operation": "run"})
    assert published() == before


def test_what_a_region_publishes_is_what_its_vault_has(run: Run) -> None:
    republished(run)


def test_a_run_begins_with_a_wrapping_key_and_what_it_sealed_outlives_its_rotation(run: Run) -> None:
    transit: Any = hvac.Client(url=run.document["vault"], token=run.document["vault_token"]).secrets.transit
    active = rounds(run).status()["active"]
    assert active >= 1
    plain = base64.b64encode(b"a data key").decode()
    sealed = transit.encrypt_data(DATA_KEY, plain, context=CONTEXT, key_version=active)["data"]["ciphertext"]

    rotated(run)

    told = rounds(run).status()
    assert (told["active"], told["pending"]) == (active + 1, None)
    assert [(one["held"], one["problem"]) for one in told["regions"]] == [(active + 1, None)]
    key = transit.read_key(DATA_KEY)["data"]
    assert (key["latest_version"], key["imported_key"], key["exportable"]) == (active + 1, True, False)
    assert transit.decrypt_data(DATA_KEY, sealed, context=CONTEXT)["data"]["plaintext"] == plain
    moved = transit.rewrap_data(DATA_KEY, sealed, context=CONTEXT, key_version=active + 1)["data"]["ciphertext"]
    assert moved.startswith(f"vault:v{active + 1}:")
