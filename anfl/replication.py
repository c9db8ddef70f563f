"""Replication rules of buckets, set once the buckets of every region exist.

A bucket's own stack cannot carry them: each bucket replicates to the others, and S3 refuses a rule whose destination
does not exist.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from botocore.exceptions import ClientError

_NOT_YET = frozenset({"AccessDenied", "OperationAborted", "ServiceUnavailable", "SlowDown"})
"""Errors that pass: IAM takes seconds until a new role may do what it may, S3 does one change of a bucket at a time."""
_GONE = frozenset({"NoSuchBucket", "ReplicationConfigurationNotFoundError"})
_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
_NUMBERS = frozenset({"Priority", "Minutes"})


class Replicated(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """One bucket and its rules, in the shape of S3's API but for numbers, which may be text."""

    bucket: str
    rules: list[dict[str, Any]]


class Mesh(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """The buckets of one region that replicate to other regions."""

    role: str = ""
    """ARN of the role as which S3 replicates."""
    buckets: list[Replicated] = []

    @property
    def names(self) -> set[str]:
        """Of the buckets."""
        return {replicated.bucket for replicated in self.buckets}


def mesh(properties: Mapping[str, Any]) -> Mesh:
    """Read the properties of the custom resource.

    :raises msgspec.ValidationError: one is missing or malformed.
    """
    return msgspec.convert(properties, Mesh)


class Replication:
    """Puts rules on buckets and takes them off."""

    def __init__(self, s3: Any, *, sleep: Callable[[float], object] = time.sleep) -> None:  # noqa: ANN401 - a client
        """:param s3: an S3 client in the buckets' region."""
        self._s3 = s3
        self._sleep = sleep

    def apply(self, wanted: Mesh, *, before: Sequence[str] = ()) -> None:
        """Give every bucket its rules, in place of those it has; buckets of ``before`` that are not wanted lose theirs.

        :raises ClientError: S3 refuses, and does so again and again where that may pass.
        """
        for replicated in wanted.buckets:
            rules = [_numbered(rule) for rule in replicated.rules]
            self._patiently(
                self._s3.put_bucket_replication,
                Bucket=replicated.bucket,
                ReplicationConfiguration={"Role": wanted.role, "Rules": rules},
            )
        self.remove(sorted(set(before) - wanted.names))

    def remove(self, buckets: Sequence[str]) -> None:
        """Take the rules off ``buckets``; what is gone already is as wanted. Objects stay where they are.

        :raises ClientError: S3 refuses.
        """
        for bucket in buckets:
            try:
                self._patiently(self._s3.delete_bucket_replication, Bucket=bucket)
            except ClientError as error:
                if error.response["Error"]["Code"] not in _GONE:
                    raise

    def _patiently(self, call: Callable[..., object], **parameters: object) -> None:
        for pause in _PAUSES:
            try:
                call(**parameters)
            except ClientError as error:
                if error.response["Error"]["Code"] not in _NOT_YET:
                    raise
                self._sleep(pause)
            else:
                return
        call(**parameters)


def _numbered(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """``value`` with numbers for what CloudFormation made text."""
    if isinstance(value, Mapping):
        return {key: int(item) if key in _NUMBERS else _numbered(item) for key, item in value.items()}
    return [_numbered(item) for item in value] if isinstance(value, list) else value
