"""Copies of objects that other regions have, brought here for whoever found one damaged.

A region's network lets nobody reach another region's buckets. So whoever misses an object asks by a queue, and a
function outside of the network (``lambda_src/object_copier``) has S3 copy what the others have. It puts nothing in the
place of anything: copies lie under a prefix of their own, where the asker finds them, opens them, and takes one that
is whole.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from anfl.resources import COPIES_PREFIX

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectVersionTypeDef

MOST_VERSIONS = 10
"""Of an object in one region that are brought: the newest."""


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message of the queue."""

    key: Annotated[str, msgspec.Meta(min_length=1, max_length=900, pattern="^[^_]")]
    """Of an object in the vectors bucket; what begins with ``_`` is no object of a collection."""


class CopyingError(Exception):
    """Not all regions' copies are here; what is missing can be asked for again."""


@dataclass(frozen=True)
class Place:
    """A region's bucket, and a client of the S3 there."""

    client: "S3Client"
    bucket: str


def copies_of(key: str) -> str:
    """Prefix of the copies of an object; below it they sort by when they were written where they are from."""
    return f"{COPIES_PREFIX}{key}/"


class ObjectCopier:
    """Brings the copies that other regions have."""

    def __init__(self, here: Place, others: Mapping[str, Place]) -> None:
        """:param others: by region."""
        self._here = here
        self._others = others

    def bring(self, key: str) -> int:
        """Have copies of an object in every other region copied here, versions that were replaced or deleted included.

        Those that are here stay, so that it can be asked any number of times. Returns how many came.

        :raises CopyingError: some region did not answer; what the others have is here.
        """
        came, failed = 0, []
        for region, place in self._others.items():
            try:
                came += self._bring_from(region, place, key)
            except (BotoCoreError, ClientError) as error:
                failed.append(f"{region}: {error}")
        if failed:
            raise CopyingError(f"{key}: {'; '.join(failed)}")
        return came

    def _bring_from(self, region: str, place: Place, key: str) -> int:
        wanted = {_name(key, region, version): version["VersionId"] for version in _versions(place, key)}
        missing = wanted.keys() - self._known(copies_of(key)) if wanted else set()
        for name in sorted(missing):
            self._here.client.copy_object(
                Bucket=self._here.bucket,
                Key=name,
                CopySource={"Bucket": place.bucket, "Key": key, "VersionId": wanted[name]},
                TaggingDirective="REPLACE",  # tags would take further rights, and say nothing to readers
            )
        return len(missing)

    def _known(self, prefix: str) -> set[str]:
        pages = self._here.client.get_paginator("list_objects_v2").paginate(Bucket=self._here.bucket, Prefix=prefix)
        return {found["Key"] for page in pages for found in page.get("Contents", [])}


def _versions(place: Place, key: str) -> Iterator["ObjectVersionTypeDef"]:
    """The newest of an object: S3 lists its key before longer ones that begin so, and of a key the newest first."""
    page = place.client.list_object_versions(Bucket=place.bucket, Prefix=key, MaxKeys=MOST_VERSIONS)
    return (version for version in page.get("Versions", []) if version["Key"] == key)


def _name(key: str, region: str, version: "ObjectVersionTypeDef") -> str:
    return f"{copies_of(key)}{version['LastModified']:%Y%m%dT%H%M%S}-{region}-{version['VersionId']}"
