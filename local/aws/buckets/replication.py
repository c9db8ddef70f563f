"""Replication of objects by the rules of their bucket, as S3 does it: a moment later, in order, to each destination.

Carried out is what rules of ANFL say (``constructs/bucket_replication.py``): status, prefix, destination, its key,
delete markers. A replica has the version, times, tags and metadata of its object; it is not replicated again, and
queues hear nothing of it. Versions that are deleted stay deleted where they were, and only there. Objects that were
there before the rule are not replicated. (S3 User Guide, "What does Amazon S3 replicate?")
"""

import copy
import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import wraps
from queue import SimpleQueue
from typing import Any

from moto.s3.models import FakeBucket, FakeDeleteMarker, FakeKey, S3Backend

from local.aws.patching import Patch

LAG_SECONDS = 0.5
"""S3 states none, but for replication time control: most within seconds, nearly all within fifteen minutes."""
_IN_MEMORY = 1 << 20
_log = logging.getLogger(__name__)
Entry = FakeKey | FakeDeleteMarker


@dataclass(frozen=True)
class _Due:
    """What is to be replicated, and when."""

    at: float
    backend: S3Backend
    entry: Entry
    rules: tuple[Mapping[str, Any], ...]


class Replicator:
    """Replicates in a thread of its own, which begins with the first object that has a rule."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[_Due] = SimpleQueue()
        self._begun = threading.Lock()

    def note(self, backend: S3Backend, bucket: FakeBucket, entry: Entry) -> None:
        """That ``entry`` has come into ``bucket``."""
        rules = tuple(_rules(bucket, entry))
        if not rules:
            return
        if self._begun.acquire(blocking=False):  # held from then on
            threading.Thread(target=self._work, name="replication", daemon=True).start()
        self._waiting.put(_Due(time.monotonic() + LAG_SECONDS, backend, entry, rules))

    def _work(self) -> None:
        while True:
            due = self._waiting.get()
            time.sleep(max(due.at - time.monotonic(), 0.0))
            for rule in due.rules:
                try:
                    _replicate(due.backend, due.entry, rule["Destination"])
                except Exception:
                    _log.exception("%s is not replicated", due.entry.name)


def apply(patch: Patch) -> None:
    """Change moto."""
    replicator = Replicator()
    put, mark = S3Backend.put_object, S3Backend._set_delete_marker

    @wraps(put)
    def put_object(backend: S3Backend, bucket_name: str, *arguments: Any, **options: Any) -> FakeKey:  # noqa: ANN401
        key = put(backend, bucket_name, *arguments, **options)
        replicator.note(backend, backend.get_bucket(bucket_name), key)
        return key

    @wraps(mark)
    def set_delete_marker(backend: S3Backend, bucket_name: str, key_name: str) -> FakeDeleteMarker:
        marker = mark(backend, bucket_name, key_name)
        replicator.note(backend, backend.get_bucket(bucket_name), marker)
        return marker

    patch(S3Backend, "put_object", put_object)
    patch(S3Backend, "_set_delete_marker", set_delete_marker)


def _rules(bucket: FakeBucket, entry: Entry) -> Iterator[Mapping[str, Any]]:
    """Those of ``bucket`` by which ``entry`` is replicated."""
    replication = getattr(bucket, "replication", None) or {"Rule": []}
    for rule in replication["Rule"]:
        prefix = (rule.get("Filter") or {}).get("Prefix") or ""
        wanted = rule if isinstance(entry, FakeKey) else rule.get("DeleteMarkerReplication", {})
        if rule["Status"] == "Enabled" == wanted.get("Status") and entry.name.startswith(prefix):
            yield rule


def _replicate(backend: S3Backend, entry: Entry, destination: Mapping[str, Any]) -> None:
    bucket = backend.get_bucket(destination["Bucket"].rpartition(":")[2])
    replica: Entry
    if not isinstance(entry, FakeKey):
        replica = copy.copy(entry)
    elif entry.disposed:  # deleted in between
        return
    else:
        replica = _copied(entry, bucket.name, destination.get("EncryptionConfiguration", {}).get("ReplicaKmsKeyID"))
        backend.tagger.copy_tags(entry.arn, replica.arn)
    bucket.keys.setlist(entry.name, [*bucket.keys.getlist(entry.name, []), replica])


def _copied(entry: FakeKey, bucket: str, key: str | None) -> FakeKey:
    """With a content of its own, encrypted by ``key``, or else as it was."""
    replica = copy.copy(entry)
    replica.bucket_name, replica.lock = bucket, threading.Lock()
    if key is not None:
        replica.encryption, replica.kms_key_id = "aws:kms", key
    replica._value_buffer = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - moto closes it
    with entry.lock:
        entry._value_buffer.seek(0)
        shutil.copyfileobj(entry._value_buffer, replica._value_buffer)
    return replica
