"""Brings other regions' copies of damaged objects: each message of its queue names an object.

It stands outside the private subnets, whose groups and endpoints let nobody reach another region's S3. It may read what
the others' buckets of vectors hold, and write nothing but copies under their own prefix: what stands in the place of an
object is decided by who can open it. A message of which it could not bring all comes again, in the end to the queue's
dead letters.
"""

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from anfl import aws, environment, start
from anfl.messages import Message, one_by_one
from anfl.object_copies import ObjectCopier, Place, Request
from anfl.resources import Variable

start.begin()
_log = logging.getLogger(__name__)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The function's environment."""

    bucket: str = msgspec.field(name="VECTORS_BUCKET")
    others: str = msgspec.field(name="OTHER_BUCKETS")
    """JSON: the same bucket of each other region, by region."""


def answer(event: Mapping[str, Any], copier: ObjectCopier) -> dict[str, Any]:
    """Bring what the messages of a batch ask for; says which of them failed."""

    def bring(message: Message) -> None:
        key = msgspec.json.decode(message["body"], type=Request).key
        came = copier.bring(key)
        _log.info("copies of an object were brought", extra={"key": key, "copies": came})

    return one_by_one(event["Records"], bring)


@cache
def _copier() -> ObjectCopier:
    settings = environment.load(Settings)
    session = aws.session()
    others = environment.parse(Variable.OTHER_BUCKETS, settings.others, dict[str, str])
    return ObjectCopier(
        Place(session.client("s3", config=aws.config()), settings.bucket),
        {
            region: Place(session.client("s3", region_name=region, config=aws.config()), bucket)
            for region, bucket in others.items()
        },
    )


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """The Lambda entry point."""
    return answer(event, _copier())
