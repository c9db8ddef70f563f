"""Tables of the engine ``dynamodb``: sums that can be done by hand, of which the estimate's lines are made too."""

from collections.abc import Callable
from typing import Any

import pytest

from deployment.estimate.calculation import Estimate, calculate
from deployment.estimate.prices import PriceTable, load
from deployment.estimate.report import document, lines, page
from deployment.rollout import Rollout
from tests.unit.deployment.conftest import Assemble, resource

TABLE, OTHER = "anfl-prod-class-a", "anfl-prod-class-a-b"
HOME, AWAY = "us-west-1", "eu-west-1"
GIB = 2**30


@pytest.fixture(scope="module")
def table() -> PriceTable:
    """The project's own."""
    return load()


def _class(name: str = TABLE, *regions: str, dimension: int = 512) -> dict[str, Any]:
    return resource(
        "AWS::DynamoDB::GlobalTable",
        TableName=name,
        Replicas=[{"Region": region} for region in regions or (HOME,)],
        VectorIndexes=[{"Dimensions": dimension, "DistanceFunction": "COSINE"}],
    )


def _selection(*names: str, copies: int = 1) -> dict[str, dict[str, Any]]:
    rule = {"ScheduleExpression": "cron(0 * * * ? *)", "Lifecycle": {"DeleteAfterDays": 7}}
    selected = [{"Fn::Join": ["", ["arn:aws:dynamodb:us-west-1:", f":table/{name}"]]} for name in names]
    return {
        "Plan": resource(
            "AWS::Backup::BackupPlan", BackupPlan={"BackupPlanRule": [rule | {"CopyActions": [{}] * copies}]}
        ),
        "Selection": resource(
            "AWS::Backup::BackupSelection",
            BackupPlanId={"Ref": "Plan"},
            BackupSelection={"Resources": selected},
        ),
    }


def _item(table: PriceTable) -> float:
    """Bytes: keys, metadata, and seven and a half of each number."""
    return 200 + table.amount("class_metadata", "prod") + 7.5 * 512


def _entry(table: PriceTable) -> float:
    """Bytes: keys, metadata, and four of each number."""
    return 200 + table.amount("class_metadata", "prod") + 4 * 512


def test_a_million_vectors_are_kept_as_items_and_as_entries_and_for_every_moment(
    one_stack: Callable[..., Rollout], table: PriceTable
) -> None:
    (cost,) = calculate(one_stack(T=_class()), table).classes
    stored, indexed = (1e6 * (size(table) + 100) / GIB for size in (_item, _entry))
    expected = stored * (table.price("dynamodb.storage", HOME) + table.price("dynamodb.pitr", HOME))
    assert cost.kept == pytest.approx(expected + indexed * table.price("dynamodb.vector-storage", HOME))


def test_a_million_written_are_transactions_here_and_writes_elsewhere(assemble: Assemble, table: PriceTable) -> None:
    data = {"anfl-prod-global-data": {"region": HOME, "resources": {"T": _class(TABLE, HOME, AWAY)}}}
    (cost,) = calculate(assemble(data), table).classes
    units = -(-_item(table) // 1024)
    writes = [table.price("dynamodb.writes", region) for region in (HOME, AWAY)]
    indexed = sum(table.price("dynamodb.vector-writes", region) for region in (HOME, AWAY))
    # Half of them are made in either region: twice the units there, and those of the other half once.
    assert cost.written == pytest.approx(1.5 * units * sum(writes) + 1e6 * _entry(table) / GIB * indexed)


def test_a_thousand_queries_cost_what_they_look_at_and_bring(
    one_stack: Callable[..., Rollout], table: PriceTable
) -> None:
    (cost,) = calculate(one_stack(T=_class()), table).classes
    looked_at = table.amount("class_examined", "prod") * 4 * 512
    brought = 20 * (200 + table.amount("class_metadata", "prod"))
    expected = 1000 * (looked_at + brought) / GIB * table.price("dynamodb.vector-searches", HOME)
    assert cost.queries == {HOME: pytest.approx(expected)}


def test_every_backup_is_whole_and_those_of_another_class_are_not_its_own(
    assemble: Assemble, table: PriceTable
) -> None:
    stacks = {
        "anfl-prod-global-data": {"region": HOME, "resources": {"T": _class(), "O": _class(OTHER)}},
        f"anfl-prod-{HOME}-recovery": {"region": HOME, "resources": _selection(TABLE)},
    }
    first, second = calculate(assemble(stacks), table).classes
    stored = 1e6 * (_item(table) + 100) / GIB
    assert first.backed_up == pytest.approx(stored * 7 * 24 * 2 * table.price("backup.tables", HOME))
    assert second.backed_up == 0


def test_a_small_vector_is_billed_as_a_kilobyte(one_stack: Callable[..., Rollout], table: PriceTable) -> None:
    def written(dimension: int) -> float:
        estimate = calculate(one_stack(T=_class(dimension=dimension)), table)
        return _line(estimate, "dynamodb.vector-writes")

    assert written(2) == written(256) < written(257)


def test_the_lines_of_an_environment_are_its_usage_of_the_same(assemble: Assemble, table: PriceTable) -> None:
    stacks = {
        "anfl-prod-global-data": {"region": HOME, "resources": {"T": _class()}},
        f"anfl-prod-{HOME}-recovery": {"region": HOME, "resources": _selection(TABLE)},
    }
    estimate = calculate(assemble(stacks), table)
    (cost,) = estimate.classes
    usage = {name: table.amount(f"class_{name}", "prod") for name in ("vectors", "changes", "queries", "fetches")}
    fetched = usage["fetches"] * -(-_item(table) // 4096) * table.price("dynamodb.reads", HOME)
    rows = usage["vectors"] * cost.kept + usage["changes"] * cost.written + usage["queries"] * 1000 * cost.queries[HOME]
    assert estimate.of(layer="global") == pytest.approx(rows + fetched)
    assert estimate.of(layer="recovery") == pytest.approx(usage["vectors"] * cost.backed_up)


def test_every_report_names_the_class_and_says_which_prices_are_assumed(
    one_stack: Callable[..., Rollout], table: PriceTable
) -> None:
    estimate = calculate(one_stack(T=_class()), table)
    found = document(estimate)
    assert [each["table"] for each in found["classes"]] == [TABLE]
    assert set(found["assumed_prices"]) == {name for name in table.prices if name.startswith("dynamodb.vector-")}
    text = "\n".join(lines(estimate))
    assert TABLE in text
    assert "assumed prices" in text
    assert "`dynamodb.vector-searches`" in page([estimate])


def test_without_classes_nothing_is_said_of_them(one_stack: Callable[..., Rollout], table: PriceTable) -> None:
    estimate = calculate(one_stack(Queue=resource("AWS::SQS::Queue")), table)
    assert estimate.classes == ()
    assert "engine dynamodb" not in "\n".join(lines(estimate))


def _line(estimate: Estimate, price: str) -> float:
    (found,) = (line.monthly for line in estimate.lines if line.price == price)
    return found
