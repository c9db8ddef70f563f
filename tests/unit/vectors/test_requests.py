"""What wrong requests are told: the field, and nothing applied."""

import base64
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anfl.decoding import convert, parse
from anfl.problems import Problem
from anfl.vectors.changes import prepare
from anfl.vectors.model import CollectionSettings, FieldType, Metric
from anfl.vectors.requests import (
    CollectionPatch,
    Count,
    DeleteRows,
    NewRow,
    Packed,
    Query,
    Scroll,
    Upsert,
    vector_of,
    vectors_of,
)
from tests.unit.vectors.builders import collection

MANY_FIELDS = {f"field{number}": "string" for number in range(300)}


def upsert(**row: Any) -> bytes:
    return msgspec.json.encode({"vectors": [{"id": "ok", "values": [1, 1]}, {"id": "a", "values": [1, 2], **row}]})


@pytest.mark.parametrize(
    ("body", "model", "field"),
    [
        (b"{", Upsert, None),
        (b"\xff", Upsert, None),
        (b"[]", Upsert, None),
        (b"{}", Upsert, "vectors"),
        (b'{"filter":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}", Count, None),
        (b'{"vectors": []}', Upsert, "vectors"),
        (b'{"vectors": [{"id": 1, "values": [1]}]}', Upsert, "vectors[0].id"),
        (b'{"vectors": [{"id": "", "values": [1]}]}', Upsert, "vectors[0].id"),
        (b'{"vectors": [{"id": "a", "values": "x"}]}', Upsert, "vectors[0].values"),
        (b'{"vectors": [{"id": "a", "values": [1, null]}]}', Upsert, "vectors[0].values[1]"),
        (b'{"vectors": [{"id": "a", "values": [1], "metadata": {"a": {}}}]}', Upsert, "vectors[0].metadata.a"),
        (b'{"vectors": [{"id": "a", "values": [1], "meta": {}}]}', Upsert, "vectors[0].meta"),
        (b'{"vector": [1], "k": 0}', Query, "k"),
        (b'{"vector": [1], "k": 1001}', Query, "k"),
        (b'{"vector": [1], "include": ["score"]}', Query, "include[0]"),
        (b'{"vector": [1], "consistency": "eventual"}', Query, "consistency"),
        (b'{"name": "a b", "dimension": 3}', CollectionSettings, "name"),
        (b'{"name": "a\\n", "dimension": 3}', CollectionSettings, "name"),
        (b'{"name": "a", "dimension": 0}', CollectionSettings, "dimension"),
        (b'{"name": "a", "dimension": 4097}', CollectionSettings, "dimension"),
        (b'{"name": "a", "dimension": 3, "metric": "hamming"}', CollectionSettings, "metric"),
        (b'{"name": "a", "dimension": 3, "index": {"m": 1}}', CollectionSettings, "index.m"),
        (b'{"name": "a", "dimension": 3, "fields": {"a": "date"}}', CollectionSettings, "fields.a"),
        (msgspec.json.encode({"name": "a", "dimension": 3, "fields": MANY_FIELDS}), CollectionSettings, "fields"),
        (msgspec.json.encode({"fields": MANY_FIELDS}), CollectionPatch, "fields"),
    ],
)
def test_a_wrong_body_is_told_where(body: bytes, model: type[object], field: str | None) -> None:
    with pytest.raises(Problem) as caught:
        parse(body, model)
    assert (caught.value.status, caught.value.field) == (400, field)


@pytest.mark.parametrize(
    ("row", "field", "status"),
    [
        ({"values": [1]}, "vectors[1].values", 400),
        ({"values": [1, 2, 3]}, "vectors[1].values", 400),
        ({"values": [0, 0]}, "vectors[1].values", 400),
        ({"values": [1e39, 0]}, "vectors[1].values", 400),
        ({"values": [1e30, 0]}, "vectors[1].values", 400),
        ({"values": [1e-30, 0]}, "vectors[1].values", 400),
        ({"values": {"f32": "!!"}}, "vectors[1].values.f32", 400),
        ({"values": {"f32": base64.b64encode(b"123").decode()}}, "vectors[1].values.f32", 400),
        (
            {"values": {"f32": base64.b64encode(np.array([np.nan, 1], "<f4").tobytes()).decode()}},
            "vectors[1].values",
            400,
        ),
        ({"id": "ok"}, "vectors[1].id", 400),
        ({"id": "é" * 300}, "vectors[1].id", 400),
        ({"id": ""}, "vectors[1].id", 400),
        ({"metadata": {"price": "cheap"}}, "vectors[1].metadata.price", 400),
        ({"metadata": {"tags": [1]}}, "vectors[1].metadata.tags", 400),
        ({"metadata": {"n": 2**53}}, "vectors[1].metadata.n", 400),
        ({"metadata": {"n": [1, 10**30]}}, "vectors[1].metadata.n", 400),
        ({"metadata": {"text": "x" * 41_000}}, "vectors[1].metadata", 413),
        ({"expires_at": -1}, "vectors[1].expires_at", 400),
    ],
)
def test_a_wrong_row_is_named(row: dict[str, Any], field: str, status: int) -> None:
    of = collection(metric=Metric.COSINE, fields={"price": FieldType.NUMBER, "tags": FieldType.STRINGS})
    with pytest.raises(Problem) as caught:
        prepare(parse(upsert(**row), Upsert), of)
    assert (caught.value.status, caught.value.field) == (status, field)


def test_packed_values_are_the_same_values() -> None:
    packed = base64.b64encode(np.array([1, 2], "<f4").tobytes()).decode()
    plain = prepare(parse(upsert(), Upsert), collection())
    assert prepare(parse(upsert(values={"f32": packed}), Upsert), collection()).values == plain.values


@pytest.mark.parametrize(
    ("body", "field"), [({}, "ids"), ({"ids": ["a"], "filter": {"a": 1}}, "ids"), ({"filter": {}}, "filter")]
)
def test_a_deletion_names_what_goes_in_one_way(body: dict[str, Any], field: str) -> None:
    with pytest.raises(Problem) as caught:
        prepare(convert(body, DeleteRows), collection())
    assert caught.value.field == field


def test_numbers_of_a_query_string_are_text() -> None:
    assert convert({"limit": "5"}, Scroll, text=True).limit == 5
    with pytest.raises(Problem) as caught:
        convert({"limit": "many"}, Scroll, text=True)
    assert caught.value.field == "limit"
    with pytest.raises(Problem):
        convert({"limit": "5"}, Scroll)


TEXTS = st.one_of(
    st.lists(st.floats(width=32), min_size=1, max_size=4).map(
        lambda numbers: base64.b64encode(np.array(numbers, "<f4").tobytes()).decode()
    ),
    st.text(alphabet="AB+/=é \n", max_size=12),
)


@given(texts=st.lists(TEXTS, min_size=1, max_size=4), metric=st.sampled_from(Metric), dimension=st.sampled_from([1, 2]))
def test_many_rows_are_read_like_each_alone(texts: list[str], metric: Metric, dimension: int) -> None:
    where, rows = collection(metric=metric, dimension=dimension), [Packed(f32=text) for text in texts]

    def alone() -> list[bytes] | str:
        try:
            return [vector_of(row, where, field=f"vectors[{number}]").tobytes() for number, row in enumerate(rows)]
        except Problem as problem:
            return f"{problem.field}: {problem.detail}"

    def together() -> list[bytes] | str:
        try:
            return [vector.tobytes() for vector in vectors_of(rows, where, field="vectors[{}]")]
        except Problem as problem:
            return f"{problem.field}: {problem.detail}"

    assert together() == alone()


@pytest.mark.parametrize("text", ["AACAPw=", "AACAPw==AAAA", "AACAP\n==", " AACAPw==", "AACAPw", "-_CAPw=="])
def test_base64_is_taken_strictly(text: str) -> None:
    with pytest.raises(Problem) as caught:
        vector_of(Packed(f32=text), collection(dimension=1), field="vector")
    assert (caught.value.status, caught.value.field) == (400, "vector.f32")


def test_a_digest_is_of_everything_asked_for_and_of_nothing_else() -> None:
    def digest(change: Upsert | DeleteRows) -> bytes:
        return prepare(change, collection()).digest

    rows = [NewRow(id=str(number), values=[1.0, float(number)]) for number in range(250)]
    asked = Upsert(vectors=rows, request_id="a")
    assert digest(asked) == digest(Upsert(vectors=list(rows), request_id="b"))
    for number in (0, 120, 249):
        other = [msgspec.structs.replace(row, metadata={"a": 1}) if n == number else row for n, row in enumerate(rows)]
        assert digest(Upsert(vectors=other, request_id="a")) != digest(asked)
    assert digest(DeleteRows(ids=["a"], request_id="a")) != digest(DeleteRows(ids=["b"], request_id="a"))
    assert digest(Upsert(vectors=rows)) == b""
