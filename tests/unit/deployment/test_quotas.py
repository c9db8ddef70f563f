"""Is each quota large enough: the need counted in the templates, against what the account says."""

from collections.abc import Callable
from typing import Any

import pytest

from deployment.instances import vcpus
from deployment.preflight import quotas
from deployment.preflight.account import Account, AnswerError
from deployment.preflight.needs import QUOTAS, Quota
from deployment.preflight.results import Outcome, Verdict
from deployment.rollout import Rollout
from tests.unit.deployment.conftest import Assemble, Recorded, resource
from tests.unit.deployment.test_offers import instances
from tests.unit.deployment.test_readiness import outcome

REGION = "us-west-1"
OneStack = Callable[..., Rollout]


def quota(name: str) -> Quota:
    """A quota of the table."""
    (found,) = (found for found in QUOTAS if found.id == name)
    return found


def needed(rollout: Rollout, name: str, region: str = REGION) -> float:
    """How much of it a rollout needs."""
    return quota(name).need(rollout, region)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("t3.small", 2), ("m5.large", 2), ("m5.xlarge", 4), ("c5.2xlarge", 8), ("m5.24xlarge", 96), ("r7g.medium", 2)],
)
def test_vcpus_of_instance_types(kind: str, expected: int) -> None:
    assert vcpus(kind) == expected


@pytest.mark.parametrize("kind", ["p4d.24xlarge", "g5.xlarge", "m5.metal", "unknown"])
def test_types_of_another_quota_are_refused(kind: str) -> None:
    with pytest.raises(ValueError, match=kind):
        vcpus(kind)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("enough", Outcome.OK),
        ("exactly", Outcome.OK),
        ("too-small", Outcome.FAILED),
        ("default", Outcome.FAILED),
        ("asked-for", Outcome.FAILED),
        ("asked-for-less", Outcome.FAILED),
        ("others", Outcome.FAILED),
    ],
)
def test_processors_for_every_group_at_its_maximum(
    recorded: Recorded, one_stack: OneStack, case: str, expected: Outcome
) -> None:
    assert outcome(_vcpus(recorded, one_stack, case)) is expected


def test_what_is_asked_for_covers_what_others_use_and_not_what_is_ours(recorded: Recorded, one_stack: OneStack) -> None:
    """20 of others in the standard families; spot, other families and this system's own instances do not count."""
    assert "--desired-value 100" in _vcpus(recorded, one_stack, "others").remedy


def test_an_increase_that_was_asked_for_is_waited_for(recorded: Recorded, one_stack: OneStack) -> None:
    assert "wait" in _vcpus(recorded, one_stack, "asked-for").remedy
    assert "request-service-quota-increase" in _vcpus(recorded, one_stack, "asked-for-less").remedy


def test_a_quota_that_aws_does_not_know_is_no_good_news(recorded: Recorded, one_stack: OneStack) -> None:
    with pytest.raises(AnswerError):
        _vcpus(recorded, one_stack, "unknown")


@pytest.mark.parametrize(("case", "expected"), [("networks", Outcome.OK), ("networks-full", Outcome.FAILED)])
def test_networks_of_others_count_and_ours_does_not_count_twice(
    recorded: Recorded, assemble: Assemble, case: str, expected: Outcome
) -> None:
    rollout = assemble(
        {"anfl-prod-us-west-1-network": {"region": REGION, "resources": {"Vpc": resource("AWS::EC2::VPC")}}}
    )
    verdict = quotas.enough(recorded(f"quotas/{case}"), rollout, quota("vpc.networks"), region=REGION, need=1)
    assert outcome(verdict) is expected


