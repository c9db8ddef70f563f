"""Tables of classes on an embedded AWS of their own, and engines over them."""

import itertools
from typing import Any

from anfl.resources import DISTANCE_FUNCTIONS, VECTOR_INDEX, engine_class_table
from anfl.vectors.clock import Clock
from anfl.vectors.dynamodb.build import engine_over
from anfl.vectors.dynamodb.classes import EngineClass
from anfl.vectors.dynamodb.engine import DynamoDbEngine
from anfl.vectors.dynamodb.items import EXPIRES_AT, HASH, METADATA, PARTITION, SORT, VERSION
from anfl.vectors.dynamodb.jobs import Queue
from anfl.vectors.model import MAX_DIMENSION, Collection, CollectionSettings, FieldType, Metric
from tests.local.aws.conftest import REGION, Aws

FIELDS = {"tag": FieldType.STRING, "n": FieldType.NUMBER, "flag": FieldType.BOOLEAN}
_NUMBERS = itertools.count()


def table_of(made: EngineClass) -> str:
    """Name of the table of a class."""
    return engine_class_table("test", made.name)


def create_class(aws: Aws, made: EngineClass) -> None:
    """The table of a class, as a stack of its own."""
    name = table_of(made)
    index = {
        "IndexName": VECTOR_INDEX,
        "VectorAttribute": {"AttributeName": "v"},
        "Dimensions": made.dimension,
        "DistanceFunction": DISTANCE_FUNCTIONS[made.metric],
        "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": [METADATA, VERSION, EXPIRES_AT]},
        "SearchSchema": [
            {"AttributeName": HASH, "SearchSchemaElementType": "HASH"},
            *({"AttributeName": slot, "SearchSchemaElementType": "INLINE_FILTER"} for slot in made.slots),
        ],
    }
    properties = {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": PARTITION, "KeyType": "HASH"}, {"AttributeName": SORT, "KeyType": "RANGE"}],
        "AttributeDefinitions": [
            *({"AttributeName": each, "AttributeType": "S"} for each in (PARTITION, SORT, HASH)),
            *({"AttributeName": slot, "AttributeType": slot[0].upper()} for slot in made.slots),
        ],
        "Replicas": [{"Region": REGION}],
        "VectorIndexes": [index],
    }
    aws.create(name, {"Table": {"Type": "AWS::DynamoDB::GlobalTable", "Properties": properties}})


def class_of(metric: Metric) -> EngineClass:
    """The class of two dimensions."""
    return EngineClass(name=metric.value, dimension=2, metric=metric, strings=1, numbers=2)


FULL = EngineClass(name="full", dimension=8, metric=Metric.L2, strings=9, numbers=9)
WIDE = EngineClass(name="wide", dimension=MAX_DIMENSION, metric=Metric.COSINE, strings=9, numbers=9)
CLASSES = (
    FULL,
    WIDE,
    *map(class_of, Metric),
    *(EngineClass(name=f"{metric}-8", dimension=8, metric=metric, strings=1, numbers=2) for metric in Metric),
)
"""Those that tests have."""


def engine(client: Any, metric: Metric, clock: Clock | None = None, jobs: Queue | None = None) -> DynamoDbEngine:
    """An engine over the table of a class."""
    made = class_of(metric)
    return engine_over(client, {made: table_of(made)}, clock=clock or Clock(), jobs=jobs)


def collection(metric: Metric, *, dimension: int = 2, tenant: str = "demo") -> Collection:
    """A collection of its own."""
    number = next(_NUMBERS)
    settings = CollectionSettings(
        name=f"c{number}", dimension=dimension, metric=metric, fields=FIELDS, engine="dynamodb"
    )
    return Collection(
        tenant=tenant,
        settings=settings,
        incarnation=f"{number:032x}",
        created_at=1.0,
        engine_class=class_of(metric).name,
    )
