"""Inspection of what the registry stores."""

import hashlib
import io
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anfl.problems import Problem
from anfl.registry.entities import VersionOf
from anfl.registry.inspections import Inspections
from anfl.registry.registry import Registry
from anfl.resources import VERDICT_WRITES

BUCKET = "artifacts"
PLACE = "models/bert/1"
KEY = f"acme/{PLACE}/weights.npy"

Register = Callable[[], VersionOf]


def array(length: int) -> bytes:
    target = io.BytesIO()
    np.save(target, np.zeros(length))
    return target.getvalue()


@pytest.fixture(name="inspections")
def _inspections(registry: Registry, tmp_path: Path) -> Inspections:
    return Inspections(registry, scratch=tmp_path)


@pytest.fixture(name="register")
def _register(registry: Registry) -> Register:
    """Registers what lies at `PLACE`."""
    registry.models.create("acme", "bert", tags={}, by="ana")
    create = partial(
        registry.versions.create, "acme", "bert", source="x", location=f"mlflow-artifacts:/{PLACE}", by="ana"
    )
    return lambda: create(place=partial(registry.store.place, "acme", PLACE))


def test_a_version_gets_its_verdict_with_the_versions_of_its_objects(
    register: Register, inspections: Inspections, registry: Registry, s3: Any, tmp_path: Path
) -> None:
    content = array(4)
    stored = s3.put_object(Bucket=BUCKET, Key=KEY, Body=content)
    inspections.version("acme", register())
    verdict = registry.verdicts.get("acme", "bert", 1)
    assert verdict is not None
    assert (verdict.status, verdict.reasons) == ("VALIDATED", [])
    digest = hashlib.sha256(content).hexdigest()
    assert [(f.path, f.sha256, f.s3_version) for f in verdict.files] == [("weights.npy", digest, stored["VersionId"])]
    assert list(tmp_path.iterdir()) == []


def test_a_verdict_is_written_where_the_function_may_write_and_what_it_checks_fits_too(
    register: Register, inspections: Inspections, s3: Any, dynamodb: Any
) -> None:
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=array(4))
    found, named = register(), set[str]()

    def note(params: dict[str, Any], model: Any, **_: Any) -> None:
        writes = [next(iter(action.values())) for action in params.get("TransactItems", [])]
        assert writes or model.name in {"BatchGetItem", "GetItem"}
        named.update((write.get("Item") or write["Key"])["pk"]["S"] for write in writes)

    dynamodb.meta.events.register("before-parameter-build.dynamodb", note, unique_id="note")
    try:
        inspections.version("acme", found)
    finally:
        dynamodb.meta.events.unregister("before-parameter-build.dynamodb", unique_id="note")
    assert {pattern for pattern in VERDICT_WRITES if any(fnmatchcase(one, pattern) for one in named)} == {
        *VERDICT_WRITES
    }
    assert [one for one in named if not any(fnmatchcase(one, pattern) for pattern in VERDICT_WRITES)] == []


def test_bytes_that_are_not_the_registered_ones_are_rejected(
    register: Register, inspections: Inspections, s3: Any
) -> None:
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=array(4))
    found = register()
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=array(5))  # past the service, which would refuse it
    verdict = inspections.version("acme", found)
    assert verdict.status == "REJECTED"
    assert [(reason.code, reason.file) for reason in verdict.reasons] == [("checksum_mismatch", "weights.npy")]


def test_what_no_checksum_tells_from_the_registered_is_not_validated(
    register: Register, inspections: Inspections, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version stays what was registered, and is what a download gives; so nothing else may be looked at for it."""
    monkeypatch.setattr("anfl.registry.artifact_store.READ_TO_FREEZE", 1)
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"no array")
    found = register()
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=array(4))  # past the service, which would refuse it
    verdict = inspections.version("acme", found)
    assert verdict.status == "QUARANTINED"
    assert [(reason.code, reason.file) for reason in verdict.reasons] == [("changed_meanwhile", "weights.npy")]


def test_what_is_rejected_stays_so_though_it_changed_too(register: Register, inspections: Inspections, s3: Any) -> None:
    dangerous = f"acme/{PLACE}/model.pkl"
    s3.put_object(Bucket=BUCKET, Key=dangerous, Body=b"cos\nsystem\n(S'true'\ntR.")
    found = register()
    s3.put_object(Bucket=BUCKET, Key=f"acme/{PLACE}/new.npy", Body=array(4))
    verdict = inspections.version("acme", found)
    assert (verdict.status, [reason.code for reason in verdict.reasons]) == (
        "REJECTED",
        ["dangerous_global", "changed_meanwhile"],
    )


def test_files_that_are_missing_or_came_to_it_are_named(register: Register, inspections: Inspections, s3: Any) -> None:
    for name in ("weights.npy", "other.npy"):
        s3.put_object(Bucket=BUCKET, Key=f"acme/{PLACE}/{name}", Body=array(4))
    found = register()
    assert inspections.version("acme", found).status == "VALIDATED"
    s3.delete_object(Bucket=BUCKET, Key=KEY)
    s3.put_object(Bucket=BUCKET, Key=f"acme/{PLACE}/new.npy", Body=array(4))
    verdict = inspections.version("acme", found)
    assert verdict.status == "QUARANTINED"
    assert [(reason.code, reason.file) for reason in verdict.reasons] == [
        ("changed_meanwhile", "new.npy"),
        ("changed_meanwhile", "weights.npy"),
    ]


def test_a_path_is_inspected_before_anything_is_registered(inspections: Inspections, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="acme/upload/model.pkl", Body=b"cos\nsystem\n(S'true'\ntR.")
    report = inspections.path("acme", "upload")
    assert [(reason.code, reason.file) for reason in report.reasons] == [("dangerous_global", "model.pkl")]
    with pytest.raises(Problem) as raised:
        inspections.path("another", "upload")
    assert raised.value.status == 404