@pytest.mark.parametrize(
    ("case", "kind", "check", "expected"),
    [
        ("zones-fit", "AWS::Route53::HostedZone", "quota.route53.zones", Outcome.OK),
        ("zones-full", "AWS::Route53::HostedZone", "quota.route53.zones", Outcome.FAILED),
        ("zones-full-with-ours", "AWS::Route53::HostedZone", "quota.route53.zones", Outcome.OK),
        ("roles-fit", "AWS::IAM::Role", "quota.iam.roles", Outcome.OK),
        ("roles-full", "AWS::IAM::Role", "quota.iam.roles", Outcome.FAILED),
        ("accelerators-fit", "AWS::GlobalAccelerator::Accelerator", "quota.accelerators", Outcome.OK),
        ("accelerators-full", "AWS::GlobalAccelerator::Accelerator", "quota.accelerators", Outcome.WARNING),
    ],
)
def test_limits_of_the_whole_account(
    recorded: Recorded, one_stack: OneStack, case: str, kind: str, check: str, expected: Outcome
) -> None:
    rollout = one_stack(It=resource(kind, Name="anfl-prod-ingest"))
    found = {one.id: one for one in quotas.checks(recorded(f"limits/{case}"), rollout)}
    assert outcome(found[check].look()) is expected


def api_of(timeouts: dict[str, int]) -> dict[str, Any]:
    """A REST API whose paths are answered within so many milliseconds."""
    paths = {
        path: {"get": {"x-amazon-apigateway-integration": {"timeoutInMillis": most}}} for path, most in timeouts.items()
    }
    return {"A": resource("AWS::ApiGateway::RestApi", Body={"paths": paths})}


@pytest.mark.parametrize(
    ("name", "resources", "expected"),
    [
        ("lambda.concurrency", {"F": resource("AWS::Lambda::Function", ReservedConcurrentExecutions=50)}, 150),
        ("lambda.concurrency", {}, 0),
        ("apigateway.timeout", api_of({"/a": 29_000}), 0),
        ("apigateway.timeout", api_of({"/a": 29_000, "/b": 60_000}), 60_000),
        ("apigateway.resources", api_of(dict.fromkeys(["/v1/a", "/v1/a/{b}/c", "/v1/d"], 1)), 5),
        ("apigateway.resources", {}, 0),
        ("apigateway.rate", {"S": resource("AWS::ApiGateway::Stage", MethodSettings=[{"ThrottlingRateLimit": 7}])}, 7),
        (
            "elasticache.nodes",
            {"C": resource("AWS::ElastiCache::ReplicationGroup", NumNodeGroups=2, ReplicasPerNodeGroup=1)},
            4,
        ),
        ("ebs.gp3-tib", instances("c5.2xlarge", maximum=21), 2),
        ("ec2.standard-vcpus", instances("c5.2xlarge", maximum=10), 80),
        (
            "vpc.interface-endpoints",
            {
                "A": resource("AWS::EC2::VPCEndpoint", VpcEndpointType="Interface"),
                "B": resource("AWS::EC2::VPCEndpoint", VpcEndpointType="Gateway"),
            },
            1,
        ),
        ("cloudformation.stacks", {}, 1),
    ],
)
def test_needs_are_counted_in_the_templates(
    one_stack: OneStack, name: str, resources: dict[str, Any], expected: float
) -> None:
    assert needed(one_stack(**resources), name) == expected


def test_a_table_counts_in_the_regions_of_its_replicas(assemble: Assemble) -> None:
    table = resource("AWS::DynamoDB::GlobalTable", Replicas=[{"Region": "eu-west-1"}, {"Region": "us-west-1"}])
    rollout = assemble({"anfl-prod-global-data": {"region": "us-east-1", "resources": {"Table": table}}})
    assert [needed(rollout, "dynamodb.tables", region) for region in ("eu-west-1", "us-east-1")] == [1, 0]


def test_only_what_is_needed_is_asked_for(unasked: Account, one_stack: OneStack) -> None:
    ids = {check.id for check in quotas.checks(unasked, one_stack())}
    assert ids == {"quota.cloudformation.stacks.us-west-1"}


def _vcpus(recorded: Recorded, one_stack: OneStack, case: str) -> Verdict:
    rollout = one_stack(**instances("c5.2xlarge", maximum=10))
    need = needed(rollout, "ec2.standard-vcpus")
    return quotas.enough(recorded(f"quotas/{case}"), rollout, quota("ec2.standard-vcpus"), region=REGION, need=need)
