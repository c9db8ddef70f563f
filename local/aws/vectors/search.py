"""``SearchVectors``: exact, over everything that the index holds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from moto.dynamodb.exceptions import MockValidationException
from moto.dynamodb.models.dynamo_type import DynamoType
from numpy.typing import NDArray

from local.aws.vectors.conditions import equalities
from local.aws.vectors.content import Attributes, Entry, VectorIndex
from local.aws.vectors.definitions import Definition

MOST_RESULTS = 100
MOST_BYTES = 16 * 2**20


def search(index: VectorIndex, request: Mapping[str, Any], table_keys: Sequence[str]) -> dict[str, Any]:
    """The answer to ``request``, the operation's parameters.

    :raises MockValidationException: as AWS refuses it.
    """
    definition = index.definition
    if not index.answers:  # another endpoint serves searches, and may not know the index yet
        raise MockValidationException(f"The table does not have the specified index: {definition.name}")
    if not 1 <= request["TopK"] <= MOST_RESULTS:
        raise MockValidationException("Provided TopK value is out of valid range")
    wanted = _vector(request["SearchVector"], definition)
    names = request.get("ExpressionAttributeNames", {})
    projected = _projected(request.get("ProjectionExpression"), names)
    given = {name: real for name, real in names.items() if name not in (projected or {})}
    conditions = equalities(
        request.get("SearchConditionExpression"), given, request.get("ExpressionAttributeValues", {}), definition
    )
    entries = [each for each in index.entries() if _holds(each.attributes, conditions)]
    scores = _scores(definition.distance_function, wanted, entries)
    best = np.argsort(-scores if definition.distance_function == "DOT_PRODUCT" else scores, kind="stable")
    results = [
        {"Item": _shown(entries[row].attributes, definition, table_keys, projected), "Score": float(scores[row])}
        for row in best[: request["TopK"]]
    ]
    if sum(len(repr(each)) for each in results) > MOST_BYTES:
        raise MockValidationException("The response of SearchVectors exceeds the maximum of 16 MB")
    answer: dict[str, Any] = {"SearchResults": results}
    if request.get("ReturnConsumedCapacity", "NONE") != "NONE":
        answer["ConsumedCapacity"] = {"VectorSearchRequestBytes": float(4 * definition.dimensions * len(entries))}
    return answer


def _vector(given: Sequence[Mapping[str, Any]], definition: Definition) -> NDArray[np.float64]:
    if any(set(element) != {"N"} for element in given):
        raise MockValidationException("One or more parameter values were invalid: SearchVector holds numbers only")
    if len(given) != definition.dimensions:
        raise MockValidationException(
            f"One or more parameter values were invalid: SearchVector has {len(given)} dimensions, "
            f"{definition.name} has {definition.dimensions}"
        )
    return np.array([float(element["N"]) for element in given], dtype=np.float32).astype(np.float64)


def _holds(attributes: Attributes, conditions: Mapping[str, Any]) -> bool:
    return all(
        name in attributes and DynamoType(attributes[name]) == DynamoType(value) for name, value in conditions.items()
    )


def _scores(function: str, wanted: NDArray[np.float64], entries: Sequence[Entry]) -> NDArray[np.float64]:
    if not entries:
        return np.empty(0)
    rows = np.stack([each.vector for each in entries]).astype(np.float64)
    if function == "EUCLIDEAN":
        return np.asarray(np.linalg.norm(rows - wanted, axis=1))
    dots = rows @ wanted
    if function == "DOT_PRODUCT":
        return np.asarray(dots)
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(wanted)
    return np.asarray(1 - np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0))


def _projected(expression: str | None, names: Mapping[str, str]) -> dict[str, str] | None:
    """The real name of each attribute asked for, by the name it was asked for by; None: all."""
    if expression is None:
        return None
    return {given: names.get(given, given) for given in (part.strip() for part in expression.split(","))}


def _shown(
    attributes: Attributes, definition: Definition, table_keys: Sequence[str], projected: Mapping[str, str] | None
) -> dict[str, Any]:
    wanted = attributes if projected is None else projected.values()
    return {name: attributes[name] for name in wanted if name in attributes and definition.projects(name, table_keys)}
