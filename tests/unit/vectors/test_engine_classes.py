"""Classes of the engine ``dynamodb``: how processes learn of them, and which one a collection gets."""

from typing import Any

import msgspec
import pytest

from anfl.environment import MissingSettingError
from anfl.problems import Problem
from anfl.resources import Variable, engine_class_table
from anfl.vectors.dynamodb.classes import EngineClass, choose, read_classes, slots_of
from anfl.vectors.model import CollectionSettings, FieldType, Metric

SMALL = EngineClass(name="small", dimension=3, metric=Metric.L2, strings=1)
LARGE = EngineClass(name="large", dimension=3, metric=Metric.L2, strings=4, numbers=4)
OTHER = EngineClass(name="other", dimension=3, metric=Metric.COSINE, strings=4)
CLASSES = (LARGE, SMALL, OTHER)


def _settings(**fields: FieldType) -> CollectionSettings:
    return CollectionSettings(name="c", dimension=3, metric=Metric.L2, fields=fields, engine="dynamodb")


def test_the_variable_has_what_the_stacks_put_there() -> None:
    assert Variable.ENGINE_CLASSES.value == "ENGINE_CLASSES"
    assert read_classes(msgspec.json.encode(CLASSES).decode()) == CLASSES


@pytest.mark.parametrize("text", ["", "[]"])
def test_where_it_is_empty_there_are_none(text: str) -> None:
    assert read_classes(text) == ()


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[1",
        '[{"name": "Upper", "dimension": 3, "metric": "l2"}]',
        '[{"name": "a", "dimension": 3, "metric": "l1"}]',
        '[{"name": "a", "dimension": 3, "metric": "l2", "text": 1}]',
        '[{"name": "a", "dimension": 3, "metric": "l2", "strings": 10, "numbers": 9}]',
        '[{"name": "a", "dimension": 3, "metric": "l2"}, {"name": "a", "dimension": 4, "metric": "l2"}]',
    ],
)
def test_a_process_does_not_start_with_classes_that_cannot_be(text: str) -> None:
    with pytest.raises(MissingSettingError, match="ENGINE_CLASSES"):
        read_classes(text)


def test_a_class_has_a_table_of_its_own_in_each_environment() -> None:
    assert engine_class_table("dev", "small") == "anfl-dev-class-small"


def test_a_collection_gets_the_class_with_the_fewest_slots_that_has_room() -> None:
    assert choose(CLASSES, _settings()) is SMALL
    assert choose(CLASSES, _settings(a=FieldType.STRING)) is SMALL
    assert choose(CLASSES, _settings(a=FieldType.STRING, b=FieldType.BOOLEAN)) is LARGE


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"dimension": 4}, {}),
        ({"metric": Metric.IP}, {}),
        ({}, {f"f{number}": FieldType.STRING for number in range(5)}),
    ],
)
def test_where_none_has_room_the_refusal_names_those_there_are(
    change: dict[str, Any], fields: dict[str, FieldType]
) -> None:
    with pytest.raises(Problem) as refused:
        choose(CLASSES, msgspec.structs.replace(_settings(**fields), **change))
    assert (refused.value.status, refused.value.code, refused.value.field) == (400, "no_engine_class", "engine")
    assert all(str(each) in refused.value.detail for each in CLASSES)


def test_fields_take_slots_in_the_order_of_their_names() -> None:
    fields = {"z": FieldType.STRING, "b": FieldType.BOOLEAN, "a": FieldType.STRING, "y": FieldType.NUMBER}
    assert slots_of(fields) == {"a": "s1", "z": "s2", "b": "n1", "y": "n2"}


def test_a_list_has_no_slot() -> None:
    with pytest.raises(Problem) as refused:
        slots_of({"a": FieldType.STRINGS})
    assert (refused.value.code, refused.value.field) == ("not_supported_by_engine", "fields.a")
