"""Changes of moto's S3 (`local.aws.moto_patches` says why)."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from moto.s3.exceptions import NoSuchUpload
from moto.s3.models import FakeDeleteMarker, FakeKey, MultipartDict, S3Backend

from local.aws.buckets import replication
from local.aws.patching import Patch


def apply(patch: Patch) -> None:
    """Change moto."""
    patch(FakeKey, "__deepcopy__", _listed)
    patch(MultipartDict, "__missing__", _no_upload)
    patch(S3Backend, "list_objects", _without_deleted(S3Backend.list_objects))
    replication.apply(patch)


def _no_upload(_: MultipartDict, upload_id: str) -> None:
    """For whoever looks up an upload that there is not: to moto that is an error of its own."""
    raise NoSuchUpload(upload_id=upload_id)


def _listed(key: FakeKey, _memo: object) -> FakeKey:
    """For ListObjectVersions, which would copy the content of every object of the bucket: all but the content."""
    listed: FakeKey = object.__new__(FakeKey)
    listed.__dict__ |= key.__dict__ | {"_etag": key.etag.strip('"'), "_value_buffer": None, "multipart": None}
    listed.disposed = True
    return listed


def _without_deleted(list_objects: Callable[..., Any]) -> Callable[..., Any]:
    def listed(backend: S3Backend, bucket: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        there = {name: key for name, key in bucket.keys.items() if not isinstance(key, FakeDeleteMarker)}
        return list_objects(backend, SimpleNamespace(keys=there), *arguments, **options)

    return listed
