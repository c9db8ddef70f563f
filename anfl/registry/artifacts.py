"""Artefacts in S3: below ``{tenant}/`` of one bucket, streamed in both directions in bounded memory."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from anfl.problems import Problem
from anfl.registry.errors import does_not_exist, invalid_parameter
from anfl.registry.sources import fully_decoded

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

PART_BYTES = 8 * 1024 * 1024
"""Size of a part of an upload; what one upload holds in memory. S3's minimum is 5 MiB."""
MAX_FILE_BYTES = 50 * 1024**3
MAX_KEY_BYTES = 1024
MAX_LISTED = 10_000
_RANGE = re.compile(r"bytes=(?:\d+-\d*|-\d+)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\#]")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file or folder in a listing; ``size`` in bytes, None for a folder."""

    name: str
    size: int | None


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A file: its path below the tenant's prefix, its size in bytes, and the version that S3 holds of it."""

    path: str
    size: int
    version: str | None


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A file (or a range of it) that is being read. Close ``body``."""

    body: "StreamingBody"
    length: int
    content_range: str | None


class Artifacts:
    """The artefact store of all tenants; every method takes the tenant first and reaches nothing of another's."""

    def __init__(self, *, bucket: str, client: "S3Client") -> None:
        self._bucket = bucket
        self._client = client

    def entries(self, tenant: str, path: str) -> list[Entry]:
        """What stands directly below a folder, folders included; empty for a file or nothing.

        :raises Problem: 400 for an impossible path.
        """
        prefix = _key(tenant, path) + "/" if path else f"{tenant}/"
        entries: list[Entry] = []
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix, Delimiter="/"
        )
        for page in pages:
            folders, files = page.get("CommonPrefixes", []), page.get("Contents", [])
            entries += [Entry(name=folder["Prefix"][len(prefix) : -1], size=None) for folder in folders]
            entries += [Entry(name=f["Key"][len(prefix) :], size=f["Size"]) for f in files if f["Key"] != prefix]
            if len(entries) > MAX_LISTED:
                raise invalid_parameter(f"'{path}' holds more than {MAX_LISTED} entries.", field="path")
        return sorted(entries, key=lambda entry: entry.name)

    def walk(self, tenant: str, path: str) -> Iterator[Stored]:
        """The file at ``path``, or all files below it, with the versions that stand there now.

        :raises Problem: 400 for an impossible path.
        """
        key = _key(tenant, path)
        for page in self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=key):
            for item in page.get("Versions", []):
                if item["IsLatest"] and (item["Key"] == key or item["Key"].startswith(f"{key}/")):
                    version = item["VersionId"]
                    yield Stored(
                        path=item["Key"][len(tenant) + 1 :],
                        size=item["Size"],
                        version=None if version == "null" else version,
                    )

    def open(self, tenant: str, path: str, *, version: str | None = None, bytes_range: str | None = None) -> Opened:
        """Begin to read a file.

        :param version: of the object; None: the newest.
        :param bytes_range: an HTTP ``Range`` of one interval; others are ignored, as HTTP allows.
        :raises Problem: 404, 400 for an impossible path, 416 for a range beyond the end.
        """
        arguments: dict[str, Any] = {"Bucket": self._bucket, "Key": _key(tenant, path)}
        if version is not None:
            arguments["VersionId"] = version
        if bytes_range is not None and _RANGE.fullmatch(bytes_range):
            arguments["Range"] = bytes_range
        try:
            answer = self._client.get_object(**arguments)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in ("NoSuchKey", "NoSuchVersion", "404", "MethodNotAllowed"):
                raise does_not_exist(f"No such artifact: '{path}'") from None
            if code in ("InvalidRange", "416"):
                raise Problem(
                    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "invalid_range", f"'{path}' ends before that range."
                ) from None
            raise
        return Opened(body=answer["Body"], length=answer["ContentLength"], content_range=answer.get("ContentRange"))

    def writer(self, tenant: str, path: str) -> "Writer":
        """Begin to write a file; it appears when the writer is finished, whole or not at all.

        :raises Problem: 400 for an impossible path.
        """
        if path.endswith("/"):
            raise _impossible()
        return Writer(bucket=self._bucket, key=_key(tenant, path), client=self._client)

    def delete(self, tenant: str, path: str) -> None:
        """Remove a file, or a folder with everything below it; nothing there is fine.

        :raises Problem: 400 for an impossible path.
        """
        batch: list[str] = []
        for stored in self.walk(tenant, path):
            batch.append(f"{tenant}/{stored.path}")
            if len(batch) == 1000:
                self._remove(batch)
                batch = []
        self._remove(batch)

    def _remove(self, keys: list[str]) -> None:
        if keys:
            self._client.delete_objects(
                Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
            )


class Writer:
    """One upload. Feed it with `write`, then `finish`; or `abort`."""

    def __init__(self, *, bucket: str, key: str, client: "S3Client") -> None:
        self._place: dict[str, Any] = {"Bucket": bucket, "Key": key}
        self._client = client
        self._buffer = bytearray()
        self._upload: str | None = None
        self._parts: list[CompletedPartTypeDef] = []
        self._written = 0

    def wants_flush(self, chunk: bytes) -> bool:
        """Add ``chunk``; True: call `flush` before the next one. Never blocks."""
        self._buffer += chunk
        self._written += len(chunk)
        if self._written > MAX_FILE_BYTES:
            raise Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"An artifact has at most {MAX_FILE_BYTES} bytes."
            )
        return len(self._buffer) >= PART_BYTES

    def flush(self) -> None:
        """Send what was collected as one part."""
        if self._upload is None:
            self._upload = self._client.create_multipart_upload(**self._place)["UploadId"]
        number = len(self._parts) + 1
        answer = self._client.upload_part(
            **self._place, UploadId=self._upload, PartNumber=number, Body=bytes(self._buffer)
        )
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        self._buffer.clear()

    def finish(self) -> None:
        """Make the file appear."""
        if self._upload is None:
            self._client.put_object(**self._place, Body=bytes(self._buffer))
            return
        if self._buffer:
            self.flush()
        self._client.complete_multipart_upload(
            **self._place, UploadId=self._upload, MultipartUpload={"Parts": self._parts}
        )

    def abort(self) -> None:
        """Forget what was sent."""
        if self._upload is not None:
            self._client.abort_multipart_upload(**self._place, UploadId=self._upload)


def _key(tenant: str, path: str) -> str:
    """The object key of a path.

    :raises Problem: 400 where the path is absolute, climbs, or hides either behind percent-encoding.
    """
    decoded = fully_decoded(path)
    if decoded is None or _CONTROL.search(decoded) or _CONTROL.search(path):
        raise _impossible()
    trimmed = path.rstrip("/")
    for candidate in (trimmed, decoded.rstrip("/")):
        if not candidate or any(segment in ("", ".", "..") for segment in candidate.split("/")):
            raise _impossible()
    if re.match(r"[A-Za-z]:", decoded) or decoded.startswith("file:"):
        raise _impossible()
    try:
        key = f"{tenant}/{trimmed}"
        too_long = len(key.encode()) > MAX_KEY_BYTES
    except UnicodeEncodeError:
        raise _impossible() from None
    if too_long:
        raise invalid_parameter(f"'path' exceeds the maximum length of {MAX_KEY_BYTES} bytes", field="path")
    return key


def _impossible() -> Problem:
    return invalid_parameter("Invalid path", field="path")
