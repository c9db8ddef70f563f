"""The table of prices, and sums of small templates that can be done by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployment.estimate.calculation import Estimate, calculate
from deployment.estimate.prices import TABLE, EstimateError, PriceTable, load
from deployment.estimate.report import document, lines
from deployment.rollout import Rollout
from tests.unit.deployment.conftest import Assemble, resource
from tests.unit.deployment.test_offers import instances

OneStack = Callable[..., Rollout]


@pytest.fixture(scope="module")
def table() -> PriceTable:
    """The project's own."""
    return load()


def _line(estimate: Estimate, price: str) -> float:
    (found,) = (line.monthly for line in estimate.lines if line.price == price)
    return found


def test_instances_at_the_least_and_at_the_most(one_stack: OneStack, table: PriceTable) -> None:
    estimate = calculate(one_stack(**instances("c5.2xlarge", maximum=10)), table)
    hour = table.price("ec2.c5.2xlarge", "us-west-1")
    others = 50 * table.price("ebs.gp3", "us-west-1") + 7 * table.price("cloudwatch.metric", "us-west-1")
    assert _line(estimate, "ec2.c5.2xlarge") == pytest.approx(3 * 730 * hour)
    assert estimate.monthly == pytest.approx(3 * (730 * hour + others))
    assert estimate.at_most == pytest.approx(10 * (730 * hour + others))


def test_an_endpoint_costs_in_each_of_its_zones_and_a_gateway_nothing(one_stack: OneStack, table: PriceTable) -> None:
    two = resource("AWS::EC2::VPCEndpoint", VpcEndpointType="Interface", SubnetIds=["a", "b"])
    estimate = calculate(one_stack(Two=two, None_=resource("AWS::EC2::VPCEndpoint", VpcEndpointType="Gateway")), table)
    assert _line(estimate, "endpoint.hour") == pytest.approx(2 * 730 * table.price("endpoint.hour", "us-west-1"))


def test_a_table_is_billed_where_its_replicas_are(assemble: Assemble, table: PriceTable) -> None:
    replicated = resource("AWS::DynamoDB::GlobalTable", Replicas=[{"Region": "eu-west-1"}, {"Region": "us-west-1"}])
    estimate = calculate(
        assemble({"anfl-prod-global-data": {"region": "us-east-1", "resources": {"T": replicated}}}), table
    )
    assert {line.region for line in estimate.lines} == {"eu-west-1", "us-west-1"}
    assert {line.layer for line in estimate.lines} == {"global"}


@pytest.mark.parametrize(
    ("schedule", "points"), [("cron(0 3 * * ? *)", 7), ("cron(0 * * * ? *)", 7 * 24)], ids=["daily", "hourly"]
)
def test_tables_are_kept_whole_at_every_point_and_again_in_the_copy(
    one_stack: OneStack, table: PriceTable, schedule: str, points: int
) -> None:
    rule = {"ScheduleExpression": schedule, "Lifecycle": {"DeleteAfterDays": 7}, "CopyActions": [{}]}
    rollout = one_stack(
        "recovery",
        Plan=resource("AWS::Backup::BackupPlan", BackupPlan={"BackupPlanRule": [rule]}),
        Selection=resource(
            "AWS::Backup::BackupSelection",
            BackupPlanId={"Ref": "Plan"},
            BackupSelection={"Resources": ["arn:aws:dynamodb:us-west-1:1:table/a"]},
        ),
    )
    size = table.amount("table_size", "prod")
    expected = size * points * 2 * table.price("backup.tables", "us-west-1")
    assert calculate(rollout, table).of(layer="recovery") == pytest.approx(expected)


def test_a_type_that_nobody_priced_is_refused(one_stack: OneStack, table: PriceTable) -> None:
    with pytest.raises(EstimateError, match="AWS::Redshift::Cluster"):
        calculate(one_stack(New=resource("AWS::Redshift::Cluster")), table)


def test_an_instance_type_without_a_price_is_refused(one_stack: OneStack, table: PriceTable) -> None:
    with pytest.raises(EstimateError, match=r"ec2\.c7i\.2xlarge for us-west-1"):
        calculate(one_stack(**instances("c7i.2xlarge", maximum=4)), table)


def test_it_calls_itself_an_estimate_and_says_how_many_prices_nobody_checked(
    one_stack: OneStack, table: PriceTable
) -> None:
    estimate = calculate(one_stack(**instances("c5.2xlarge", maximum=10)), table)
    assumed = sum(price.assumed is not None for price in table.prices.values())
    unchecked = sum(price.checked is None for price in table.prices.values()) - assumed
    note = document(estimate)["note"]
    assert f"{unchecked} of {len(table.prices)}" in note
    assert f"{assumed} are assumptions" in note
    text = "\n".join(lines(estimate))
    assert "Estimate for prod" in text
    assert "to be checked" in text
    assert document(estimate)["estimate"] is True


def _changed(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    content = yaml.safe_load(TABLE.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda table: table["prices"]["nat.hour"].update({"everywhere": 1}), "prices.nat.hour"),
        (lambda table: table["prices"]["ipv4.address"].pop("everywhere"), "prices.ipv4.address"),
        (lambda table: table["prices"]["nat.hour"].update({"us-west-1": -1}), "prices.nat.hour.regions.us-west-1"),
        (lambda table: table["prices"]["nat.hour"].pop("page"), "prices.nat.hour.page"),
        (lambda table: table.update(written="lately"), "written"),
        (lambda table: table["prices"]["nat.hour"].update(checked="yes"), "prices.nat.hour.checked"),
    ],
)
def test_a_wrong_table_is_refused_by_the_name_of_its_entry(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], named: str
) -> None:
    with pytest.raises(EstimateError, match=named):
        load(_changed(tmp_path / "prices.yaml", change))


def test_a_missing_assumption_is_refused(one_stack: OneStack, tmp_path: Path) -> None:
    path = _changed(tmp_path / "prices.yaml", lambda table: table["usage"]["messages"].pop("prod"))
    with pytest.raises(EstimateError, match="messages for prod"):
        calculate(one_stack(Queue=resource("AWS::SQS::Queue")), load(path))
