"""What is in the bucket after everything that puts vectors there: nothing that anybody could read without Vault."""

import json
import secrets
from collections.abc import Iterator

import numpy as np
import pytest

from anfl.client import Client, NewRow
from anfl.resources import IMPORTS_PREFIX
from anfl.vectors.imports.model import State
from anfl.vectors.objects import S3ObjectStore
from local import sample
from tests.local.end_to_end.running import Run, operator
from tests.local.end_to_end.unsealing import environment

CANARY = f"canary{secrets.token_hex(12)}"
VALUES = np.frombuffer(secrets.token_bytes(64), "<i2").astype("<f4")


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
    objects = S3ObjectStore(operator(run, "s3"), environment(run, "vector-store")["VECTORS_BUCKET"])
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
    assert all(body[37:].startswith(b"vault:v1:") for body in keys)


def test_no_object_holds_anything_of_the_rows(bucket: dict[str, bytes]) -> None:
    glosses = [str(row.metadata["gloss"]).encode() for row in sample.rows()[:100]]
    known = [CANARY.encode(), VALUES.tobytes()[:32], VALUES[:4].astype("<f8").tobytes(), *glosses]
    assert all(len(secret) >= 12 for secret in known[:3])
    for key, body in bucket.items():
        assert not [secret for secret in known if len(secret) >= 12 and secret in body], key
        assert CANARY not in key
