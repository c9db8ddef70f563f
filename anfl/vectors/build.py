"""Assembles a vector store from a process's environment."""

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import msgspec

from anfl import aws, elapsed, environment
from anfl.crypto.vault_transit import VaultTransit, wrapping_of
from anfl.crypto.wrapping_versions import WrappingVersions
from anfl.resources import Function, Service
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.due_rewrapping import DueRewrapping, ProgressItem
from anfl.vectors.dynamodb.build import build_engine
from anfl.vectors.dynamodb.classes import read_classes
from anfl.vectors.dynamodb.engine import DynamoDbEngine
from anfl.vectors.dynamodb.jobs import Queue
from anfl.vectors.elsewhere import Elsewhere, Nowhere, OtherRegions
from anfl.vectors.events import Events, NoEvents
from anfl.vectors.hints import DynamoHints
from anfl.vectors.node import NodeFolder
from anfl.vectors.node_memory import NodeMemory
from anfl.vectors.objects import ObjectStore, S3ObjectStore
from anfl.vectors.opened import MEMORY_BYTES
from anfl.vectors.regional import CachedRegion, NoRegion, Numbers
from anfl.vectors.repair import Repairs
from anfl.vectors.rewrapping import Rewrapping
from anfl.vectors.sealing import Envelopes, Unsealed, sealing
from anfl.vectors.storage import Storage
from anfl.vectors.store import VectorStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

Part = Function | Service


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Environment that every part with a vector store has."""

    table: str = msgspec.field(name="CATALOGUE_TABLE")
    bucket: str = msgspec.field(name="VECTORS_BUCKET")
    node_folder: str | None = msgspec.field(default=None, name="NODE_FOLDER")
    """What the processes of a node share. Without one, a process has a folder of its own, and no builder."""
    memory_bytes: int = msgspec.field(default=MEMORY_BYTES, name="VECTORS_MEMORY_BYTES")
    build_threads: int | None = msgspec.field(default=None, name="BUILD_THREADS")
    """That build a graph; None: one a processor."""
    seals: bool = msgspec.field(default=False, name="SEALING")
    """Whether collections that are made are sealed."""
    vault_address: str | None = msgspec.field(default=None, name="VAULT_ADDR")
    auth_table: str | None = msgspec.field(default=None, name="AUTH_TABLE")
    """What says by which version keys are wrapped. Without it and a Vault, nothing sealed can be opened."""
    environment: str | None = msgspec.field(default=None, name="ANFL_ENVIRONMENT")
    copies_queue: str | None = msgspec.field(default=None, name="COPIES_QUEUE_URL")
    """Where other regions' copies of damaged objects are asked for; None: there is one region."""
    engine_classes: str = msgspec.field(default="", name="ENGINE_CLASSES")
    """JSON: what the engine ``dynamodb`` has (`anfl.vectors.dynamodb.classes.read_classes`)."""


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
    memory: NodeMemory | None = None,
    events: Events | None = None,
    numbers: Numbers | None = None,
    part: Part = Service.VECTOR_STORE,
    jobs: Queue | None = None,
    scratch: Path | None = None,
) -> VectorStore:
    """A vector store over the tables and bucket of ``settings``.

    :param memory: what it shares, where it is one of several of its node.
    :param numbers: the region's cache, where it has one.
    :param part: as whom this process logs in to Vault.
    :param jobs: where the engine ``dynamodb`` leaves what takes long; None: to nobody.
    :param scratch: where a process without a node's folder has its own; None: where the system has such.
    """
    return VectorStore(
        catalogue_of(settings, session),
        storage_of(settings, session, events=events, numbers=numbers, part=part, scratch=scratch),
        memory_bytes=settings.memory_bytes,
        builds=settings.node_folder is not None,
        memory=memory,
        distributed=engine_of(settings, session, jobs=jobs),
    )


def engine_of(settings: Settings, session: boto3.session.Session, *, jobs: Queue | None) -> DynamoDbEngine:
    """The engine ``dynamodb`` with the classes of ``settings``; ``jobs`` as for `build_store`.

    :raises MissingSettingError: they cannot be read, or it is not said of which environment they are.
    """
    classes = read_classes(settings.engine_classes)
    if classes and settings.environment is None:
        raise environment.MissingSettingError("ENGINE_CLASSES takes ANFL_ENVIRONMENT")
    return build_engine(classes, session, environment=settings.environment or "", jobs=jobs)


