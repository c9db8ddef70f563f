"""Artefacts: what is recorded of them, that it is checked, and that what versions name stays as it is."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest.mock import Mock
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from anfl.problems import Problem
from anfl.registry.artifacts import LINK_SECONDS, PART_BYTES, Artifacts, Stored
from anfl.registry.entities import Verdict
from anfl.registry.locations import FrozenFile, Location, Locations
from anfl.registry.registry import Registry
from tests.unit.registry.conftest import BUCKET, records
from tests.unit.registry.test_models import refused

NO_SUCH_UPLOAD = ClientError({"Error": {"Code": "NoSuchUpload"}}, "AnyOperation")


def upload(registry: Registry, path: str, content: bytes, *, tenant: str = "acme") -> Stored:
    writer = registry.store.writer(tenant, path)
    for start in range(0, len(content), 1_000_000):
        if writer.wants_flush(content[start : start + 1_000_000]):
            writer.flush()
    stored, sha256 = writer.finish()
    registry.store.uploaded(tenant, stored, sha256)
    return stored


def register(
    registry: Registry,
    path: str,
    *,
    name: str = "bert",
    tenant: str = "acme",
    check: Verdict | None = None,
    tags: dict[str, str] | None = None,
) -> int:
    created = registry.versions.create(
        tenant,
        name,
        source=f"mlflow-artifacts:/{path}",
        location=f"mlflow-artifacts:/{path}",
        place=partial(registry.store.place, tenant, path),
        keep=partial(registry.store.keep, tenant),
        check=check,
        tags=tags,
        by="ana",
    )
    return created.version.number


def content(registry: Registry, path: str) -> bytes:
    return registry.store.open("acme", path).opened.body.read()


@pytest.fixture(name="model", autouse=True)
def _model(registry: Registry) -> None:
    registry.models.create("acme", "bert", by="ana")


@pytest.mark.parametrize("size", [0, 100, PART_BYTES + 1])
def test_registration_records_every_files_checksum_and_s3_version(registry: Registry, size: int) -> None:
    body = b"x" * size
    stored = upload(registry, "m/1/weights", body)
    upload(registry, "m/1/sub/config", b"{}")
    upload(registry, "m/10/other", b"not of m/1")
    register(registry, "m/1")
    location = Locations(registry.records.table).at("acme", "m/1")
    assert location is not None
    assert [file.path for file in location.files] == ["m/1/sub/config", "m/1/weights"]
    recorded = location.file("m/1/weights")
    assert recorded is not None
    assert (recorded.size, recorded.version) == (size, stored.version)
    assert recorded.sha256 == hashlib.sha256(body).hexdigest()


def test_a_single_file_can_be_a_place(registry: Registry) -> None:
    upload(registry, "m/model.bin", b"one")
    upload(registry, "m/model.bin.txt", b"another")
    register(registry, "m/model.bin")
    refused("resource_conflict", upload, registry, "m/model.bin", b"two")
    upload(registry, "m/model.bin.txt", b"changed")


def test_what_was_put_past_the_service_is_read_for_its_checksum(registry: Registry, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="acme/m/1/weights", Body=b"direct")
    register(registry, "m/1")
    assert registry.store.open("acme", "m/1/weights").sha256 == hashlib.sha256(b"direct").hexdigest()


def test_a_file_too_large_to_read_is_recorded_without_a_checksum(
    registry: Registry, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anfl.registry.artifact_store.READ_TO_FREEZE", 5)
    s3.put_object(Bucket=BUCKET, Key="acme/m/1/weights", Body=b"direct")
    register(registry, "m/1")
    assert registry.store.open("acme", "m/1/weights").sha256 is None


@pytest.mark.parametrize("path", ["m/1/weights", "m/1/new", "m/1/sub/new"])
def test_nothing_in_a_registered_place_can_be_written(registry: Registry, path: str) -> None:
    upload(registry, "m/1/weights", b"x")
    register(registry, "m/1")
    detail = refused("resource_conflict", registry.store.writer, "acme", path)
    assert detail.startswith("'m/1' is the source of 1 registered version and cannot")
    refused("resource_conflict", registry.store.begin_parts, "acme", path, 1)
    refused("resource_conflict", registry.store.upload_link, "acme", path, size=1, sha256="0" * 64)


@pytest.mark.parametrize("path", ["m", "m/1", "m/1/weights", "m/1/"])
def test_nothing_of_a_registered_place_can_be_deleted(registry: Registry, path: str) -> None:
    upload(registry, "m/1/weights", b"x")
    register(registry, "m/1")
    refused("resource_conflict", registry.store.delete, "acme", path)
    assert content(registry, "m/1/weights") == b"x"


def test_neighbours_and_other_tenants_are_not_frozen(registry: Registry) -> None:
    upload(registry, "m/1/weights", b"x")
    register(registry, "m/1")
    upload(registry, "m/10/weights", b"y")
    upload(registry, "m/2", b"y")
    upload(registry, "m/1/weights", b"theirs", tenant="other")
    registry.store.delete("acme", "m/2")
    registry.store.delete("other", "m")


def test_a_place_thaws_with_the_last_version_that_names_it(registry: Registry) -> None:
    upload(registry, "m/1/weights", b"x")
    registry.models.create("acme", "copy", by="ana")
    first, second = register(registry, "m/1"), register(registry, "m/1")
    register(registry, "m/1", name="copy")
    registry.versions.delete("acme", "bert", first, by="ana")
    registry.models.rename("acme", "bert", "renamed", by="ana")
    registry.versions.delete("acme", "renamed", second, by="ana")
    refused("resource_conflict", registry.store.writer, "acme", "m/1/weights")
    registry.models.delete("acme", "copy", by="ana")
    upload(registry, "m/1/weights", b"y")
    assert content(registry, "m/1/weights") == b"y"


def test_a_deleted_model_leaves_nothing_of_its_places(registry: Registry, dynamodb: Any) -> None:
    upload(registry, "m/1/weights", b"x")
    register(registry, "m/1")
    registry.models.delete("acme", "bert", by="ana")
    registry.store.delete("acme", "m/1")
    assert records(dynamodb) == []


def test_bytes_changed_past_the_service_are_never_served(registry: Registry, s3: Any) -> None:
    upload(registry, "m/1/weights", b"good")
    register(registry, "m/1")
    s3.put_object(Bucket=BUCKET, Key="acme/m/1/weights", Body=b"evil")
    s3.put_object(Bucket=BUCKET, Key="acme/m/1/extra", Body=b"evil")
    s3.delete_object(Bucket=BUCKET, Key="acme/m/1/gone")
    assert content(registry, "m/1/weights") == b"good"
    refused("resource_does_not_exist", registry.store.open, "acme", "m/1/extra")


def test_what_is_registered_and_has_not_come_from_its_region_yet_is_on_its_way(registry: Registry, s3: Any) -> None:
    """The table is copied in a second, the bucket takes minutes: who asks in between is to ask again."""
    upload(registry, "m/1/weights", b"x")
    register(registry, "m/1")
    (version,) = s3.list_object_versions(Bucket=BUCKET)["Versions"]
    s3.delete_object(Bucket=BUCKET, Key="acme/m/1/weights", VersionId=version["VersionId"])
    for read in (registry.store.open, registry.store.link):
        with pytest.raises(Problem) as caught:
            read("acme", "m/1/weights")
        assert (caught.value.status, caught.value.code) == (503, "artifact_not_here")
        assert caught.value.retry_after
    refused("resource_does_not_exist", registry.store.open, "acme", "m/1/another")
    refused("resource_does_not_exist", registry.store.open, "acme", "m/2")


def test_what_has_not_come_yet_can_be_copied_and_stays_refused_to_deletions(registry: Registry, s3: Any) -> None:
    """A region that has just become home."""
    upload(registry, "m/1/weights", b"x")
    register(registry, "m/1")
    (version,) = s3.list_object_versions(Bucket=BUCKET)["Versions"]
    s3.delete_object(Bucket=BUCKET, Key="acme/m/1/weights", VersionId=version["VersionId"])
    assert register(registry, "m/1") == 2
    refused("resource_conflict", registry.store.delete, "acme", "m/1")
    place = registry.store.place("acme", "m/1")
    assert [file.version for file in place.files] == [version["VersionId"]]


def test_an_upload_that_ends_after_its_place_was_frozen_is_taken_back(registry: Registry) -> None:
    first = upload(registry, "m/1/weights", b"registered")
    writers = [registry.store.writer("acme", path) for path in ("m/1/weights", "m/1/extra")]
    register(registry, "m/1")
    for writer in writers:
        writer.wants_flush(b"late")
        stored, sha256 = writer.finish()
        refused("resource_conflict", registry.store.uploaded, "acme", stored, sha256)
    verified = registry.store.open("acme", "m/1/weights")
    assert verified.opened.body.read() == b"registered"
    assert verified.sha256 == hashlib.sha256(b"registered").hexdigest()
    assert verified.opened.version != first.version
    assert registry.artifacts.newest("acme", "m/1/weights").version == verified.opened.version
    refused("resource_does_not_exist", registry.artifacts.newest, "acme", "m/1/extra")


def test_a_place_that_thaws_and_is_frozen_anew_is_another_one(
    registry: Registry, process: Callable[[], Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who read it before must not write that back: the version that froze it anew would get the files of the first."""
    other = process()
    registry.models.create("acme", "other", by="ana")
    upload(registry, "m/1/weights", b"one")
    register(registry, "m/1", name="other")
    place, read = registry.store.place, list[Location]()

    def outrun(tenant: str, path: str) -> Location:
        found = place(tenant, path)
        if not read:
            read.append(found)
            other.versions.delete("acme", "other", 1, by="ben")
            upload(other, "m/1/weights", b"two")
            register(other, "m/1", name="other")
        return found

    monkeypatch.setattr(registry.store, "place", outrun)
    register(registry, "m/1")
    digests = {
        name: registry.versions.get("acme", name, number).version.digest
        for name, number in {"bert": 1, "other": 2}.items()
    }
    assert digests["bert"] == digests["other"]
    assert content(registry, "m/1/weights") == b"two"
    frozen = Locations(registry.records.table).at("acme", "m/1")
    assert frozen is not None
    assert len(frozen.holders) == 2
    assert not {*read[0].holders} & {*frozen.holders}


