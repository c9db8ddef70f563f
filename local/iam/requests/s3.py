"""S3, addressed by paths. Rights to keys: User Guide, "Using server-side encryption with AWS KMS keys".

Whoever asks for an object that does not exist must be allowed to list the bucket, or is told 403 and not 404.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote
from xml.parsers.expat import ExpatError

import xmltodict

from local.iam import deployed
from local.iam.calls import Call, context
from local.iam.errors import UnknownRequestError
from local.iam.requests.keys import through
from local.iam.requests.request import Request

_ARN = "arn:aws:s3:::"
_OF_OBJECTS: Mapping[str, Mapping[str, str]] = {
    "DELETE": {"uploadId": "AbortMultipartUpload", "versionId": "DeleteObjectVersion", "": "DeleteObject"},
    "GET": {"uploadId": "ListMultipartUploadParts", "versionId": "GetObjectVersion", "": "GetObject"},
    "HEAD": {"versionId": "GetObjectVersion", "": "GetObject"},
    "POST": {"uploads": "PutObject", "uploadId": "PutObject"},
    "PUT": {"uploadId": "PutObject", "": "PutObject"},
}
"""Method → what the query has → action."""
_OF_BUCKETS: Mapping[str, Mapping[str, str]] = {
    "DELETE": {"replication": "PutReplicationConfiguration"},
    "GET": {
        "location": "GetBucketLocation",
        "replication": "GetReplicationConfiguration",
        "uploads": "ListBucketMultipartUploads",
        "versioning": "GetBucketVersioning",
        "versions": "ListBucketVersions",
        "list-type": "ListBucket",
        "": "ListBucket",
    },
    "HEAD": {"": "ListBucket"},
    "PUT": {"replication": "PutReplicationConfiguration"},
}
_BY_HEADERS = {
    "x-amz-acl": "PutObjectAcl",
    "x-amz-object-lock-legal-hold": "PutObjectLegalHold",
    "x-amz-object-lock-mode": "PutObjectRetention",
    "x-amz-tagging": "PutObjectTagging",
}
"""What else a header asks for."""
_PLAIN = frozenset(
    {
        *("continuation-token", "delimiter", "encoding-type", "fetch-owner", "key-marker", "list-type", "marker"),
        *("max-keys", "max-parts", "max-uploads", "part-number-marker", "partNumber", "prefix", "start-after"),
        *("upload-id-marker", "uploadId", "uploads", "version-id-marker", "versionId", "versions", "x-id"),
        *("location", "replication", "versioning", "delete"),
    }
)
"""Parts of a query that change nothing about the action, or that the tables name; any other may."""
_SIGNATURE = re.compile(r"x-amz-|response-|awsaccesskeyid$|expires$|signature$", re.IGNORECASE)


def calls(request: Request) -> tuple[Call, ...]:
    """What a request needs, each call once."""
    bucket, _, key = request.path.lstrip("/").partition("/")
    if strange := [name for name in request.query if name not in _PLAIN and not _SIGNATURE.match(name)]:
        raise _unknown(request, f"with ?{strange[0]}")
    if request.method == "POST" and "delete" in request.query:
        return tuple(_deletions(bucket, request.body))
    if not bucket:
        raise _unknown(request, "without a bucket")
    action = _action(request, _OF_OBJECTS if key else _OF_BUCKETS)
    if not key:
        told = context({"s3:prefix": request.query["prefix"]} if "prefix" in request.query else {})
        return (Call(action=f"s3:{action}", resource=_ARN + bucket, context=told), *_passed_role(request))
    return tuple(dict.fromkeys(_of_object(request, action, bucket, key)))


def _of_object(request: Request, action: str, bucket: str, key: str) -> Iterator[Call]:
    acl = request.headers.get("x-amz-acl")
    told = context({"s3:x-amz-acl": acl} if acl else {})
    for needed in (action, *(further for name, further in _BY_HEADERS.items() if name in request.headers)):
        yield Call(action=f"s3:{needed}", resource=f"{_ARN}{bucket}/{key}", context=told)
    if action in ("GetObject", "GetObjectVersion"):
        if not deployed.has_object(bucket, key):
            yield Call(action="s3:ListBucket", resource=_ARN + bucket)
        elif request.method == "GET" or "x-amz-checksum-mode" in request.headers:  # it is encrypted as the object is
            yield from _with_key(bucket, "Decrypt")
    if action == "PutObject":
        # The parts of an upload are read again before they become an object.
        named = request.headers.get("x-amz-server-side-encryption-aws-kms-key-id")
        yield from _with_key(bucket, "Decrypt" if "uploadId" in request.query else "GenerateDataKey", named)
    if source := request.headers.get("x-amz-copy-source"):
        place, _, version = unquote(source).lstrip("/").partition("?versionId=")
        yield Call(action=f"s3:GetObject{'Version' if version else ''}", resource=_ARN + place)
        yield from _with_key(place.partition("/")[0], "Decrypt")


def _deletions(bucket: str, body: bytes) -> Iterator[Call]:
    entries = _read(body, "Delete").get("Object", [])
    for entry in entries if isinstance(entries, list) else [entries]:
        version = "Version" if entry.get("VersionId") else ""  # an empty one names none
        yield Call(action=f"s3:DeleteObject{version}", resource=f"{_ARN}{bucket}/{_text(entry['Key'])}")


def _passed_role(request: Request) -> Iterator[Call]:
    if request.method == "PUT" and "replication" in request.query:
        told = context({"iam:PassedToService": "s3.amazonaws.com"})
        role = _read(request.body, "ReplicationConfiguration")["Role"]
        yield Call(action="iam:PassRole", resource=_text(role), context=told)


def _read(body: bytes, root: str) -> Mapping[str, Any]:
    """A document as moto reads it, by the same library: what either alone understood would be judged by nobody.

    :raises ValueError: it is no such document. Or another error of a value that is none.
    """
    try:
        found: Mapping[str, Any] = xmltodict.parse(body, strip_whitespace=False)[root]
    except ExpatError as error:
        raise ValueError(f"no XML: {error}") from error
    return found


def _text(value: object) -> str:
    """Of an element without attributes.

    :raises TypeError: it has some, or there are several.
    """
    if not isinstance(value, str):
        raise TypeError(f"not one text: {value!r}")
    return value


def _with_key(bucket: str, action: str, named: str | None = None) -> tuple[Call, ...]:
    region = deployed.bucket_region(bucket) or "us-east-1"
    key = deployed.key_arn(region, named) if named else deployed.bucket_key(bucket)
    # Every bucket of ANFL has bucket keys: the encryption context is the bucket's.
    return through("s3", region, key, action, kms_EncryptionContext_aws_s3_arn=_ARN + bucket)


def _action(request: Request, table: Mapping[str, Mapping[str, str]]) -> str:
    actions = table.get(request.method, {})
    for name, action in actions.items():
        if name == "" or name in request.query:
            return action
    raise _unknown(request, "as it is")


def _unknown(request: Request, how: str) -> UnknownRequestError:
    return UnknownRequestError(f"s3 {request.method} {request.path} {how}: add it to local/iam/requests/s3.py")
