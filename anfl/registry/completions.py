"""Uploads in parts that S3 knows no more: whether the file that is there came of them.

S3 forgets an upload once it is completed. Who did not hear that it was, and asks again, is told that there is no such
upload, as is who asks for one that never was or was given up. A mark tells them apart: it is metadata of the upload,
thus of the file that comes of it.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from botocore.exceptions import ClientError

from anfl.problems import Problem
from anfl.registry.errors import does_not_exist

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

_NAME = "anfl-upload"
_MARKED = re.compile(r"(.+)\.([0-9a-f]{32})", re.ASCII)
_GIVEN = re.compile(r"[\w.~=+-]{1,2000}", re.ASCII)
_ETAG = re.compile(r"[ -~]{1,200}")
Part = tuple[int, str]
"""Number and ETag."""


def new_mark() -> str:
    """Another one for each upload."""
    return uuid4().hex


def metadata(mark: str) -> dict[str, str]:
    """By which a file is known to have come of the upload."""
    return {_NAME: mark}


def marked(upload: str, mark: str) -> str:
    """The id of an upload as its client gets it: S3's, and the mark."""
    return f"{upload}.{mark}"


def begun(given: str) -> tuple[str, str | None]:
    """S3's id of an upload and its mark, from the id that the client got; None for one that has no mark.

    :raises Problem: 404 for what can be no id; what S3 says of that depends on what breaks first.
    """
    if _GIVEN.fullmatch(given) is None:
        raise no_upload()
    found = _MARKED.fullmatch(given)
    return (given, None) if found is None else (found[1], found[2])


def no_upload() -> Problem:
    """404: there is no upload of this id."""
    return does_not_exist("No such multipart upload; it may have been completed or aborted.")


def is_etag(given: str) -> bool:
    """Whether a text can be the ETag of a part."""
    return _ETAG.fullmatch(given) is not None


def completed(
    client: "S3Client", place: Mapping[str, Any], mark: str | None, parts: Sequence[Part]
) -> "HeadObjectOutputTypeDef | None":
    """What S3 holds at ``place``, where it came of the upload with that mark and is made of these parts; else None.

    :param place: bucket and key.
    :param parts: sorted by number.
    """
    try:
        found = client.head_object(**place)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
            return None
        raise
    is_this = mark is not None and found["Metadata"].get(_NAME) == mark
    return found if is_this and _made_of(found, parts) else None


def _made_of(found: "HeadObjectOutputTypeDef", parts: Sequence[Part]) -> bool:
    """By the file's ETag: a digest of the parts' and their number, of which only the number is sure under KMS."""
    digest, _, number = found["ETag"].strip('"').rpartition("-")
    if number != str(len(parts)):
        return False
    if found.get("ServerSideEncryption", "").startswith("aws:kms"):
        return True
    try:
        etags = b"".join(bytes.fromhex(etag.strip('"')) for _, etag in parts)
    except ValueError:
        return False
    return digest == hashlib.md5(etags, usedforsecurity=False).hexdigest()
