"""Assembles a vector store from a process's environment."""

import boto3
import msgspec

from anfl import aws
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.objects import S3ObjectStore
from anfl.vectors.store import VectorStore
from anfl.vectors.tails import Tails


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Environment that every part with a vector store has."""

    table: str = msgspec.field(name="CATALOGUE_TABLE")
    bucket: str = msgspec.field(name="VECTORS_BUCKET")


def build_store(settings: Settings, session: boto3.session.Session, *, tails: Tails | None = None) -> VectorStore:
    """A vector store over the table and bucket of ``settings``; ``tails`` where it is one of several of its node."""
    table = session.resource("dynamodb", config=aws.config(read_timeout=5)).Table(settings.table)
    objects = S3ObjectStore(session.client("s3", config=aws.config(read_timeout=10)), settings.bucket)
    return VectorStore(Catalogue(table), objects, tails=tails)
