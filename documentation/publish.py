"""Files to the bucket behind CloudFront, which then forgets what it had of those that changed."""

import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from boto3 import Session
from botocore.exceptions import ClientError

from stacks.models import Settings

_DIGEST = "sha256"
"""Metadata of every object: what it holds."""
_CACHED = "public, max-age=300, must-revalidate"
"""Browsers ask again after five minutes; CloudFront is told at once."""
_AT_MOST = 30
"""Paths of one invalidation that are named; beyond it everything is forgotten, at the price of one path."""


class PublishError(Exception):
    """Nothing was uploaded; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """What was done, by path."""

    uploaded: tuple[str, ...]
    deleted: tuple[str, ...]
    kept: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an environment's site stands."""

    bucket: str
    distribution: str


def place_of(settings: Settings, session: Session) -> Place:
    """What the stack of the edge says.

    :raises PublishError: the environment has no site, or it has not been deployed.
    """
    if settings.domain is None:
        raise PublishError(f"{settings.environment} has no domain, and so no site")
    stack = settings.name("global", "edge")
    formation: Any = session.client("cloudformation", region_name="us-east-1")  # where CloudFront's stack must stand
    try:
        (found,) = formation.describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        raise PublishError(f"{stack} in us-east-1: {error.response['Error']['Message']}; deploy it first") from error
    outputs = {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}
    try:
        return Place(bucket=outputs["DocumentationBucket"], distribution=outputs["DistributionId"])
    except KeyError as error:
        raise PublishError(f"{stack} has no output {error}; deploy it again") from error


def publish(files: Mapping[str, bytes], place: Place, session: Session) -> Published:
    """Upload what changed, then delete what is no page any more, then invalidate both; a second time does nothing."""
    s3: Any = session.client("s3", region_name="us-east-1")
    present = _digests(s3, place.bucket)
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    uploaded = tuple(path for path in sorted(files) if present.get(path) != digests[path])
    deleted = tuple(sorted(present.keys() - files.keys()))
    for path in uploaded:
        s3.put_object(
            Bucket=place.bucket,
            Key=path,
            Body=files[path],
            ContentType=content_type(path),
            CacheControl=_CACHED,
            Metadata={_DIGEST: digests[path]},
        )
    for path in deleted:
        s3.delete_object(Bucket=place.bucket, Key=path)
    if uploaded or deleted:
        _invalidate(session, place.distribution, [*uploaded, *deleted])
    return Published(uploaded=uploaded, deleted=deleted, kept=tuple(sorted(files.keys() - set(uploaded))))


_TYPES = mimetypes.MimeTypes().types_map[True]
"""Python's own, whatever files the machine has: what `mimetypes.types_map` holds depends on who used it before."""


def content_type(path: str) -> str:
    """As browsers need it: nothing is guessed, because the site forbids them to guess."""
    kind = _TYPES.get(f".{path.rpartition('.')[2]}", "application/octet-stream")
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def _digests(s3: Any, bucket: str) -> dict[str, str]:  # noqa: ANN401 - no types for the client
    """What the bucket holds, by path."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    paths = [found["Key"] for page in pages for found in page.get("Contents", [])]
    return {path: s3.head_object(Bucket=bucket, Key=path)["Metadata"].get(_DIGEST, "") for path in paths}


def _invalidate(session: Session, distribution: str, paths: list[str]) -> None:
    named = [f"/{path}" for path in paths] + ["/"] * ("index.html" in paths)
    named = named if len(named) <= _AT_MOST else ["/*"]
    reference = hashlib.sha256("\n".join(named).encode()).hexdigest()
    cloudfront: Any = session.client("cloudfront")
    before = cloudfront.list_invalidations(DistributionId=distribution)["InvalidationList"].get("Quantity", 0)
    cloudfront.create_invalidation(
        DistributionId=distribution,
        # CloudFront takes a reference it knows for a repetition of an earlier request.
        InvalidationBatch={
            "Paths": {"Quantity": len(named), "Items": named},
            "CallerReference": f"{before}-{reference}",
        },
    )
