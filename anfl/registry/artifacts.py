"""Artefacts in S3: below ``{tenant}/`` of one bucket, streamed in both directions in bounded memory."""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from anfl.problems import Problem
from anfl.registry.completions import begun, completed, is_etag, marked, metadata, new_mark, no_upload
from anfl.registry.errors import does_not_exist, invalid_parameter
from anfl.registry.object_keys import impossible_path, object_key

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef, HeadObjectOutputTypeDef

PART_BYTES = 8 * 1024 * 1024
"""Size of a part of an upload; what one upload holds in memory. S3's minimum is 5 MiB."""
MAX_FILE_BYTES = 50 * 1024**3
MAX_PUT_BYTES = 5 * 1024**3
"""S3's limit of one PUT, as by a link."""
MAX_LISTED = 10_000
LINK_SECONDS = 900
"""How long a presigned link works."""
MAX_PARTS = 10_000
_CHUNK_BYTES = 1024 * 1024
_RANGE = re.compile(r"bytes=(?:\d+-\d*|-\d+)")


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
    version: str | None


@dataclass(frozen=True, kw_only=True)
class UploadLink:
    """Where to PUT a file, with exactly these headers."""

    url: str
    headers: dict[str, str]


class Artifacts:
    """The artefact store of all tenants; every method takes the tenant first and reaches nothing of another's."""

    def __init__(self, *, bucket: str, client: "S3Client") -> None:
        self._bucket = bucket
        self._client = client

    def check(self, tenant: str, path: str) -> None:
        """:raises Problem: 400 for an impossible path."""
        object_key(tenant, path)

    def check_file(self, tenant: str, path: str) -> None:
        """As `check`, of what no folder can be.

        :raises Problem: 400.
        """
        if path.endswith("/"):
            raise impossible_path()
        object_key(tenant, path)

    def entries(self, tenant: str, path: str) -> list[Entry]:
        """What stands directly below a folder, folders included; empty for a file or nothing.

        :raises Problem: 400 for an impossible path.
        """
        prefix = object_key(tenant, path) + "/" if path else f"{tenant}/"
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
        key = object_key(tenant, path)
        # Keys come in order and each key's versions newest first: the file itself would be the first of all.
        first = self._client.list_object_versions(Bucket=self._bucket, Prefix=key, MaxKeys=1)
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=f"{key}/")
        yield from (stored for stored in _latest(first, tenant) if f"{tenant}/{stored.path}" == key)
        for page in pages:
            yield from _latest(page, tenant)

    def open(self, tenant: str, path: str, *, version: str | None = None, bytes_range: str | None = None) -> Opened:
        """Begin to read a file.

        :param version: of the object; None: the newest.
        :param bytes_range: an HTTP ``Range`` of one interval; others are ignored, as HTTP allows.
        :raises Problem: 404, 400 for an impossible path, 416 for a range beyond the end.
        """
        arguments: dict[str, Any] = {"Bucket": self._bucket, "Key": object_key(tenant, path)}
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
        return Opened(
            body=answer["Body"],
            length=answer["ContentLength"],
            content_range=answer.get("ContentRange"),
            version=_version(answer.get("VersionId")),
        )

    def newest(self, tenant: str, path: str, *, version: str | None = None) -> Stored:
        """What S3 holds of a file now (or of its ``version``).

        :raises Problem: 404, 400 for an impossible path.
        """
        return self._head(tenant, path, version)[0]

    def sha256(self, tenant: str, stored: Stored, *, at_most: int) -> str | None:
        """The checksum of a stored file in hexadecimal: as S3 recorded it, else by reading it in bounded memory.

        :param at_most: the largest file in bytes that is read; a larger one's is None.
        :raises Problem: 404 where it is gone.
        """
        _, recorded = self._head(tenant, stored.path, stored.version)
        return recorded or self.read_sha256(tenant, stored, at_most=at_most)

    def read_sha256(self, tenant: str, stored: Stored, *, at_most: int) -> str | None:
        """As `sha256`, where S3 recorded none: of what came in parts."""
        if stored.size > at_most:
            return None
        digest = hashlib.sha256()
        opened = self.open(tenant, stored.path, version=stored.version)
        try:
            for chunk in opened.body.iter_chunks(_CHUNK_BYTES):
                digest.update(chunk)
        finally:
            opened.body.close()
        return digest.hexdigest()

    def _head(self, tenant: str, path: str, version: str | None) -> tuple[Stored, str | None]:
        arguments: dict[str, Any] = {"VersionId": version} if version else {}
        try:
            answer = self._client.head_object(
                Bucket=self._bucket, Key=object_key(tenant, path), ChecksumMode="ENABLED", **arguments
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchKey", "NoSuchVersion", "405"):
                raise does_not_exist(f"No such artifact: '{path}'") from None
            raise
        checksum = answer.get("ChecksumSHA256", "")
        whole = checksum and "-" not in checksum  # of several parts: a checksum of their checksums
        return _stored(path, answer), base64.b64decode(checksum).hex() if whole else None

    def link(self, tenant: str, path: str, *, version: str | None) -> str:
        """A URL that downloads a file for `LINK_SECONDS`.

        :raises Problem: 400 for an impossible path.
        """
        place: dict[str, Any] = {"Bucket": self._bucket, "Key": object_key(tenant, path)}
        if version is not None:
            place["VersionId"] = version
        return self._client.generate_presigned_url("get_object", Params=place, ExpiresIn=LINK_SECONDS)

    def upload_link(self, tenant: str, path: str, *, size: int, sha256: str) -> "UploadLink":
        """Where to PUT a new file of exactly ``size`` bytes with that checksum (hexadecimal) within `LINK_SECONDS`.

        :raises Problem: 400 for an impossible path.
        """
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        url = self._client.generate_presigned_url(
            "put_object",
            Params={
                "Bucket": self._bucket,
                "Key": object_key(tenant, path),
                "ContentLength": size,
                "ChecksumSHA256": checksum,
                "IfNoneMatch": "*",
            },
            ExpiresIn=LINK_SECONDS,
        )
        headers = {"content-length": str(size), "x-amz-checksum-sha256": checksum, "if-none-match": "*"}
        return UploadLink(url=url, headers=headers)

    def begin_parts(self, tenant: str, path: str, parts: int) -> tuple[str, list[str]]:
        """Begin an upload in parts: its id, and where to PUT each part within `LINK_SECONDS`.

        :raises Problem: 400 for an impossible path or number of parts.
        """
        if not 1 <= parts <= MAX_PARTS:
            raise invalid_parameter(f"Parameter 'num_parts' must be between 1 and {MAX_PARTS}.", field="num_parts")
        place: dict[str, Any] = {"Bucket": self._bucket, "Key": object_key(tenant, path)}
        mark = new_mark()
        upload = self._client.create_multipart_upload(**place, Metadata=metadata(mark))["UploadId"]
        return marked(upload, mark), [
            self._client.generate_presigned_url(
                "upload_part",
                Params=place | {"UploadId": upload, "PartNumber": number},
                ExpiresIn=LINK_SECONDS,
            )
            for number in range(1, parts + 1)
        ]

    def complete_parts(self, tenant: str, path: str, upload: str, parts: Sequence[tuple[int, str]]) -> Stored:
        """Make a file of the parts (number, ETag) that were sent; done already is fine.

        :raises Problem: 404 for an unknown upload, 400 for parts that are not those.
        """
        upload_id, mark = begun(upload)
        place: dict[str, Any] = {"Bucket": self._bucket, "Key": object_key(tenant, path)}
        listed = sorted(parts)
        if not all(1 <= number <= MAX_PARTS and is_etag(etag) for number, etag in listed):
            message = f"Parts have numbers between 1 and {MAX_PARTS}, and the ETags that S3 gave."
            raise invalid_parameter(message, field="parts")
        chosen: Any = {"Parts": [{"PartNumber": number, "ETag": etag} for number, etag in listed]}
        try:
            self._client.complete_multipart_upload(**place, UploadId=upload_id, MultipartUpload=chosen)
        except ClientError as error:
            problem = _of_parts(error)
            found = completed(self._client, place, mark, listed) if _is_not_found(problem) else None
            if found is None:
                raise problem from error
            return _stored(path, found)
        return self.newest(tenant, path)

    def abort_parts(self, tenant: str, path: str, upload: str) -> None:
        """Forget the parts that were sent.

        :raises Problem: 404 for an unknown upload.
        """
        try:
            self._client.abort_multipart_upload(
                Bucket=self._bucket, Key=object_key(tenant, path), UploadId=begun(upload)[0]
            )
        except ClientError as error:
            raise _of_parts(error) from error

    def hide(self, tenant: str, path: str) -> None:
        """Remove a file from view; S3 keeps its versions for a while."""
        self._client.delete_object(Bucket=self._bucket, Key=object_key(tenant, path))

    def restore(self, tenant: str, stored: Stored) -> Stored:
        """Put an older version of a file on top again, as a new one.

        :raises Problem: 404 where there is no such version.
        """
        key = object_key(tenant, stored.path)
        source: Any = {"Bucket": self._bucket, "Key": key, "VersionId": stored.version}
        try:
            answer = self._client.copy_object(Bucket=self._bucket, Key=key, CopySource=source)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "NoSuchVersion", "404"):
                raise does_not_exist(f"No such artifact: '{stored.path}'") from None
            raise
        return Stored(path=stored.path, size=stored.size, version=_version(answer.get("VersionId")))

    def writer(self, tenant: str, path: str) -> "Writer":
        """Begin to write a file; it appears when the writer is finished, whole or not at all.

        :raises Problem: 400 for an impossible path.
        """
        self.check_file(tenant, path)
        return Writer(bucket=self._bucket, path=path, key=object_key(tenant, path), client=self._client)

    def delete(self, tenant: str, path: str) -> Iterator[list[str]]:
        """Remove a file, or a folder with everything below it; nothing there is fine. Gives the paths that are gone.

        :raises Problem: 400 for an impossible path.
        """
        found = self.walk(tenant, path)
        while batch := [stored.path for stored in islice(found, 1000)]:
            self._remove([f"{tenant}/{gone}" for gone in batch])
            yield batch

    def _remove(self, keys: list[str]) -> None:
        """:raises botocore.exceptions.ClientError: S3 says 200 and removed not all of them."""
        removed = self._client.delete_objects(
            Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
        )
        for failed in removed.get("Errors", [])[:1]:
            told: Any = {"Error": {"Code": failed.get("Code", ""), "Message": failed.get("Message", "")}}
            raise ClientError(told, "DeleteObjects")


