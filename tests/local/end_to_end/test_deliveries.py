"""A webhook's secret in a whole run: who seals it, who signs by it, and that nobody else comes by it."""

import base64
import hashlib
import hmac
import json
import secrets
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from anfl.registry import keys
from anfl.registry.secrets import SEALED
from tests.local.end_to_end.running import Run, operator
from tests.local.end_to_end.test_functions import invoker
from tests.local.end_to_end.test_keys import rotated, rounds
from tests.local.end_to_end.test_rights import API, done, eventually

CANARY = f"canary{secrets.token_hex(12)}"
LOOKS_PUBLIC = "https://192.88.99.1/"
"""Nobody answers there, and nobody is asked: `hooked` sends deliveries elsewhere before there is one."""
NOWHERE = "https://127.0.0.1/"
"""Where no delivery goes: the address is looked at once more, after the signature was made."""
EVENT = {"entity": "REGISTERED_MODEL", "action": "CREATED"}


def table(run: Run) -> str:
    return f"anfl-{run.document['environment']}-registry"


def change(run: Run, webhook: str, **attributes: str) -> None:
    """Past the service."""
    key = {name: {"S": value} for name, value in keys.webhook(run.document["tenant"], webhook).items()}
    for name, value in attributes.items():
        operator(run, "dynamodb").update_item(
            TableName=table(run),
            Key=key,
            UpdateExpression="SET #n = :v",
            ExpressionAttributeNames={"#n": name},
            ExpressionAttributeValues={":v": {"S": value}},
        )


def kept(run: Run, webhook: str) -> str:
    """What the table has for the secret."""
    key = {name: {"S": value} for name, value in keys.webhook(run.document["tenant"], webhook).items()}
    found: Any = operator(run, "dynamodb").get_item(TableName=table(run), Key=key, ConsistentRead=True)
    return str(found["Item"]["secret"]["S"])


@contextmanager
def hooked(run: Run) -> Iterator[str]:
    """The id of a webhook with `CANARY` for its secret."""
    given = {"name": "sealed", "url": LOOKS_PUBLIC, "events": [EVENT], "secret": CANARY}
    with run.client("admin") as admin:
        made = done(admin.post(f"{API}/webhooks", json=given))["webhook"]
        assert CANARY not in json.dumps(made)
        change(run, made["webhook_id"], url=NOWHERE)
        yield made["webhook_id"]
        done(admin.request("DELETE", f"{API}/webhooks/{made['webhook_id']}", json={}))


def signed(run: Run, webhook: str) -> None:
    """The function that signs does so by the secret."""
    asked = {"tenant": run.document["tenant"], "webhook_id": webhook, "delivery": "d", "timestamp": "7", "body": "{}"}
    answer = invoker(run)("webhook-signer", {"operation": "sign", **asked})
    expected = base64.b64encode(hmac.new(CANARY.encode(), b"d.7.{}", hashlib.sha256).digest()).decode()
    assert answer == {"status": 200, "result": {"signature": f"v1,{expected}"}}


def logs_of(run: Run, function: str) -> str:
    """What its instances have printed."""
    files = (run.state / "logs" / "functions").glob(f"*-{function}-*.log")
    return "".join(path.read_text() for path in files)


def delivered(run: Run) -> None:
    """An event gets as far as it may: signed, and then to an address that no request goes to."""

    def attempts() -> tuple[int, int]:
        signatures = sum(
            '"Operation": "sign"' in line and '"Outcome": "ok"' in line
            for line in logs_of(run, "webhook-signer").splitlines()
        )
        return signatures, logs_of(run, "webhooks").count("non-public")

    with hooked(run), run.client("registrar") as client:
        before = attempts()

        def told() -> bool:
            name = f"told-{uuid.uuid4().hex[:8]}"  # a process may not know of the webhook for some seconds
            done(client.post(f"{API}/registered-models/create", json={"name": name}))
            time.sleep(1)
            return all(now > then for now, then in zip(attempts(), before, strict=True))

        eventually(told)


def sealed_afterwards(run: Run) -> None:
    """One that a release before kept in clear; and its key moves to the active version."""
    with hooked(run) as webhook:
        change(run, webhook, secret=CANARY)
        signed(run, webhook)
        answer = invoker(run)("webhook-signer", {"operation": "rewrap_keys"})
        assert (answer["status"], answer["result"]["sealed"], answer["result"]["after"]) == (200, 1, None)
        assert kept(run, webhook).startswith(SEALED)
        signed(run, webhook)


def without_a_key(run: Run) -> None:
    """As before the tenant's first secret."""
    place = keys.data_key_place(run.document["tenant"], run.document["region"])
    key = {name: {"S": value} for name, value in keys.data_key(place).items()}
    operator(run, "dynamodb").delete_item(TableName=table(run), Key=key)


def test_a_secret_is_sealed_and_signs_and_nothing_shows_it(run: Run) -> None:
    delivered(run)
    sealed_afterwards(run)
    with hooked(run) as webhook:
        assert kept(run, webhook).startswith(SEALED)
        signed(run, webhook)
        items: Any = operator(run, "dynamodb").get_paginator("scan").paginate(TableName=table(run))
        assert CANARY not in json.dumps([page["Items"] for page in items], default=str)
        for path in (path for path in (run.state / "logs").rglob("*") if path.is_file()):
            assert CANARY.encode() not in path.read_bytes(), path


def test_schedules_move_wrapped_keys_after_a_rotation(run: Run) -> None:
    with hooked(run) as webhook:
        rotated(run)
        active = rounds(run).status()["active"]
        invoke = invoker(run)
        moved = invoke("webhook-signer", {"operation": "rewrap_due"})["result"]
        assert (moved["active"], moved["remaining"], moved["damaged"]) == (active, 0, [])
        assert moved["moved"] >= 1
        signed(run, webhook)
        progress = invoke("vector-processing", {"operation": "rewrap_due"})["result"]
        assert (progress["version"], progress["left"]) == (active, 0)
        again = invoke("vector-processing", {"operation": "rewrap_keys"})["result"]
        assert (again["active"], again["moved"]) == (active, 0)
