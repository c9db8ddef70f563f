"""The files of imports, in the vectors bucket: sent there in parts, read from there in ranges.

``_imports/{tenant}/{import}/{place}``; no tenant's name begins so. What is left of them there goes by itself after a
week (`stacks.storage`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from anfl.problems import Problem, conflict, unavailable
from anfl.resources import IMPORTS_PREFIX
from anfl.vectors.imports.model import Record
from anfl.vectors.imports.requests import Part
from anfl.vectors.refusals import Refusal

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART_BYTES = 16 * 2**20
"""Of a part, unless the file would have more than `MAX_PARTS`. S3's minimum is 5 MiB."""
MAX_PARTS = 1_000
"""So many addresses make an answer of about a megabyte."""
LINK_SECONDS = 3_600
"""How long the address of a part works, unless the credentials that signed it expire sooner."""
BLOCK_BYTES = 16 * 2**20
"""That are read at a time."""
_ATTEMPTS = 3
"""At a range whose answer is cut off; what botocore tries again is the request alone."""
_GONE = frozenset({"NoSuchKey", "NoSuchUpload", "404"})


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Bytes ``offset`` to ``offset + bytes`` of a file, sent as its part ``number``, from 1."""

    number: int
    offset: int
    bytes: int


def pieces_of(size: int) -> list[Piece]:
    """How a file of ``size`` bytes is sent."""
    part = max(PART_BYTES, -(-size // MAX_PARTS))
    return [
        Piece(number=number, offset=offset, bytes=min(part, size - offset))
        for number, offset in enumerate(range(0, size, part), 1)
    ]


class Files:
    """Files of every import."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        """:param client: one that signs by SigV4, without which nothing under KMS can be presigned."""
        self._client = client
        self._bucket = bucket

    def begin(self, tenant: str, import_id: str, place: int) -> str:
        """Begin the upload of the file number ``place`` and return its name.

        :raises Problem: 503.
        """
        with _answering():
            return self._client.create_multipart_upload(**self._at(tenant, import_id, place))["UploadId"]

    def missing(self, record: Record, place: int) -> list[Part]:
        """The parts of a file that are not there, or not as long as they have to be, and where to put them.

        :raises Problem: 409 ``import_expired``, 503.
        """
        file = record.files[place]
        if self._is_complete(record, place):
            return []
        target = {**self._at(record.tenant, record.id, place), "UploadId": file.upload}
        there = {number: size for number, size, _ in self._sent(record, place)}
        return [
            Part(number=piece.number, offset=piece.offset, bytes=piece.bytes, url=self._signed(target, piece))
            for piece in pieces_of(file.bytes)
            if there.get(piece.number) != piece.bytes
        ]

    def complete(self, record: Record, place: int) -> None:
        """Make a file of its parts; no effect where it is one already.

        :raises Problem: 409 ``upload_incomplete`` naming the file, ``import_expired``, 503.
        """
        if self._is_complete(record, place):
            return
        file = record.files[place]
        sent = {number: (size, etag) for number, size, etag in self._sent(record, place)}
        wanted = pieces_of(file.bytes)
        missing = [part for part in wanted if sent.get(part.number, (-1, ""))[0] != part.bytes]
        if missing:
            detail = f"{len(missing)} of {len(wanted)} parts are missing, the first of them number {missing[0].number}."
            raise _incomplete(detail, place)
        parts: list[Any] = [{"PartNumber": part.number, "ETag": sent[part.number][1]} for part in wanted]
        try:
            with _answering():
                self._client.complete_multipart_upload(
                    **self._at(record.tenant, record.id, place),
                    UploadId=file.upload,
                    MultipartUpload={"Parts": parts},
                )
        except _GoneError:
            if not self._is_complete(record, place):  # somebody else may have been faster
                raise _expired(record) from None

    def read(self, record: Record, place: int, start: int, stop: int) -> bytes:
        """Bytes ``start`` to ``stop`` of a file, fewer where it ends before.

        :raises Problem: 409 ``import_expired``, 503.
        """
        where = self._at(record.tenant, record.id, place)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with _answering():
                    return self._client.get_object(**where, Range=f"bytes={start}-{stop - 1}")["Body"].read()
            except _GoneError:
                raise _expired(record) from None
            except Problem:
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    def blocks(self, record: Record, place: int) -> Iterator[bytes]:
        """A whole file, block by block.

        :raises Problem: as `read`.
        """
        size = record.files[place].bytes
        for start in range(0, size, BLOCK_BYTES):
            yield self.read(record, place, start, min(start + BLOCK_BYTES, size))

    def put_plan(self, record: Record, plan: bytes) -> None:
        """Keep how the files are cut.

        :raises Problem: 503.
        """
        with _answering():
            self._client.put_object(**self._at(record.tenant, record.id, "plan"), Body=plan)

    def plan(self, record: Record) -> bytes | None:
        """What `put_plan` kept; None: nothing.

        :raises Problem: 503.
        """
        try:
            with _answering():
                return self._client.get_object(**self._at(record.tenant, record.id, "plan"))["Body"].read()
        except _GoneError:
            return None

    def remove(self, record: Record) -> None:
        """Remove everything of an import, what is being uploaded as well.

        :raises Problem: 503.
        """
        for place, file in enumerate(record.files):
            try:
                with _answering():
                    self._client.abort_multipart_upload(
                        **self._at(record.tenant, record.id, place), UploadId=file.upload
                    )
            except _GoneError:
                continue
        names: list[int | str] = [*range(len(record.files)), "plan"]
        with _answering():
            for name in names:
                self._client.delete_object(**self._at(record.tenant, record.id, name))

    def _is_complete(self, record: Record, place: int) -> bool:
        try:
            with _answering():
                self._client.head_object(**self._at(record.tenant, record.id, place))
        except _GoneError:
            return False
        return True

    def _sent(self, record: Record, place: int) -> list[tuple[int, int, str]]:
        """Number, size and ETag of each part that is there."""
        where: Any = {**self._at(record.tenant, record.id, place), "UploadId": record.files[place].upload}
        try:
            with _answering():
                pages = list(self._client.get_paginator("list_parts").paginate(**where))
        except _GoneError:
            raise _expired(record) from None
        return [(part["PartNumber"], part["Size"], part["ETag"]) for page in pages for part in page.get("Parts", [])]

    def _signed(self, target: dict[str, str], piece: Piece) -> str:
        """S3 takes exactly as many bytes as are signed for."""
        wanted = {**target, "PartNumber": piece.number, "ContentLength": piece.bytes}
        return self._client.generate_presigned_url("upload_part", Params=wanted, ExpiresIn=LINK_SECONDS)

    def _at(self, tenant: str, import_id: str, name: int | str) -> Any:  # noqa: ANN401 - boto3 wants literals
        return {"Bucket": self._bucket, "Key": f"{IMPORTS_PREFIX}{tenant}/{import_id}/{name}"}


class _GoneError(Exception):
    """There is no such object, or no such upload."""


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            raise _GoneError from error
        raise _unavailable() from error
    except (BotoCoreError, HTTPException, OSError) as error:  # the latter two where an answer is cut off
        raise _unavailable() from error


def _unavailable() -> Problem:
    return unavailable("The object store does not answer; try again.", code=Refusal.STORAGE_UNAVAILABLE)


def _incomplete(detail: str, place: int) -> Problem:
    problem = conflict(detail, code=Refusal.UPLOAD_INCOMPLETE)
    problem.field = f"files[{place}]"
    return problem


def _expired(record: Record) -> Problem:
    return conflict(f"The files of import {record.id} are gone; begin a new one.", code=Refusal.IMPORT_EXPIRED)
