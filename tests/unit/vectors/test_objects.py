"""The object store over S3."""

import time
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError

from anfl.vectors.objects import AlreadyExistsError, ChangedError, S3ObjectStore, StoreUnavailableError
from tests.unit.vectors.importing import BUCKET


class Broken:
    """A client none of whose calls gets an answer."""

    def __getattr__(self, name: str) -> Any:
        def call(*_args: Any, **_kwargs: Any) -> Any:
            raise ConnectTimeoutError(endpoint_url="s3")

        if name == "get_paginator":
            return lambda _operation: type("Pages", (), {"paginate": staticmethod(call)})
        return call


def test_an_object_is_put_once(objects: S3ObjectStore) -> None:
    objects.put_if_absent("a/1", b"first")
    with pytest.raises(AlreadyExistsError):
        objects.put_if_absent("a/1", b"second")
    assert objects.get("a/1") == b"first"


def test_an_absent_object_is_none(objects: S3ObjectStore) -> None:
    assert objects.get("a/1") is None


def test_an_object_is_replaced_only_while_it_is_the_one_that_was_read(objects: S3ObjectStore) -> None:
    objects.put_if_absent("a/1", b"first")
    assert objects.get_tagged("a/2") is None
    body, tag = objects.get_tagged("a/1") or (b"", "")
    assert body == b"first"
    objects.put_if_same("a/1", b"second", tag)
    assert objects.get("a/1") == b"second"
    with pytest.raises(ChangedError):
        objects.put_if_same("a/1", b"third", tag)
    objects.delete(["a/1"])
    with pytest.raises(ChangedError):
        objects.put_if_same("a/1", b"third", tag)
    assert objects.get("a/1") is None


def test_lists_begin_behind_a_key(objects: S3ObjectStore, s3: Any) -> None:
    for key in ("a/1", "a/2", "a/3", "b/1"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"")
    assert [entry.key for entry in objects.list("a/", after="a/1")] == ["a/2", "a/3"]


def test_many_objects_are_listed_and_deleted(objects: S3ObjectStore, s3: Any) -> None:
    for number in range(1_005):
        s3.put_object(Bucket=BUCKET, Key=f"a/{number:05}", Body=b"")
    assert len(list(objects.list("a/"))) == 1_005
    objects.delete(entry.key for entry in objects.list("a/"))
    assert list(objects.list("a/")) == []


def test_no_answer_is_an_outage() -> None:
    objects = S3ObjectStore(Broken(), BUCKET)  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailableError):
        objects.get("a")
    with pytest.raises(StoreUnavailableError):
        objects.put_if_absent("a", b"")
    with pytest.raises(StoreUnavailableError):
        objects.put_if_same("a", b"", "tag")
    with pytest.raises(StoreUnavailableError):
        list(objects.list("a"))
    with pytest.raises(StoreUnavailableError):
        objects.delete(["a"])
    with pytest.raises(StoreUnavailableError):
        objects.put("a", b"")
    with pytest.raises(StoreUnavailableError):
        list(objects.versions("a"))
    with pytest.raises(StoreUnavailableError):
        objects.is_copy("a")


def test_an_absent_bucket_is_an_outage(s3: Any) -> None:
    with pytest.raises(StoreUnavailableError):
        S3ObjectStore(s3, "elsewhere").put_if_absent("a", b"")


def test_versions_come_oldest_first(objects: S3ObjectStore, s3: Any) -> None:
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"first", b"second", b"third"):
        objects.put("a/1", body)
        objects.put("a/10", b"another key")
    assert list(objects.versions("a/1")) == [b"first", b"second", b"third"]
    objects.delete(["a/1"])
    assert list(objects.versions("a/1")) == [b"first", b"second", b"third"]
    assert list(objects.versions("a/2")) == []


def test_a_listing_says_how_large_and_how_old(objects: S3ObjectStore) -> None:
    objects.put("a/1", b"12345")
    (entry,) = objects.list("a/")
    assert entry.size == 5
    assert abs(entry.modified - time.time()) < 60


def test_what_was_copied_from_another_region_says_so(objects: S3ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    objects.put("a/1", b"own")
    assert not objects.is_copy("a/1")
    assert not objects.is_copy("a/2")
    monkeypatch.setattr(objects._client, "head_object", lambda **_: {"ReplicationStatus": "REPLICA"})
    assert objects.is_copy("a/1")
