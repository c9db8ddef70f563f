"""Tables of classes on an embedded AWS of their own, and engines over them."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from anfl.vectors.clock import Clock
from anfl.vectors.dynamodb.classes import EngineClass
from anfl.vectors.dynamodb.engine import DynamoDbEngine
from anfl.vectors.dynamodb.items import EXPIRES_AT, HASH, METADATA, PARTITION, SORT, VERSION
from anfl.vectors.dynamodb.reading import DISTANCE_FUNCTIONS, Reader
from anfl.vectors.dynamodb.table import INDEX, Table
from anfl.vectors.dynamodb.writing import Rows
from anfl.vectors.model import Collection, CollectionSettings, FieldType, Metric
from tests.local.aws.conftest import REGION, Aws

FIELDS = {"tag": FieldType.STRING, "n": FieldType.NUMBER, "flag": FieldType.BOOLEAN}
_THREADS = ThreadPoolExecutor(16)
_NUMBERS = itertools.count()


def create_class(aws: Aws, made: EngineClass) -> str:
    """The table of a class, as a stack of its own; its name."""
    name = f"class-{made.name}"
    index = {
        "IndexName": INDEX,
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
    return name


def engine(client: Any, table: str, clock: Clock | None = None) -> DynamoDbEngine:
    """An engine over the table of a class."""
    clock = clock or Clock()
    over = Table(client, table)
    return DynamoDbEngine(Rows(over, clock), Reader(over, clock, _THREADS))


def collection(metric: Metric, *, dimension: int = 2, tenant: str = "demo") -> Collection:
    """A collection of its own."""
    number = next(_NUMBERS)
    settings = CollectionSettings(
        name=f"c{number}", dimension=dimension, metric=metric, fields=FIELDS, engine="dynamodb"
    )
    return Collection(tenant=tenant, settings=settings, incarnation=f"{number:032x}", created_at=1.0)
