"""What a vector index is made of, as CloudFormation and ``CreateTable`` declare it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moto.dynamodb.exceptions import MockValidationException

MOST_INDEXES = 5
MOST_DIMENSIONS = 4_096
MOST_INLINE_FILTERS = 18
DISTANCE_FUNCTIONS = ("COSINE", "DOT_PRODUCT", "EUCLIDEAN")
_FILTER_TYPES = ("S", "N", "B")


@dataclass(frozen=True, kw_only=True)
class Definition:
    """One vector index. ``filters`` are its inline filters; ``types`` are those of what a search may name."""

    name: str
    attribute: str
    dimensions: int
    distance_function: str
    partition_key: str | None
    filters: tuple[str, ...]
    types: Mapping[str, str]
    projection: Mapping[str, Any]

    @property
    def searchable(self) -> tuple[str, ...]:
        """The attributes that a search may name."""
        return (*((self.partition_key,) if self.partition_key else ()), *self.filters)

    def projects(self, attribute: str, table_keys: Sequence[str]) -> bool:
        """Whether results have ``attribute``."""
        if self.projection["ProjectionType"] == "ALL" or attribute in (*table_keys, *self.searchable):
            return True
        return attribute in self.projection.get("NonKeyAttributes", ())


def definitions(
    declared: Sequence[Mapping[str, Any]], attributes: Sequence[Mapping[str, str]], *, billing_mode: str
) -> tuple[Definition, ...]:
    """Of a table's ``VectorIndexes`` and ``AttributeDefinitions``.

    :raises MockValidationException: as AWS refuses them.
    """
    if declared and billing_mode != "PAY_PER_REQUEST":
        raise MockValidationException("Vector indexes are supported only on tables that use on-demand capacity mode")
    if len(declared) > MOST_INDEXES:
        raise MockValidationException(f"Number of vector indexes exceeds the limit of {MOST_INDEXES}")
    types = {each["AttributeName"]: each["AttributeType"] for each in attributes}
    found = tuple(_definition(each, types) for each in declared)
    lengths: dict[str, int] = {}
    for each in found:
        if lengths.setdefault(each.attribute, each.dimensions) != each.dimensions:
            raise MockValidationException(f"Vector indexes over {each.attribute} must have the same dimensions")
    return found


def _definition(declared: Mapping[str, Any], types: Mapping[str, str]) -> Definition:
    keys: dict[str, list[str]] = {"HASH": [], "INLINE_FILTER": []}
    for element in declared.get("SearchSchema", ()):
        keys[element["SearchSchemaElementType"]].append(element["AttributeName"])
    named = [*keys["HASH"], *keys["INLINE_FILTER"]]
    if any(types.get(name) not in _FILTER_TYPES for name in named):
        raise MockValidationException("One element in SearchSchema is not defined in attribute definitions")
    if len(keys["HASH"]) > 1 or len(keys["INLINE_FILTER"]) > MOST_INLINE_FILTERS or len(set(named)) < len(named):
        raise MockValidationException("One or more parameter values were invalid: SearchSchema")
    dimensions = int(declared["Dimensions"])
    if not 1 <= dimensions <= MOST_DIMENSIONS or declared["DistanceFunction"] not in DISTANCE_FUNCTIONS:
        raise MockValidationException("One or more parameter values were invalid: Dimensions or DistanceFunction")
    return Definition(
        name=declared["IndexName"],
        attribute=declared["VectorAttribute"]["AttributeName"],
        dimensions=dimensions,
        distance_function=declared["DistanceFunction"],
        partition_key=keys["HASH"][0] if keys["HASH"] else None,
        filters=tuple(keys["INLINE_FILTER"]),
        types={name: types[name] for name in named},
        projection=declared["Projection"],
    )


def described(definition: Definition, *, items: int, table_arn: str) -> dict[str, Any]:
    """As ``DescribeTable`` tells it."""
    schema = [{"AttributeName": name, "SearchSchemaElementType": "INLINE_FILTER"} for name in definition.filters]
    if definition.partition_key:
        schema.insert(0, {"AttributeName": definition.partition_key, "SearchSchemaElementType": "HASH"})
    return {
        "IndexName": definition.name,
        "VectorAttribute": {"AttributeName": definition.attribute},
        "Dimensions": definition.dimensions,
        "DistanceFunction": definition.distance_function,
        "Projection": dict(definition.projection),
        **({"SearchSchema": schema} if schema else {}),
        "IndexStatus": "ACTIVE",
        "ItemCount": items,
        "IndexArn": f"{table_arn}/index/{definition.name}",
    }
