"""What is in the bucket after everything that puts vectors there: nothing that anybody could read without Vault."""

import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest

from anfl.auth.names import DATA_KEY
from anfl.auth.vault import StaticToken, VaultClient
from anfl.client import Client, NewRow
from anfl.resources import IMPORTS_PREFIX
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.imports.model import State
from anfl.vectors.log import Log
from anfl.vectors.objects import S3ObjectStore
from local import sample
from local.state import REPOSITORY
from tests.local.end_to_end.running import MAIN, Run, operator
from tests.local.end_to_end.unsealing import envelopes, environment

CANARY = f"canary{secrets.token_hex(12)}"
VALUES = np.frombuffer(secrets.token_bytes(64), "<i2").astype("<f4")


def bucket_of(run: Run) -> S3ObjectStore:
    return S3ObjectStore(operator(run, "s3"), environment(run, "vector-store")["VECTORS_BUCKET"])


@pytest.fixture(name="bucket", scope="module")
def _bucket(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, bytes]]:
    """Everything in it, after rows were upserted, imported by way of the function, snapshotted and restored."""
    lines = tmp_path_factory.mktemp("import") / "rows.jsonl"
    rows = [{"id": f"{CANARY}-{n}", "values": VALUES.tolist(), "metadata": {CANARY: CANARY}} for n in range(50)]
    lines.write_text("\n".join(json.dumps(row) for row in rows))
    with Client(run.document["api"], token=run.document["tokens"]["admin"]) as client:
        words = client.create_collection("sealed", dimension=len(VALUES), metric="l2")
        words.upsert([NewRow(id=f"{CANARY}-one", values=VALUES, metadata={CANARY: CANARY})])
        done = client.imports.run("sealed", [lines])
        assert (done.state, done.stored) == (State.DONE, 50)
        words.create_snapshot("monday")
        again = words.restore("monday", "sealed-again")
        again.upsert([NewRow(id=f"{CANARY}-late", values=VALUES, metadata={CANARY: CANARY})])
        assert (words.count(consistency="strong"), again.count(consistency="strong")) == (51, 52)
        assert again.fetch([f"{CANARY}-7"])[0].metadata == {CANARY: CANARY}
    objects = bucket_of(run)
    yield {entry.key: objects.get(entry.key) or b"" for entry in objects.list("")}
    with Client(run.document["api"], token=run.document["tokens"]["admin"]) as client:
        for name in ("sealed", "sealed-again"):
            client.collection(name).delete_collection()


def test_every_object_of_every_collection_is_sealed(bucket: dict[str, bytes]) -> None:
    kinds: dict[str, set[bytes]] = {}
    for key, body in bucket.items():
        if not key.startswith(IMPORTS_PREFIX):
            kinds.setdefault(key.split("/")[3], set()).add(body[:5])
    assert kinds.pop("keys") == {b"ANFL\x01"}
    assert kinds.pop("verified", {b""}) == {b""}
    assert kinds.keys() >= {"log", "parts", "snapshots", "named"}
    assert set().union(*kinds.values()) == {b"ANFL\x02"}


def test_keys_are_there_wrapped_alone(bucket: dict[str, bytes]) -> None:
    keys = [body for key, body in bucket.items() if "/keys/" in key]
    assert len(keys) >= 3
    assert all(re.fullmatch(rb"vault:v[0-9]+:[A-Za-z0-9+/=]+", body[37:]) for body in keys)


def test_no_object_holds_anything_of_the_rows(bucket: dict[str, bytes]) -> None:
    glosses = [str(row.metadata["gloss"]).encode() for row in sample.rows()[:100]]
    known = [CANARY.encode(), VALUES.tobytes()[:32], VALUES[:4].astype("<f8").tobytes(), *glosses]
    assert all(len(secret) >= 12 for secret in known[:3])
    for key, body in bucket.items():
        assert not [secret for secret in known if len(secret) >= 12 and secret in body], key
        assert CANARY not in key


def keys(run: Run, folder: Path, command: str) -> dict[str, Any]:
    """``anfl keys <command>``, as an operator of the run calls it."""
    (folder / ".anfl").mkdir(exist_ok=True)
    (folder / ".anfl" / "local.json").write_text((run.state / "local.json").read_text())
    command_line = [sys.executable, "-c", MAIN, "keys", command, "--json"]
    done = subprocess.run(
        command_line,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextmanager
def oldest_readable(run: Run, version: int) -> Iterator[None]:
    """While inside, the run's Vault opens nothing that is wrapped by an earlier version of the key."""
    vault = VaultClient(address=run.document["vault"], credentials=StaticToken(run.document["vault_token"]))

    def configure(least: int) -> None:
        vault.attempt(lambda c: c.secrets.transit.update_key_configuration(DATA_KEY, min_decryption_version=least))

    configure(version)
    try:
        yield
    finally:
        configure(1)


def test_after_a_rotation_keys_move_and_the_earlier_version_is_not_needed_any_more(
    run: Run, bucket: dict[str, bytes], tmp_path: Path
) -> None:
    rotated = keys(run, tmp_path, "rotate")
    moved = keys(run, tmp_path, "rewrap")
    assert moved["active"] == rotated["active"]
    assert moved["moved"] >= sum("/keys/" in key for key in bucket)
    assert (moved["remaining"], moved["damaged"]) == (0, [])
    objects = bucket_of(run)
    with Client(run.document["api"], token=run.document["tokens"]["admin"]) as client:
        client.collection("sealed").upsert([NewRow(id=f"{CANARY}-last", values=VALUES)])
    table = boto3.session.Session(aws_access_key_id="local", aws_secret_access_key="local").resource(
        "dynamodb", endpoint_url=run.document["aws_endpoint"], region_name=run.document["region"]
    )
    catalogue = Catalogue(table.Table(environment(run, "vector-store")["CATALOGUE_TABLE"]))
    collection = catalogue.find(run.document["tenant"], "sealed")
    with oldest_readable(run, moved["active"]):
        log = Log(objects, collection, envelope=envelopes(run, objects).of(collection))
        ids = [row.id for batch in log.tail(0) for row in batch.rows]
    assert {f"{CANARY}-one", f"{CANARY}-7", f"{CANARY}-last"} <= set(ids)
