"""The few operations on objects that the log needs, over S3.

The interface is small on purpose: the same log runs against a simulated store that loses and delays answers.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from anfl.problems import unavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_DELETE_AT_ONCE = 1_000


class AlreadyExistsError(Exception):
    """The key holds an object; nothing was written."""


class ChangedError(Exception):
    """The object is not the one that was read; nothing was written."""


class StoreUnavailableError(Exception):
    """No answer, or an error of the store's own: the outcome of a write is unknown."""


@contextmanager
def answering() -> Iterator[None]:
    """Where a store that does not answer is the caller's problem.

    :raises Problem: 503 ``storage_unavailable``.
    """
    try:
        yield
    except StoreUnavailableError as error:
        raise unavailable("The object store does not answer; try again.", code="storage_unavailable") from error


@dataclass(frozen=True)
class Entry:
    """An object in a listing: its size in bytes, and when it was written in seconds since the epoch."""

    key: str
    size: int
    modified: float


class ObjectStore(Protocol):
    """Objects by key. A put is seen by every get and list that begins after it was acknowledged."""

    def get(self, key: str) -> bytes | None:
        """The object, or None.

        :raises StoreUnavailableError: the store did not answer.
        """

    def put_if_absent(self, key: str, body: bytes | bytearray) -> None:
        """Write ``body`` only if nothing is there.

        :raises AlreadyExistsError: something is.
        :raises StoreUnavailableError: it is not known whether the object was written.
        """

    def put(self, key: str, body: bytes | bytearray) -> None:
        """Write ``body`` whatever is there: for objects whose key decides their content.

        :raises StoreUnavailableError: it is not known whether the object was written.
        """

    def get_tagged(self, key: str) -> tuple[bytes, str] | None:
        """The object and a tag by which `put_if_same` knows it, or None.

        :raises StoreUnavailableError: the store did not answer.
        """

    def put_if_same(self, key: str, body: bytes, tag: str) -> None:
        """Write ``body`` only in the place of the object that has this tag.

        :raises ChangedError: another one is there, or none.
        :raises StoreUnavailableError: it is not known whether the object was written.
        """

    def list(self, prefix: str, *, after: str = "") -> Iterator[Entry]:
        """Objects whose keys begin with ``prefix`` and sort behind ``after``, in order.

        :raises StoreUnavailableError: the store did not answer.
        """

    def versions(self, key: str) -> Iterator[bytes]:
        """What the object has been, oldest first; nothing where the store keeps no versions.

        :raises StoreUnavailableError: the store did not answer.
        """

    def is_copy(self, key: str) -> bool:
        """Whether the object was written in another region, and copied here.

        :raises StoreUnavailableError: the store did not answer.
        """

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; absent ones are no error.

        :raises StoreUnavailableError: some may remain.
        """


class S3ObjectStore:
    """An `ObjectStore` in one bucket; ``If-None-Match: *`` makes a put conditional."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def get(self, key: str) -> bytes | None:
        """See `ObjectStore.get`."""
        found = self.get_tagged(key)
        return None if found is None else found[0]

    def get_tagged(self, key: str) -> tuple[bytes, str] | None:
        """See `ObjectStore.get_tagged`."""
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=key)
            return answer["Body"].read(), answer["ETag"]
        except ClientError as error:
            if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
                return None
            raise StoreUnavailableError(f"get {key}: {error}") from error
        except BotoCoreError as error:
            raise StoreUnavailableError(f"get {key}: {error}") from error

    def put_if_absent(self, key: str, body: bytes | bytearray) -> None:
        """See `ObjectStore.put_if_absent`."""
        with _putting(key, {412: AlreadyExistsError}):
            self._client.put_object(Bucket=self._bucket, Key=key, Body=body, IfNoneMatch="*")  # type: ignore[arg-type]  # see `put`

    def put(self, key: str, body: bytes | bytearray) -> None:
        """See `ObjectStore.put`."""
        with _putting(key, {}):
            self._client.put_object(Bucket=self._bucket, Key=key, Body=body)  # type: ignore[arg-type]  # it may be a bytearray

    def put_if_same(self, key: str, body: bytes, tag: str) -> None:
        """See `ObjectStore.put_if_same`."""
        with _putting(key, {404: ChangedError, 412: ChangedError}):
            self._client.put_object(Bucket=self._bucket, Key=key, Body=body, IfMatch=tag)

    def list(self, prefix: str, *, after: str = "") -> Iterator[Entry]:
        """See `ObjectStore.list`."""
        pages = self._client.get_paginator("list_objects_v2")
        try:
            for page in pages.paginate(Bucket=self._bucket, Prefix=prefix, StartAfter=after):
                for found in page.get("Contents", []):
                    yield Entry(found["Key"], found["Size"], found["LastModified"].timestamp())
        except (BotoCoreError, ClientError) as error:
            raise StoreUnavailableError(f"list {prefix}: {error}") from error

    def versions(self, key: str) -> Iterator[bytes]:
        """See `ObjectStore.versions`."""
        try:
            page = self._client.list_object_versions(Bucket=self._bucket, Prefix=key)
            known = [version for version in page.get("Versions", []) if version["Key"] == key]
            for version in reversed(known):  # S3 names the latest first
                answer = self._client.get_object(Bucket=self._bucket, Key=key, VersionId=version["VersionId"])
                yield answer["Body"].read()
        except (BotoCoreError, ClientError) as error:
            raise StoreUnavailableError(f"versions of {key}: {error}") from error

    def is_copy(self, key: str) -> bool:
        """See `ObjectStore.is_copy`."""
        try:
            answer = self._client.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] == "404":
                return False
            raise StoreUnavailableError(f"head {key}: {error}") from error
        except BotoCoreError as error:
            raise StoreUnavailableError(f"head {key}: {error}") from error
        return answer.get("ReplicationStatus") == "REPLICA"

    def delete(self, keys: Iterable[str]) -> None:
        """See `ObjectStore.delete`."""
        waiting = list(keys)
        try:
            for start in range(0, len(waiting), _DELETE_AT_ONCE):
                objects = [{"Key": key} for key in waiting[start : start + _DELETE_AT_ONCE]]
                answer = self._client.delete_objects(
                    Bucket=self._bucket,
                    Delete={"Objects": objects, "Quiet": True},  # type: ignore[typeddict-item]
                )
                if answer.get("Errors"):
                    raise StoreUnavailableError(f"delete: {answer['Errors'][0]}")
        except (BotoCoreError, ClientError) as error:
            raise StoreUnavailableError(f"delete: {error}") from error


@contextmanager
def _putting(key: str, refused: Mapping[int, type[Exception]]) -> Iterator[None]:
    """Raise what ``refused`` says where the store answers so; where it does not say, the outcome is unknown."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"] if isinstance(error, ClientError) else 0
        if status in refused:
            raise refused[status](key) from error
        raise StoreUnavailableError(f"put {key}: {error}") from error
