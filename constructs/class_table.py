"""The table of a class of the engine ``dynamodb``."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, cast

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from constructs import Construct
from constructs.global_table import GlobalTable

from anfl import resources
from stacks.engine_classes import EngineClass


class ClassTable(GlobalTable):
    """A global table whose items a vector index finds in each region, among those of one collection alone."""

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        name: str,
        engine_class: EngineClass,
        key: kms.IKey,
        replica_keys: Mapping[str, str],
        recoverable: timedelta,
        retain: bool,
    ) -> None:
        """Parameters are those of `GlobalTable`."""
        super().__init__(
            scope,
            id,
            name=name,
            key=key,
            replica_keys=replica_keys,
            recoverable=recoverable,
            retain=retain,
            ttl_attribute=resources.VECTOR_TTL,
            warm_throughput=_warmth(engine_class),
        )
        # The L2 table knows no vector indexes, and declares no attribute that none of its own indexes has for a key.
        table = cast("dynamodb.CfnGlobalTable", self.node.default_child)
        table.add_property_override("AttributeDefinitions", list(_attributes(engine_class)))
        table.add_property_override("VectorIndexes", [_index(engine_class)])


def _warmth(engine_class: EngineClass) -> dynamodb.WarmThroughput | None:
    warm = engine_class.warm_throughput
    if warm is None:
        return None
    return dynamodb.WarmThroughput(read_units_per_second=warm.reads, write_units_per_second=warm.writes)


def _attributes(engine_class: EngineClass) -> Iterator[dict[str, str]]:
    keys = (resources.PARTITION_KEY, resources.SORT_KEY, resources.VECTOR_PARTITION_KEY)
    for name, kind in {**dict.fromkeys(keys, "S"), **_slots(engine_class)}.items():
        yield {"AttributeName": name, "AttributeType": kind}


def _index(engine_class: EngineClass) -> dict[str, Any]:
    """Rows come without their vectors, which a search need not send: the reader gets those it is asked for."""
    schema = {resources.VECTOR_PARTITION_KEY: "HASH", **dict.fromkeys(_slots(engine_class), "INLINE_FILTER")}
    return {
        "IndexName": resources.VECTOR_INDEX,
        "VectorAttribute": {"AttributeName": resources.VECTOR},
        "Dimensions": engine_class.dimension,
        "DistanceFunction": resources.DISTANCE_FUNCTIONS[engine_class.metric],
        "SearchSchema": [
            {"AttributeName": name, "SearchSchemaElementType": element} for name, element in schema.items()
        ],
        "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(resources.VECTOR_PROJECTED)},
    }


def _slots(engine_class: EngineClass) -> dict[str, str]:
    return resources.vector_slots(strings=engine_class.strings, numbers=engine_class.numbers)
