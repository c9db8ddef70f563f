"""What a region offers, and the images that are to start there."""

from collections.abc import Callable

import pytest

from deployment.preflight import artefacts, regions
from deployment.preflight.results import Outcome
from deployment.rollout import Rollout
from tests.unit.deployment.conftest import Recorded, resource
from tests.unit.deployment.test_readiness import outcome

REGION = "us-west-1"
SUBNETS = {
    "First": resource("AWS::EC2::Subnet", AvailabilityZone="us-west-1a"),
    "Second": resource("AWS::EC2::Subnet", AvailabilityZone="us-west-1b"),
}
BOTH = [{"Ref": "First"}, {"Ref": "Second"}]
OneStack = Callable[..., Rollout]


def _endpoint(service: str, **properties: object) -> dict[str, object]:
    return resource("AWS::EC2::VPCEndpoint", ServiceName=f"com.amazonaws.{REGION}.{service}", **properties)


@pytest.mark.parametrize(
    ("case", "accelerated", "expected"),
    [
        ("there", True, Outcome.OK),
        ("missing", False, Outcome.FAILED),
        ("impaired", False, Outcome.FAILED),
        ("excluded", True, Outcome.FAILED),
        ("excluded", False, Outcome.OK),
    ],
)
def test_zones(recorded: Recorded, one_stack: OneStack, case: str, accelerated: bool, expected: Outcome) -> None:
    group = {"Group": resource("AWS::GlobalAccelerator::EndpointGroup")} if accelerated else {}
    assert outcome(regions.zones(recorded(f"zones/{case}"), one_stack(**SUBNETS, **group), REGION)) is expected


@pytest.mark.parametrize(("case", "expected"), [("everywhere", Outcome.OK), ("one-zone", Outcome.FAILED)])
def test_instance_types_in_every_zone(recorded: Recorded, one_stack: OneStack, case: str, expected: Outcome) -> None:
    rollout = one_stack(**SUBNETS, **instances("c5.2xlarge", maximum=10))
    assert outcome(regions.instance_types(recorded(f"offerings/{case}"), rollout, REGION)) is expected


@pytest.mark.parametrize(
    ("case", "missing"), [("there", ""), ("one-zone", "sqs in us-west-1b"), ("absent", "sqs at all")]
)
def test_endpoints_in_their_zones(recorded: Recorded, one_stack: OneStack, case: str, missing: str) -> None:
    rollout = one_stack(**SUBNETS, Queues=_endpoint("sqs", SubnetIds=BOTH), Objects=_endpoint("s3"))
    verdict = regions.endpoints(recorded(f"endpoints/{case}"), rollout, REGION)
    assert outcome(verdict) is (Outcome.FAILED if missing else Outcome.OK)
    assert missing in verdict.found


@pytest.mark.parametrize(("case", "expected"), [("right", Outcome.OK), ("wrong", Outcome.FAILED)])
def test_prefix_lists(recorded: Recorded, one_stack: OneStack, case: str, expected: Outcome) -> None:
    assert outcome(regions.prefix_lists(recorded(f"prefixes/{case}"), one_stack(), REGION)) is expected


@pytest.mark.parametrize(
    ("case", "remedy"),
    [("pushed", ""), ("not-pushed", "make images"), ("no-repository", "aws ecr create-repository")],
)
def test_service_images(recorded: Recorded, case: str, remedy: str) -> None:
    verdict = artefacts.service_image(
        recorded(f"images/{case}"), repository="anfl-vector-store", tag="0123456789abcdef0123", region=REGION
    )
    assert outcome(verdict) is (Outcome.FAILED if remedy else Outcome.OK)
    assert remedy in verdict.remedy


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("there", Outcome.OK),
        ("no-parameter", Outcome.FAILED),
        ("unknown", Outcome.FAILED),
        ("invisible", Outcome.FAILED),
        ("arm", Outcome.FAILED),
        ("deregistered", Outcome.FAILED),
        ("other-system", Outcome.FAILED),
    ],
)
def test_the_image_of_vaults_nodes(recorded: Recorded, case: str, expected: Outcome) -> None:
    verdict = artefacts.vault_image(recorded(f"vault/{case}"), parameter="/anfl/prod/vault-image", region=REGION)
    assert outcome(verdict) is expected


def test_an_image_is_found_in_the_task_definition(one_stack: OneStack, recorded: Recorded) -> None:
    image = {
        "Fn::Join": [
            "",
            [{"Ref": "AWS::AccountId"}, ".dkr.ecr.us-west-1.amazonaws.com/anfl-vector-store:0123456789abcdef0123"],
        ]
    }
    task = resource(
        "AWS::ECS::TaskDefinition", ContainerDefinitions=[{"Image": image}, {"Image": "public.ecr.aws/x:1"}]
    )
    (check,) = artefacts.checks(recorded("images/pushed"), one_stack(Task=task))
    assert check.id == "image.anfl-vector-store.us-west-1"
    assert outcome(check.look()) is Outcome.OK


def instances(kind: str, *, maximum: int) -> dict[str, dict[str, object]]:
    """An auto scaling group and its launch template."""
    data = {"InstanceType": kind, "BlockDeviceMappings": [{"Ebs": {"VolumeSize": 50}}], "Monitoring": {"Enabled": True}}
    return {
        "Launch": resource("AWS::EC2::LaunchTemplate", LaunchTemplateData=data),
        "Group": resource(
            "AWS::AutoScaling::AutoScalingGroup",
            MinSize="3",
            MaxSize=str(maximum),
            LaunchTemplate={"LaunchTemplateId": {"Ref": "Launch"}},
        ),
    }
