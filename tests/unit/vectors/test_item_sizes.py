"""What goes together is told by sizes that are never less than DynamoDB's, and not much more."""

from typing import Any

import msgspec
import numpy as np
import pytest

from anfl.problems import Problem
from anfl.vectors.dynamodb import items
from anfl.vectors.dynamodb.parts import MOST_BYTES, check_together, item_bytes, parts
from anfl.vectors.model import MAX_DIMENSION, MAX_ID_BYTES, FieldType, Metadata, Values
from anfl.vectors.requests import NewRow, Upsert, check_metadata_size
from tests.unit.vectors.builders import collection

FIELDS = {f"s{number}": FieldType.STRING for number in range(9)} | {
    f"n{number}": FieldType.NUMBER for number in range(9)
}
WIDE = msgspec.structs.replace(
    collection(),
    tenant="t" * 63,
    settings=msgspec.structs.replace(collection().settings, dimension=MAX_DIMENSION, fields=FIELDS),
)
MOST = 400 * 1024
"""Bytes of an item in DynamoDB."""
LONGEST_NUMBER = np.float32(-1.00000012e-38)
"""Nine digits and a sign."""
FULL: Metadata = {f"s{number}": "x" * 255 for number in range(9)} | {f"n{number}": -1 / 3 for number in range(9)}


def size(item: dict[str, Any]) -> int:
    """Bytes of an item, after "DynamoDB item sizes and formats", each half of them rounded up."""
    return sum(len(name) + _size(value) for name, value in item.items())


def _size(attribute: dict[str, Any]) -> int:
    kind, value = next(iter(attribute.items()))
    match kind:
        case "S":
            return len(str(value).encode())
        case "B":
            return len(bytes(value))
        case "N":
            digits: str = value.partition("e")[0].replace(".", "").strip("-0")
            return (len(digits) + 1) // 2 + 1 + int(value.startswith("-"))
        case _:
            return 3 + sum(1 + _size(each) for each in value)


def encoded(row_id: str, values: Values, metadata: Metadata) -> dict[str, Any]:
    return items.encode(WIDE, row_id, values=values, metadata=metadata, version=2**53, expires_at=1.7e9 + 1 / 3)


@pytest.mark.parametrize(
    "metadata",
    [{}, FULL, FULL | {"pad": "x" * 38_000}, {"list": [0.5] * 10_000}],
    ids=["none", "slots", "most", "list"],
)
def test_an_item_is_told_larger_than_it_is_and_is_one(metadata: Metadata) -> None:
    check_metadata_size(metadata, field="metadata")
    row_id = "é" * (MAX_ID_BYTES // 2)
    item = encoded(row_id, np.full(MAX_DIMENSION, LONGEST_NUMBER, dtype=np.float32), metadata)
    told = item_bytes(row_id, len(item[items.METADATA]["B"]), WIDE)
    assert size(item) <= told < MOST


def test_a_hundred_of_the_longest_vectors_go_together() -> None:
    dice = np.random.default_rng(7)
    vectors = dice.normal(size=(100, MAX_DIMENSION)).astype(np.float32)
    rows = [
        NewRow(id=f"r{number:03}", values=values.tolist(), metadata={"s1": "x" * 200, "n1": number})
        for number, values in enumerate(vectors)
    ]
    change = Upsert(vectors=rows)
    assert parts(change, WIDE) == [change]
    written = sum(size(encoded(row.id, values, row.metadata)) for row, values in zip(rows, vectors, strict=True))
    assert written < MOST_BYTES


def test_what_is_a_byte_too_much_does_not_go_together() -> None:
    half = MOST_BYTES // 2
    check_together([half, half])
    with pytest.raises(Problem) as refused:
        check_together([half, half + 1])
    assert refused.value.code == "batch_not_atomic"