class Writer:
    """One upload. Feed it with `write`, then `finish`; or `abort`."""

    def __init__(self, *, bucket: str, path: str, key: str, client: "S3Client") -> None:
        self._path = path
        self._place: dict[str, Any] = {"Bucket": bucket, "Key": key}
        self._client = client
        self._buffer = bytearray()
        self._upload: str | None = None
        self._mark = new_mark()
        self._parts: list[CompletedPartTypeDef] = []
        self._written = 0
        self._sha256 = hashlib.sha256()

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
            made = self._client.create_multipart_upload(**self._place, Metadata=metadata(self._mark))
            self._upload = made["UploadId"]
        self._sha256.update(self._buffer)
        number = len(self._parts) + 1
        answer = self._client.upload_part(
            **self._place, UploadId=self._upload, PartNumber=number, Body=bytes(self._buffer)
        )
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        self._buffer.clear()

    def finish(self) -> tuple[Stored, str]:
        """Make the file appear; what S3 holds of it, and its sha256 in hexadecimal."""
        if self._upload is None:
            self._sha256.update(self._buffer)
            put = self._client.put_object(**self._place, Body=bytes(self._buffer))
            version: str | None = put.get("VersionId")
        else:
            if self._buffer:
                self.flush()
            version = self._completed(self._upload)
        return Stored(path=self._path, size=self._written, version=_version(version)), self._sha256.hexdigest()

    def _completed(self, upload: str) -> str | None:
        """Make a file of the parts; its version.

        S3 may take minutes to answer. botocore asks again sooner, and is told that there is no such upload.
        """
        parts: Any = {"Parts": self._parts}
        try:
            return self._client.complete_multipart_upload(**self._place, UploadId=upload, MultipartUpload=parts).get(
                "VersionId"
            )
        except ClientError as error:
            problem = _of_parts(error)
            if not _is_not_found(problem):
                raise
            sent = [(part["PartNumber"], part["ETag"]) for part in self._parts]
            found = completed(self._client, self._place, self._mark, sent)
            if found is None:
                raise problem from error
            return found.get("VersionId")

    def abort(self) -> None:
        """Forget what was sent; fine where that is gone."""
        if self._upload is not None:
            try:
                self._client.abort_multipart_upload(**self._place, UploadId=self._upload)
            except ClientError as error:
                if not isinstance(_of_parts(error), Problem):
                    raise


def _latest(page: Mapping[str, Any], tenant: str) -> Iterator[Stored]:
    for item in page.get("Versions", []):
        if item["IsLatest"]:
            path = item["Key"][len(tenant) + 1 :]
            yield Stored(path=path, size=item["Size"], version=_version(item["VersionId"]))


def _stored(path: str, head: "HeadObjectOutputTypeDef") -> Stored:
    return Stored(path=path, size=head["ContentLength"], version=_version(head.get("VersionId")))


def _version(answered: str | None) -> str | None:
    return None if answered == "null" else answered


def _of_parts(error: ClientError) -> Exception:
    code = error.response["Error"]["Code"]
    if code in ("NoSuchUpload", "404"):
        return no_upload()
    if code in ("InvalidPart", "InvalidPartOrder", "EntityTooSmall", "MalformedXML", "InvalidRequest"):
        return invalid_parameter(f"These are not the parts that were uploaded ({code}).", field="parts")
    return error


def _is_not_found(error: Exception) -> bool:
    return isinstance(error, Problem) and error.status == HTTPStatus.NOT_FOUND