def catalogue_of(settings: Settings, session: boto3.session.Session) -> Catalogue:
    """The catalogue in the table of ``settings``."""
    return Catalogue(table_of(settings, session), seals=settings.seals)


def storage_of(
    settings: Settings,
    session: boto3.session.Session,
    *,
    events: Events | None = None,
    numbers: Numbers | None = None,
    part: Part = Service.VECTOR_STORE,
    scratch: Path | None = None,
) -> Storage:
    """The bucket of ``settings``, and the folder of this process or its node; ``part`` and ``scratch`` as for
    `build_store`."""
    root = settings.node_folder or tempfile.mkdtemp(prefix="anfl-vectors-", dir=scratch)
    objects, here = objects_of(settings, session), session.region_name
    elsewhere = elsewhere_of(settings, session)
    repairs = Repairs(objects, elsewhere=elsewhere, events=events, monotonic=elapsed.seconds)
    hints = DynamoHints(table_of(settings, session), now=elapsed.seconds)
    return Storage(
        objects=objects,
        here=here,
        node=NodeFolder(Path(root)),
        alone=settings.node_folder is None,
        hints=hints,
        region=NoRegion() if numbers is None else CachedRegion(numbers),
        elsewhere=elsewhere,
        events=events or NoEvents(),
        envelopes=envelopes_of(settings, objects, repairs=repairs, part=part, here=here),
    )


def envelopes_of(
    settings: Settings, objects: ObjectStore, *, repairs: Repairs, part: Part, here: str | None = None
) -> Envelopes:
    """What seals the objects of sealed collections, by keys that the region's Vault wraps. Nothing is asked of it yet.

    :raises MissingSettingError: collections are to be sealed, and there is no Vault.
    """
    wrapping = _wrapping(settings, part)
    if wrapping is None:
        if settings.seals:
            raise environment.MissingSettingError("SEALING takes VAULT_ADDR and AUTH_TABLE")
        return Unsealed()
    transit, _ = wrapping
    return sealing(objects, transit, repairs=repairs, monotonic=elapsed.seconds, here=here)


def rewrapping_of(settings: Settings, session: boto3.session.Session, *, part: Part) -> Rewrapping | None:
    """What moves wrapped keys to the active version; None where there is no Vault. ``part`` as for `build_store`."""
    wrapping = _wrapping(settings, part)
    return None if wrapping is None else Rewrapping(objects_of(settings, session), *wrapping)


def due_rewrapping_of(settings: Settings, session: boto3.session.Session, *, part: Part) -> DueRewrapping | None:
    """As `rewrapping_of`, a part at a time."""
    wrapping = _wrapping(settings, part)
    if wrapping is None:
        return None
    client = session.client("dynamodb", config=aws.config(read_timeout=5))
    item = ProgressItem(client, table=settings.table, region=client.meta.region_name)
    return DueRewrapping(Rewrapping(objects_of(settings, session), *wrapping), wrapping[1], item)


def _wrapping(settings: Settings, part: Part) -> tuple[VaultTransit, WrappingVersions] | None:
    """What wraps keys, and what says by which version; None where there is no Vault."""
    if settings.vault_address is None or settings.auth_table is None:
        return None
    return wrapping_of(part, vault=settings.vault_address, table=settings.auth_table)


def objects_of(settings: Settings, session: boto3.session.Session) -> S3ObjectStore:
    """The objects in the bucket of ``settings``."""
    return S3ObjectStore(session.client("s3", config=aws.config(read_timeout=10)), settings.bucket)


def elsewhere_of(settings: Settings, session: boto3.session.Session) -> Elsewhere:
    """Who is asked for other regions' copies."""
    if settings.copies_queue is None:
        return Nowhere()
    return OtherRegions(session.client("sqs", config=aws.soon()), settings.copies_queue)


def table_of(settings: Settings, session: boto3.session.Session) -> "Table":
    """The catalogue's table."""
    return session.resource("dynamodb", config=aws.config(read_timeout=5)).Table(settings.table)