def still_there(registry: Registry, path: str, body: bytes) -> None:
    """Seen by everybody, as the newest version: nothing expires."""
    verified = registry.store.open("acme", path)
    assert verified.opened.body.read() == body
    assert verified.sha256 == hashlib.sha256(body).hexdigest()
    assert registry.artifacts.newest("acme", path).version == verified.opened.version
    folder, _, name = path.rpartition("/")
    assert name in {entry.name for entry in registry.store.entries("acme", folder)}


def test_a_deletion_that_passed_its_check_before_the_place_was_frozen_is_taken_back(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("weights", "sub/config"):
        upload(registry, f"m/1/{name}", name.encode())
    delete = registry.artifacts.delete

    def late(tenant: str, path: str) -> Iterator[list[str]]:
        register(registry, "m/1")
        yield from delete(tenant, path)

    monkeypatch.setattr(registry.artifacts, "delete", late)
    assert "m/1" in refused("resource_conflict", registry.store.delete, "acme", "m")
    for name in ("weights", "sub/config"):
        still_there(registry, f"m/1/{name}", name.encode())


@pytest.mark.parametrize("change", ["delete", "replace"])
def test_what_changed_while_its_place_was_being_frozen_comes_back(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    upload(registry, "m/1/weights", b"read")
    place = registry.store.place

    def changed_after(tenant: str, path: str) -> Location:
        found = place(tenant, path)
        if change == "delete":
            registry.store.delete(tenant, f"{path}/weights")
        else:
            upload(registry, f"{path}/weights", b"later")
        return found

    monkeypatch.setattr(registry.store, "place", changed_after)
    register(registry, "m/1")
    still_there(registry, "m/1/weights", b"read")


@pytest.mark.parametrize("again", ["delete", "register"])
def test_whoever_died_before_looking_again_is_made_good_for_by_the_next(registry: Registry, again: str) -> None:
    upload(registry, "m/1/weights", b"x")
    register(registry, "m/1")
    list(registry.artifacts.delete("acme", "m/1"))
    if again == "delete":
        refused("resource_conflict", registry.store.delete, "acme", "m/1")
    else:
        register(registry, "m/1")
    still_there(registry, "m/1/weights", b"x")


def test_what_is_put_back_late_does_not_take_the_place_of_what_was_registered_since(
    registry: Registry, process: Callable[[], Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 copies a large file for a minute: time enough to delete its version and to have another file approved."""
    other = process()
    upload(registry, "m/1/weights", b"evil")
    writer = registry.store.writer("acme", "m/1/weights")
    first = register(registry, "m/1")
    restore, slow = registry.artifacts.restore, list[Stored]()

    def outrun(tenant: str, stored: Stored) -> Stored:
        if not slow:
            slow.append(stored)
            other.versions.delete("acme", "bert", first, by="ben")
            upload(other, "m/1/weights", b"good")
            register(other, "m/1")
        return restore(tenant, stored)

    monkeypatch.setattr(registry.artifacts, "restore", outrun)
    writer.wants_flush(b"late")
    stored, sha256 = writer.finish()
    refused("resource_conflict", registry.store.uploaded, "acme", stored, sha256)
    assert slow
    still_there(registry, "m/1/weights", b"good")


def test_what_is_put_back_is_recorded_in_every_place_that_has_it(registry: Registry) -> None:
    """Otherwise the outer place would go on naming a replaced version, which S3 expires."""
    upload(registry, "m/1/code/model.py", b"x")
    register(registry, "m/1/code")
    register(registry, "m/1")
    list(registry.artifacts.delete("acme", "m/1/code"))
    refused("resource_conflict", registry.store.delete, "acme", "m/1/code")
    newest = registry.artifacts.newest("acme", "m/1/code/model.py").version
    for path in ("m/1", "m/1/code"):
        place = Locations(registry.records.table).at("acme", path)
        assert place is not None
        assert [file.version for file in place.files] == [newest]


@pytest.mark.parametrize("place", ["m/1", "m/1/x", "m"])
def test_what_is_a_file_and_a_folder_at_once_cannot_be_registered(registry: Registry, s3: Any, place: str) -> None:
    """Below the place both would have one name, so that what is signed is one of them."""
    for path in ("m/1/x", "m/1/x/x"):
        s3.put_object(Bucket=BUCKET, Key=f"acme/{path}", Body=path.encode())
    assert "'m/1/x' is a file and a folder" in refused("invalid_parameter_value", register, registry, place)
    register(registry, "m/1/x/x")


def test_no_folder_can_be_uploaded_in_parts(registry: Registry) -> None:
    refused("invalid_parameter_value", registry.store.begin_parts, "acme", "m/1/", 1)
    refused("invalid_parameter_value", registry.store.complete_parts, "acme", "m/1/", "id", [(1, "x")])


def test_a_deletion_that_s3_carries_out_in_part_is_told(
    registry: Registry, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(registry, "m/1/weights", b"x")
    failed = {"Errors": [{"Key": "acme/m/1/weights", "Code": "InternalError", "Message": "We encountered an error."}]}
    monkeypatch.setattr(s3, "delete_objects", lambda **_: failed)
    with pytest.raises(ClientError, match="InternalError"):
        registry.store.delete("acme", "m/1")
    assert content(registry, "m/1/weights") == b"x"


def by_an_old_link(s3: Any, path: str, body: bytes = b"late") -> None:
    """Put a file past the service, as who was given a link before its place was frozen can for fifteen minutes."""
    s3.put_object(Bucket=BUCKET, Key=f"acme/{path}", Body=body, IfNoneMatch="*")


def names(registry: Registry, path: str) -> list[tuple[str, int | None]]:
    return [(entry.name, entry.size) for entry in registry.store.entries("acme", path)]


def test_what_a_link_adds_to_a_frozen_place_is_no_part_of_it(registry: Registry, s3: Any) -> None:
    for name in ("a/b/deep", "a/one", "weights"):
        upload(registry, f"m/1/{name}", b"x")
    register(registry, "m/1")
    for late in ("late", "a/late", "a/b/late", "new/late", "weights/late"):
        by_an_old_link(s3, f"m/1/{late}")
        refused("resource_does_not_exist", registry.store.open, "acme", f"m/1/{late}")
    for path in ("m/1", "m/1/"):
        assert names(registry, path) == [("a", None), ("weights", 1)]
    assert names(registry, "m/1/a") == [("b", None), ("one", 1)]
    assert names(registry, "m/1/a/b") == [("deep", 1)]
    assert names(registry, "m/1/new") == names(registry, "m/1/weights") == names(registry, "m/1/absent") == []


@pytest.mark.parametrize("inner", ["m/1/code", "m/1/code/late.py", "m/1/code/deep"])
def test_a_place_within_a_frozen_one_has_no_other_files(registry: Registry, s3: Any, inner: str) -> None:
    """Otherwise whoever may register could add files to what others have validated, signed and approved."""
    for name in ("code/deep/model.py", "weights"):
        upload(registry, f"m/1/{name}", b"x")
    register(registry, "m/1")
    for late in ("code/late.py", "code/deep/late.py"):
        by_an_old_link(s3, f"m/1/{late}")
    registry.models.create("acme", "other", by="ana")
    register(registry, inner, name="other")
    for late in ("code/late.py", "code/deep/late.py"):
        refused("resource_does_not_exist", registry.store.open, "acme", f"m/1/{late}")
    assert content(registry, "m/1/code/deep/model.py") == b"x"
    assert "late.py" not in {name for path in ("m/1/code", "m/1/code/deep") for name, _ in names(registry, path)}


def test_who_freezes_a_place_while_one_is_frozen_around_it_adds_nothing_to_that(
    registry: Registry, s3: Any, process: Callable[[], Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However late: here, after it has looked for the last time."""
    other, place = process(), registry.store.place
    upload(registry, "m/1/code/model.py", b"x")
    registry.models.create("acme", "other", by="ana")

    def outrun(tenant: str, path: str) -> Location:
        monkeypatch.setattr(registry.store, "place", place)
        register(other, "m/1")
        by_an_old_link(s3, "m/1/code/late.py")
        stored = list(registry.artifacts.walk(tenant, path))
        files = [FrozenFile(path=one.path, size=one.size, version=one.version, sha256=None) for one in stored]
        assert len(files) == 2
        return Location(path=path, files=tuple(files))

    monkeypatch.setattr(registry.store, "place", outrun)
    register(registry, "m/1/code", name="other")
    refused("resource_does_not_exist", registry.store.open, "acme", "m/1/code/late.py")
    assert names(registry, "m/1/code") == [("model.py", 1)]
    assert content(registry, "m/1/code/model.py") == b"x"


def test_who_freezes_a_place_while_one_is_frozen_around_it_replaces_nothing_in_that(
    registry: Registry, s3: Any, process: Callable[[], Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registration that reads large files for their checksums takes as long as its author likes: meanwhile another
    file may come in their place, and be validated, signed and approved.
    """
    other, really = process(), registry.artifacts.sha256
    upload(registry, "m/1/code/model.py", b"bad")
    by_an_old_link(s3, "m/1/code/weights")
    registry.models.create("acme", "other", by="ana")

    def slowly(tenant: str, stored: Stored, *, at_most: int) -> str | None:
        if not list(Locations(registry.records.table).below(tenant, "m")):
            upload(other, "m/1/code/model.py", b"good")
            register(other, "m/1")
        return really(tenant, stored, at_most=at_most)

    monkeypatch.setattr(registry.artifacts, "sha256", slowly)
    register(registry, "m/1/code", name="other")
    assert content(registry, "m/1/code/model.py") == b"good"
    inner = Locations(registry.records.table).at("acme", "m/1/code")
    assert inner is not None
    assert inner.manifest()["model.py"] == hashlib.sha256(b"good").hexdigest()


def test_a_place_in_which_another_is_frozen_while_it_is_read_has_of_that_what_it_has(
    registry: Registry, s3: Any, process: Callable[[], Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a version would consist of what nobody can read any more."""
    other, really = process(), registry.artifacts.sha256
    upload(registry, "m/1/code/model.py", b"first")
    by_an_old_link(s3, "m/1/weights")
    registry.models.create("acme", "other", by="ana")

    def slowly(tenant: str, stored: Stored, *, at_most: int) -> str | None:
        if not list(Locations(registry.records.table).below(tenant, "m")):
            upload(other, "m/1/code/model.py", b"second")
            register(other, "m/1/code", name="other")
        return really(tenant, stored, at_most=at_most)

    monkeypatch.setattr(registry.artifacts, "sha256", slowly)
    register(registry, "m/1")
    outer = Locations(registry.records.table).at("acme", "m/1")
    assert outer is not None
    assert outer.manifest()["code/model.py"] == hashlib.sha256(b"second").hexdigest()
    assert content(registry, "m/1/code/model.py") == b"second"


def test_of_two_places_in_each_other_that_name_different_files_neither_is_given(
    registry: Registry, process: Callable[[], Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever was frozen later, or in another region: what was validated is one of them."""
    other, really = process(), registry.store.place
    upload(registry, "m/1/code/model.py", b"bad")
    upload(registry, "m/1/code/weights", b"w")
    registry.models.create("acme", "other", by="ana")

    def slowly(tenant: str, path: str) -> Location:
        upload(other, "m/1/code/model.py", b"good")
        read = really(tenant, path)
        upload(other, "m/1/code/model.py", b"bad")
        register(other, "m/1/code", name="other")
        return read

    with monkeypatch.context() as patched:
        patched.setattr(registry.store, "place", slowly)
        register(registry, "m/1")
    refused("resource_does_not_exist", registry.store.open, "acme", "m/1/code/model.py")
    assert content(registry, "m/1/code/weights") == b"w"


def test_a_place_around_a_frozen_one_has_of_that_what_it_has(registry: Registry, s3: Any) -> None:
    for name in ("code/model.py", "weights"):
        upload(registry, f"m/1/{name}", b"x")
    register(registry, "m/1/code")
    by_an_old_link(s3, "m/1/code/late.py")
    s3.put_object(Bucket=BUCKET, Key="acme/m/1/code/model.py", Body=b"past the service")
    s3.put_object(Bucket=BUCKET, Key="acme/m/1/code.py", Body=b"a neighbour")
    register(registry, "m/1")
    place = Locations(registry.records.table).at("acme", "m/1")
    assert place is not None
    assert place.manifest() == {
        "code/model.py": hashlib.sha256(b"x").hexdigest(),
        "code.py": hashlib.sha256(b"a neighbour").hexdigest(),
        "weights": hashlib.sha256(b"x").hexdigest(),
    }


def test_who_tries_to_delete_from_a_frozen_place_takes_away_what_is_no_part_of_it(registry: Registry, s3: Any) -> None:
    for name in ("code/model.py", "weights"):
        upload(registry, f"m/1/{name}", b"x")
    register(registry, "m/1/code")
    register(registry, "m/1")
    for late in ("late", "code/late"):
        by_an_old_link(s3, f"m/1/{late}")
    refused("resource_conflict", registry.store.delete, "acme", "m/1/late")
    refused("resource_conflict", registry.store.delete, "acme", "m/1/code/late")
    assert {stored.path for stored in registry.artifacts.walk("acme", "m/1")} == {"m/1/code/model.py", "m/1/weights"}


def test_an_upload_that_ends_just_before_its_place_is_frozen_stays(registry: Registry) -> None:
    writer = registry.store.writer("acme", "m/1/weights")
    writer.wants_flush(b"just in time")
    stored, sha256 = writer.finish()
    register(registry, "m/1")
    registry.store.uploaded("acme", stored, sha256)
    assert content(registry, "m/1/weights") == b"just in time"


def test_links_last_fifteen_minutes_and_fix_version_length_and_checksum(registry: Registry) -> None:
    stored = upload(registry, "m/1/weights", b"x")
    register(registry, "m/1")
    frozen = registry.store.link("acme", "m/1/weights")
    query = parse_qs(urlsplit(frozen.url).query)
    assert (frozen.size, frozen.sha256) == (1, hashlib.sha256(b"x").hexdigest())
    assert query["versionId"] == [stored.version]
    link = registry.store.upload_link("acme", "m/2/weights", size=3, sha256=hashlib.sha256(b"abc").hexdigest())
    assert "/acme/m/2/weights" in link.url
    assert link.headers == {
        "content-length": "3",
        "x-amz-checksum-sha256": "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
        "if-none-match": "*",
    }
    assert LINK_SECONDS == 900


def in_parts(registry: Registry, s3: Any, parts: list[bytes]) -> tuple[str, list[tuple[int, str]]]:
    """Begin an upload and send its parts, as a client does by the links: its id, and the parts' numbers and ETags."""
    upload_id, urls = registry.store.begin_parts("acme", "m/1/weights", len(parts))
    (s3_id,) = parse_qs(urlsplit(urls[0]).query)["uploadId"]
    place = {"Bucket": BUCKET, "Key": "acme/m/1/weights", "UploadId": s3_id}
    return upload_id, [
        (number, s3.upload_part(**place, PartNumber=number, Body=body)["ETag"]) for number, body in enumerate(parts, 1)
    ]


PARTS = [b"a" * (5 * 1024**2), b"b" * 10]


@pytest.fixture(name="forgetful")
def _forgetful(s3: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """S3 as it documents itself, and not as moto is: an upload that was completed is there no more."""
    complete = s3.complete_multipart_upload

    def once(**asked: Any) -> Any:
        if asked["UploadId"] not in {
            begun["UploadId"] for begun in s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        }:
            raise NO_SUCH_UPLOAD
        return complete(**asked)

    monkeypatch.setattr(s3, "complete_multipart_upload", once)
    return s3


def test_parts_become_a_file_with_a_checksum(registry: Registry, s3: Any) -> None:
    upload_id, parts = in_parts(registry, s3, PARTS)
    registry.store.complete_parts("acme", "m/1/weights", upload_id, parts)
    verified = registry.store.open("acme", "m/1/weights")
    assert verified.sha256 == hashlib.sha256(b"".join(PARTS)).hexdigest()
    refused("resource_does_not_exist", registry.store.abort_parts, "acme", "m/1/weights", upload_id)


def test_who_did_not_hear_that_parts_became_a_file_may_ask_again(
    registry: Registry, forgetful: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the service died, or S3's answer did not come, before a checksum was recorded."""
    upload_id, parts = in_parts(registry, forgetful, PARTS)
    with monkeypatch.context() as patch:
        patch.setattr(registry.store, "uploaded", died := Mock(side_effect=RuntimeError))
        with pytest.raises(RuntimeError):
            registry.store.complete_parts("acme", "m/1/weights", upload_id, parts)
    died.assert_called_once()
    version = forgetful.head_object(Bucket=BUCKET, Key="acme/m/1/weights")["VersionId"]
    for listed in (parts, [(number, etag.strip('"')) for number, etag in reversed(parts)]):
        registry.store.complete_parts("acme", "m/1/weights", upload_id, listed)
        verified = registry.store.open("acme", "m/1/weights")
        assert (verified.opened.version, verified.opened.body.read()) == (version, b"".join(PARTS))
        assert verified.sha256 == hashlib.sha256(b"".join(PARTS)).hexdigest()


def test_a_repeated_completion_asks_s3_for_the_file_once_and_reads_it_no_more(
    registry: Registry, forgetful: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def counted(name: str, call: Callable[..., Any], **given: Any) -> Any:
        asked.append(name)
        return call(**given)

    for name in ("head_object", "get_object"):
        monkeypatch.setattr(forgetful, name, partial(counted, name, getattr(forgetful, name)))
    upload_id, parts = in_parts(registry, forgetful, PARTS)
    registry.store.complete_parts("acme", "m/1/weights", upload_id, parts)
    assert asked == ["head_object", "get_object"]
    asked.clear()
    registry.store.complete_parts("acme", "m/1/weights", upload_id, parts)
    assert asked == ["head_object"]


def test_an_upload_that_an_earlier_release_began_is_completed(registry: Registry, forgetful: Any) -> None:
    """Its id is S3's, without a mark; so nobody knows its file by it, and it is completed once."""
    given, parts = in_parts(registry, forgetful, PARTS)
    plain = given.rpartition(".")[0]
    registry.store.complete_parts("acme", "m/1/weights", plain, parts)
    assert content(registry, "m/1/weights") == b"".join(PARTS)
    refused("resource_does_not_exist", registry.store.complete_parts, "acme", "m/1/weights", plain, parts)


def test_the_id_of_an_upload_is_of_the_form_that_other_releases_read(registry: Registry) -> None:
    """While a release is rolled out, who begins an upload and who completes it may be of different ones."""
    given, urls = registry.store.begin_parts("acme", "m/1/weights", 1)
    (s3_id,) = parse_qs(urlsplit(urls[0]).query)["uploadId"]
    assert re.fullmatch(re.escape(s3_id) + r"\.[0-9a-f]{32}", given)


def test_what_another_upload_or_other_parts_made_is_no_answer_to_a_repeated_completion(
    registry: Registry, forgetful: Any
) -> None:
    def not_that(upload_id: str, parts: list[tuple[int, str]]) -> None:
        refused("resource_does_not_exist", registry.store.complete_parts, "acme", "m/1/weights", upload_id, parts)

    aborted, parts = in_parts(registry, forgetful, PARTS)
    registry.store.abort_parts("acme", "m/1/weights", aborted)
    not_that(aborted, parts)
    completed, parts = in_parts(registry, forgetful, PARTS)
    registry.store.complete_parts("acme", "m/1/weights", completed, parts)
    not_that(aborted, parts)
    not_that(completed, parts[:1])
    not_that(completed, [parts[0], (2, parts[0][1])])
    not_that(completed, [parts[0], (2, "no ETag")])
    not_that(completed.rpartition(".")[0], parts)
    upload(registry, "m/1/weights", b"another's")
    not_that(completed, parts)
    registry.store.delete("acme", "m/1/weights")
    not_that(completed, parts)


def test_where_an_etag_says_nothing_of_content_the_number_of_parts_is_compared(
    registry: Registry, forgetful: Any
) -> None:
    """What it is made of S3 does not say where objects are encrypted by KMS, as they are in every deployment."""
    forgetful.put_bucket_encryption(
        Bucket=BUCKET,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]
        },
    )
    upload_id, parts = in_parts(registry, forgetful, PARTS)
    registry.store.complete_parts("acme", "m/1/weights", upload_id, parts)
    head = forgetful.head_object
    found = head(Bucket=BUCKET, Key="acme/m/1/weights")
    assert found["ServerSideEncryption"] == "aws:kms"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forgetful, "head_object", lambda **asked: head(**asked) | {"ETag": f'"{"0" * 32}-2"'})
        registry.store.complete_parts("acme", "m/1/weights", upload_id, parts)
        refused("resource_does_not_exist", registry.store.complete_parts, "acme", "m/1/weights", upload_id, parts[:1])


def test_a_file_whose_completion_is_asked_twice_is_there(
    registry: Registry, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As botocore does where S3 takes long to answer: the second request finds the upload completed."""
    complete = s3.complete_multipart_upload

    def twice(**asked: Any) -> Any:
        complete(**asked)
        raise NO_SUCH_UPLOAD

    whole = b"x" * (PART_BYTES + 1)
    upload(registry, "m/1/weights", b"another's")
    monkeypatch.setattr(s3, "complete_multipart_upload", twice)
    stored = upload(registry, "m/1/weights", whole)
    assert content(registry, "m/1/weights") == whole
    assert stored.version == s3.head_object(Bucket=BUCKET, Key="acme/m/1/weights").get("VersionId")
    assert registry.store.open("acme", "m/1/weights").sha256 == hashlib.sha256(whole).hexdigest()


def test_an_upload_that_is_gone_can_be_aborted_and_is_no_file(
    registry: Registry, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(**_: object) -> None:
        raise NO_SUCH_UPLOAD

    upload(registry, "m/1/weights", b"another's")
    writer = registry.store.writer("acme", "m/1/weights")
    writer.wants_flush(b"x" * PART_BYTES)
    writer.flush()
    for call in ("complete_multipart_upload", "abort_multipart_upload"):
        monkeypatch.setattr(s3, call, gone)
    refused("resource_does_not_exist", writer.finish)
    writer.abort()
    assert content(registry, "m/1/weights") == b"another's"


@pytest.mark.parametrize("parts", [[(1, "wrong")], [(2, "x")]])
def test_parts_that_were_not_sent_are_refused(registry: Registry, s3: Any, parts: list[tuple[int, str]]) -> None:
    upload_id, _ = in_parts(registry, s3, [b"x"])
    refused("invalid_parameter_value", registry.store.complete_parts, "acme", "m/1/weights", upload_id, parts)
    registry.store.abort_parts("acme", "m/1/weights", upload_id)
    assert s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []


@pytest.mark.parametrize("count", [0, 10_001])
def test_a_file_has_one_to_ten_thousand_parts(registry: Registry, count: int) -> None:
    refused("invalid_parameter_value", registry.store.begin_parts, "acme", "m/1/weights", count)


def test_more_files_than_can_be_recorded_are_refused(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anfl.registry.locations.MAX_FILES", 2)
    for number in range(3):
        upload(registry, f"m/1/{number}", b"x")
    refused("invalid_parameter_value", register, registry, "m/1")
    assert registry.models.get("acme", "bert")[1] == []


def test_what_artefacts_cost(registry: Registry, calls: Counter[str]) -> None:
    def cost(operation: Callable[[], object]) -> Counter[str]:
        calls.clear()
        operation()
        return Counter(calls)

    registry.models.get("acme", "bert")
    assert cost(lambda: upload(registry, "m/1/weights", b"x")) == {"BatchGetItem": 2, "PutItem": 1}
    assert sum(cost(lambda: register(registry, "m/1")).values()) == 7
    assert sum(cost(lambda: register(registry, "m/1")).values()) == 3
    assert cost(lambda: registry.store.open("acme", "m/1/weights")) == {"BatchGetItem": 1}
    assert cost(lambda: registry.store.link("acme", "m/1/weights")) == {"BatchGetItem": 1}
    assert cost(lambda: registry.store.entries("acme", "m/1")) == {"BatchGetItem": 1}
    upload(registry, "free", b"x")
    assert cost(lambda: registry.store.open("acme", "free")) == {"BatchGetItem": 2}
    assert cost(lambda: registry.store.delete("acme", "free")) == {"BatchGetItem": 2, "Query": 2, "BatchWriteItem": 1}


def test_problems_name_the_field(registry: Registry) -> None:
    upload(registry, "m/1/weights", b"x")
    register(registry, "m/1")
    with pytest.raises(Problem) as caught:
        registry.store.writer("acme", "m/1/x")
    assert (caught.value.status, caught.value.field) == (409, "path")


def test_a_link_for_an_upload_is_good_for_that_file_alone() -> None:
    """S3 asks for what is signed and for nothing else that the answer names."""
    session = boto3.session.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1")
    client = session.client("s3", config=Config(signature_version="s3v4"))
    link = Artifacts(bucket="b", client=client).upload_link("acme", "m/1/weights", size=3, sha256="a" * 64)
    [signed] = parse_qs(urlsplit(link.url).query)["X-Amz-SignedHeaders"]
    assert {"content-length", "if-none-match"} <= {*signed.split(";")}


def test_a_place_of_too_many_files_is_refused_before_any_is_looked_at(
    registry: Registry, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anfl.registry.artifact_store.MAX_FILES", 2)
    for number in range(3):
        s3.put_object(Bucket=BUCKET, Key=f"acme/m/1/{number}", Body=b"x")
    asked: list[str] = []
    s3.meta.events.register("before-call.s3", lambda model, **_: asked.append(model.name), unique_id="asked")
    try:
        refused("invalid_parameter_value", register, registry, "m/1")
    finally:
        s3.meta.events.unregister("before-call.s3", unique_id="asked")
    assert {*asked} == {"ListObjectVersions"}


def test_of_places_below_no_more_are_read_than_a_version_may_have_files(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        upload(registry, f"m/{number}/weights", b"x")
        register(registry, f"m/{number}")
    monkeypatch.setattr("anfl.registry.artifact_store.MAX_FILES", 2)
    read: list[str] = []
    below = Locations.below

    def counted(self: Locations, tenant: str, path: str) -> Iterator[Location]:
        for place in below(self, tenant, path):
            read.append(place.path)
            yield place

    monkeypatch.setattr(Locations, "below", counted)
    detail = refused("invalid_parameter_value", register, registry, "m")
    assert "at most 2 files" in detail
    assert read == ["m/0", "m/1", "m/2"]


@pytest.mark.parametrize("upload_id", ["x" * 3000, "a b", "\x00", "\ufffe", "é", "a/b?c"])
def test_what_is_no_id_of_an_upload_is_not_found(registry: Registry, s3: Any, upload_id: str) -> None:
    """S3 is not asked: what it says of such ones is no answer to who asked."""
    asked: list[str] = []
    s3.meta.events.register("before-call.s3", lambda model, **_: asked.append(model.name), unique_id="asked")
    try:
        for ask in (registry.store.complete_parts, registry.store.abort_parts):
            more = ([(1, "e")],) if ask == registry.store.complete_parts else ()
            refused("resource_does_not_exist", ask, "acme", "m/1/weights", upload_id, *more)
    finally:
        s3.meta.events.unregister("before-call.s3", unique_id="asked")
    assert asked == []


@pytest.mark.parametrize("part", [(1, "\x00"), (1, "\ufffe"), (1, "x" * 3000), (0, "e"), (-1, "e"), (10_001, "e")])
def test_what_can_be_no_part_is_refused(registry: Registry, part: tuple[int, str]) -> None:
    upload_id, _ = registry.store.begin_parts("acme", "m/1/weights", 1)
    refused("invalid_parameter_value", registry.store.complete_parts, "acme", "m/1/weights", upload_id, [part])


def test_a_file_larger_than_any_may_be_is_refused_while_it_comes(
    registry: Registry, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However its size was declared."""
    monkeypatch.setattr("anfl.registry.artifacts.MAX_FILE_BYTES", 10)
    writer = registry.store.writer("acme", "m/1/weights")
    writer.wants_flush(b"x" * 10)
    assert refused("too_large", writer.wants_flush, b"x") == "An artifact has at most 10 bytes."
    writer.abort()
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET)


def test_what_s3_copies_not_at_once_is_not_put_back_and_served_all_the_same(
    registry: Registry, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anfl.registry.artifact_store.LARGEST_COPY", 0)
    upload(registry, "m/1/weights", b"x")
    register(registry, "m/1")
    list(registry.artifacts.delete("acme", "m/1/weights"))
    asked: list[str] = []
    s3.meta.events.register("before-call.s3", lambda model, **_: asked.append(model.name), unique_id="asked")
    try:
        refused("resource_conflict", registry.store.delete, "acme", "m/1")
    finally:
        s3.meta.events.unregister("before-call.s3", unique_id="asked")
    assert "CopyObject" not in asked
    assert registry.store.open("acme", "m/1/weights").opened.body.read() == b"x"
