"""Classes of the engine ``dynamodb`` in settings: what cannot be deployed names its field; what can, services read."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anfl.vectors.dynamodb.classes import MOST_SLOTS, read_classes
from anfl.vectors.model import MAX_DIMENSION, Metric
from local.sample import rows
from stacks.models import Settings
from stacks.settings import SettingsError, load

CLASS: dict[str, Any] = {"name": "a", "dimension": 3, "metric": "l2", "strings": 1, "numbers": 1}


def _load(files: Path, *classes: dict[str, Any], overlay: str = "") -> Settings:
    """Prod with other classes."""
    path = files / "environments" / "prod.yaml"
    lines = path.read_text().splitlines()
    (first,) = (number for number, line in enumerate(lines) if line == "  engine_classes:")
    lines[first : first + 2] = [f"  engine_classes: {json.dumps(classes)}"]
    path.write_text("\n".join(lines) + f"\n{overlay}\n")
    return load("prod", root=files)


@pytest.mark.parametrize(
    ("classes", "problem"),
    [
        ([CLASS, CLASS], "engine_classes[1].name: a is not allowed: an earlier class has that name"),
        (
            [CLASS | {"name": "text-384"}, CLASS | {"name": "text384"}],
            "engine_classes[1].name: text384 is not allowed: an earlier class, text-384, takes its place in the stack",
        ),
        ([CLASS | {"name": "Upper"}], "engine_classes[0].name: 'Upper' is not allowed: string should match pattern"),
        ([CLASS | {"dimension": 0}], "engine_classes[0].dimension: 0 is not allowed: input should be greater than or"),
        ([CLASS | {"dimension": 4097}], "engine_classes[0].dimension: 4097 is not allowed: input should be less than"),
        ([CLASS | {"dimension": "3"}], "engine_classes[0].dimension: '3' is not allowed"),
        ([CLASS | {"metric": "l1"}], "engine_classes[0].metric: 'l1' is not allowed: input should be 'cosine'"),
        ([CLASS | {"strings": 19}], "engine_classes[0].strings: 19 is not allowed: input should be less than or equal"),
        (
            [CLASS, CLASS | {"name": "b", "strings": 10, "numbers": 9}],
            "engine_classes[1].numbers: 9 is not allowed: a class has 18 slots at most, and 10 are strings",
        ),
        ([CLASS | {"booleans": 1}], "engine_classes[0].booleans: is no setting; known here: dimension, metric, name"),
        ([{"name": "a", "metric": "l2"}], "engine_classes[0].dimension: is missing"),
        (
            [CLASS | {"warm_throughput": {"reads": 11_999, "writes": 4_000}}],
            "engine_classes[0].warm_throughput.reads: 11999 is not allowed: input should be greater than or equal to",
        ),
        (
            [CLASS | {"warm_throughput": {"reads": 12_000, "writes": 40_001}}],
            "engine_classes[0].warm_throughput.writes: 40001 is not allowed: input should be less than or equal to",
        ),
    ],
)
def test_one_line_says_where_what_and_what_is_allowed(
    files: Path, classes: Sequence[dict[str, Any]], problem: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        _load(files, *classes)
    (line,) = caught.value.problems
    assert line.startswith(f"prod.yaml: deployment.{problem}")


def test_vectors_are_kept_no_longer_than_dynamodb_goes_back(files: Path) -> None:
    overlay = "backup: {vectors: {retention: 36d}}"
    with pytest.raises(SettingsError, match=r"backup\.vectors\.retention: .* DynamoDB goes back 35 days at most"):
        _load(files, CLASS, overlay=overlay)


def test_without_classes_vectors_may_be_kept_longer(files: Path) -> None:
    settings = _load(files, overlay="backup: {vectors: {retention: 36d}}")
    assert read_classes(settings.deployment.classes_as_json()) == ()


@pytest.mark.parametrize("metric", Metric)
def test_whatever_is_allowed_here_is_allowed_where_it_is_read(files: Path, metric: Metric) -> None:
    warm = {"reads": 12_000, "writes": 4_000}
    least = {"name": "a", "dimension": 1, "metric": metric}
    most = {"name": "a" * 31, "dimension": MAX_DIMENSION, "metric": metric, "strings": MOST_SLOTS}
    settings = _load(files, least, most | {"warm_throughput": warm})
    first, second = read_classes(settings.deployment.classes_as_json())
    assert (first.dimension, len(first.slots), first.metric) == (1, 0, metric)
    assert (second.dimension, len(second.slots), second.metric) == (MAX_DIMENSION, MOST_SLOTS, metric)


def test_dev_has_a_class_for_the_sample() -> None:
    (found,) = read_classes(load("dev").deployment.classes_as_json())
    sample = rows()[0]
    kinds = [type(value) for value in (sample.metadata or {}).values()]
    assert (found.dimension, found.metric) == (np.size(sample.values), Metric.COSINE)
    assert found.strings >= kinds.count(str) - 2, "all of a gloss but its text and the key it has in WordNet"
    assert found.numbers >= kinds.count(int)
