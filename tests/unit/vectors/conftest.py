"""A vector store over an AWS in memory."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import boto3
import pytest
from moto import mock_aws

from anfl.vectors import catalogue as catalogue_module
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.dynamodb.build import engine_over
from anfl.vectors.dynamodb.classes import EngineClass
from anfl.vectors.dynamodb.engine import DynamoDbEngine
from anfl.vectors.imports.imports import Imports
from anfl.vectors.model import Metric
from anfl.vectors.objects import S3ObjectStore
from anfl.vectors.store import VectorStore
from local.tables import create_table
from tests.unit.turns import take_turns
from tests.unit.vectors.builders import storage
from tests.unit.vectors.importing import BUCKET, TABLE, Door, MemoryQueue, Place


@cache
def _shared() -> tuple[boto3.session.Session, Any, Any]:
    """A session, DynamoDB's resource and S3's client: made once, because that is slow, and where they ask is decided
    as they do.
    """
    session = boto3.session.Session(
        aws_access_key_id="testing", aws_secret_access_key="testing", region_name="us-east-1"
    )
    return session, session.resource("dynamodb"), session.client("s3")


@pytest.fixture(name="session")
def _session(monkeypatch: pytest.MonkeyPatch) -> Iterator[boto3.session.Session]:
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    take_turns(monkeypatch)
    session, dynamodb, s3 = _shared()
    with mock_aws():
        create_table(dynamodb.meta.client, TABLE)
        s3.create_bucket(Bucket=BUCKET)
        yield session


@pytest.fixture(name="catalogue")
def _catalogue(session: boto3.session.Session, monkeypatch: pytest.MonkeyPatch) -> Catalogue:  # noqa: ARG001
    """Every incarnation begins with epoch 1, so that positions can be told in advance."""
    monkeypatch.setattr(catalogue_module, "first_epoch", lambda _incarnation: 1)
    return Catalogue(_shared()[1].Table(TABLE))


@pytest.fixture(name="s3")
def _s3(session: boto3.session.Session) -> Any:  # noqa: ARG001
    return _shared()[2]


@pytest.fixture(name="objects")
def _objects(s3: Any) -> S3ObjectStore:
    return S3ObjectStore(s3, BUCKET)


@pytest.fixture(name="store")
def _store(catalogue: Catalogue, objects: S3ObjectStore) -> Iterator[VectorStore]:
    store = VectorStore(catalogue, storage(objects, clock=Clock()))
    yield store
    store.close()


@pytest.fixture(name="queue")
def _queue() -> MemoryQueue:
    """Where the engine ``dynamodb`` leaves what takes long."""
    return MemoryQueue()


@pytest.fixture(name="engine")
def _engine(session: boto3.session.Session, queue: MemoryQueue) -> DynamoDbEngine:
    """With a class ``small``; the AWS in memory has no vector indexes, so that nothing can be queried."""
    client = session.client("dynamodb")
    create_table(client, "small")
    made = EngineClass(name="small", dimension=2, metric=Metric.L2, strings=1, numbers=1)
    return engine_over(client, {made: "small"}, clock=Clock(), jobs=queue)


@pytest.fixture(name="store_with_a_class")
def _store_with_a_class(catalogue: Catalogue, objects: S3ObjectStore, engine: DynamoDbEngine) -> Iterator[VectorStore]:
    store = VectorStore(catalogue, storage(objects, clock=Clock()), distributed=engine)
    yield store
    store.close()


@pytest.fixture
def function_bytes() -> float:
    """Of a collection and its files: the most of which the function takes chunks."""
    return 128 * 2**20


@pytest.fixture(name="place")
def _place(session: boto3.session.Session, catalogue: Catalogue, store: VectorStore, function_bytes: float) -> Place:
    return Place(session, catalogue, store, function_bytes=function_bytes)


@pytest.fixture(name="imports")
def _imports(place: Place) -> Imports:
    return place.imports


@pytest.fixture(name="door")
def _door(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """Parts of 64 bytes are put on loopback."""
    door = Door(place.client)
    monkeypatch.setattr(place.files, "_signed", door.signed)
    monkeypatch.setattr("anfl.vectors.imports.files.PART_BYTES", 64)
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1)
    yield door
    door.shutdown()
    door.server_close()
