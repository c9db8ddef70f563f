"""Assembles a vector store from a process's environment."""

import atexit
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import msgspec

from anfl import aws
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.events import Events, NoEvents
from anfl.vectors.hints import DynamoHints
from anfl.vectors.node import NodeFolder
from anfl.vectors.objects import S3ObjectStore
from anfl.vectors.opened import MEMORY_BYTES
from anfl.vectors.regional import CachedRegion, NoRegion, Numbers
from anfl.vectors.storage import Storage
from anfl.vectors.store import VectorStore
from anfl.vectors.tails import Tails

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Environment that every part with a vector store has."""

    table: str = msgspec.field(name="CATALOGUE_TABLE")
    bucket: str = msgspec.field(name="VECTORS_BUCKET")
    node_folder: str | None = msgspec.field(default=None, name="NODE_FOLDER")
    """What the processes of a node share. Without one, a process has a folder of its own, and no builder."""
    memory_bytes: int = msgspec.field(default=MEMORY_BYTES, name="VECTORS_MEMORY_BYTES")
    build_threads: int | None = msgspec.field(default=None, name="BUILD_THREADS")
    """That build a graph; None: one a processor."""


def on_a_node(settings: Settings) -> Settings:
    """``settings`` with a folder that this process shares with those it forks, unless they name one."""
    if settings.node_folder is not None:
        return settings
    folder = tempfile.mkdtemp(prefix="anfl-node-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return msgspec.structs.replace(settings, node_folder=folder)


def build_store(
    settings: Settings,
    session: boto3.session.Session,
    *,
    tails: Tails | None = None,
    events: Events | None = None,
    numbers: Numbers | None = None,
) -> VectorStore:
    """A vector store over the table and bucket of ``settings``.

    :param tails: where it is one of several of its node.
    :param numbers: the region's cache, where it has one.
    """
    return VectorStore(
        catalogue_of(settings, session),
        storage_of(settings, session, events=events, numbers=numbers),
        memory_bytes=settings.memory_bytes,
        builds=settings.node_folder is not None,
        tails=tails,
    )


def catalogue_of(settings: Settings, session: boto3.session.Session) -> Catalogue:
    """The catalogue in the table of ``settings``."""
    return Catalogue(table_of(settings, session))


def storage_of(
    settings: Settings,
    session: boto3.session.Session,
    *,
    events: Events | None = None,
    numbers: Numbers | None = None,
) -> Storage:
    """The bucket of ``settings``, and the folder of this process or its node."""
    root = settings.node_folder or tempfile.mkdtemp(prefix="anfl-vectors-")
    objects = S3ObjectStore(session.client("s3", config=aws.config(read_timeout=10)), settings.bucket)
    hints = DynamoHints(table_of(settings, session), now=time.monotonic)
    return Storage(
        objects=objects,
        node=NodeFolder(Path(root)),
        hints=hints,
        region=NoRegion() if numbers is None else CachedRegion(numbers),
        events=events or NoEvents(),
    )


def table_of(settings: Settings, session: boto3.session.Session) -> "Table":
    """The catalogue's table."""
    return session.resource("dynamodb", config=aws.config(read_timeout=5)).Table(settings.table)
