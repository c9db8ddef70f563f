"""Endpoints of a region's network let through what something inside is allowed to call, and nothing else."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import pytest

from stacks.ceilings import CEILINGS
from tests.infrastructure.conftest import Assembly, Template
from tests.infrastructure.estate import Estate, Item, Place, estate_of
from tests.infrastructure.policies import Statement, statements

WITHOUT_GRANT = {
    "sts:GetCallerIdentity": "whoever logs in to Vault by role signs it, and Vault's nodes make it; STS asks for no "
    "permission",
}
"""What nobody is allowed and must pass all the same, with the reason."""

WITHOUT_ENDPOINT = {
    "elasticache:Connect": "a caller signs it and shows it to Valkey, which asks AWS by itself",
    "iam:PassRole": "S3 asks whether who sets the rules may hand its role over",
}
"""What residents are allowed and call by no endpoint, as patterns, with the reason. Whatever else has none is lost:
there is no other way out.
"""

SIZE = 20_480
"""Characters of an endpoint's policy at most, with white space (AWS PrivateLink: Control access to VPC endpoints)."""

INSIDE = {"ec2.amazonaws.com", "ecs-tasks.amazonaws.com", "lambda.amazonaws.com"}
"""Services whose roles are those of something that may run inside a network."""

Calls = Mapping[str, set[str]]
"""Actions by region."""


def residents(estate: Estate) -> Iterator[Item]:
    """Roles of what runs inside a network: functions in subnets, tasks and who starts them, instances."""
    for function in estate.of("AWS::Lambda::Function"):
        if "VpcConfig" in function.properties:
            yield from estate.mentioned(function, function.properties["Role"])
    for task in estate.of("AWS::ECS::TaskDefinition"):
        yield from estate.mentioned(task, task.properties["TaskRoleArn"])
    for template in estate.of("AWS::EC2::LaunchTemplate"):
        for profile in estate.mentioned(template, template.properties["LaunchTemplateData"]["IamInstanceProfile"]):
            yield from estate.mentioned(profile, profile.properties["Roles"])
    yield from starters(estate)


def starters(estate: Estate) -> Iterator[Item]:
    """Roles by which an instance's agent and Docker start tasks."""
    for task in estate.of("AWS::ECS::TaskDefinition"):
        yield from estate.mentioned(task, task.properties["ExecutionRoleArn"])


def allowed(estate: Estate, who: Iterable[Item]) -> Calls:
    """What the roles of each region may call from inside.

    Not what a service calls in their name, from outside: what a key's grant holds to ``kms:ViaService``, and what
    Lambda needs of a function's role and is denied to the function's own code.
    """
    names = _names(who)
    found: dict[str, set[str]] = defaultdict(set)
    for policy in estate.of("AWS::IAM::Policy"):
        if names & _names(estate.mentioned(policy, policy.properties["Roles"])):
            found[policy.place.region] |= _from_code(_statements(policy))
    return found


def _names(roles: Iterable[Item]) -> set[tuple[str, str]]:
    return {(role.place.name, role.id) for role in roles}


def _from_code(policy: list[Statement]) -> set[str]:
    allows = {a for s in policy if s.allows and "kms:ViaService" not in s.conditions for a in s.actions}
    return allows - {
        a for s in policy if not s.allows and "lambda:SourceFunctionArn" in s.conditions for a in s.actions
    }


def _statements(item: Item) -> list[Statement]:
    return list(statements(Template(item.place.name, {"Resources": {item.id: item.whole}})))


def passing(estate: Estate) -> Mapping[str, Mapping[str, set[str]]]:
    """What identities of the account may call through each endpoint, by region and service.

    Where an endpoint takes no policy, what is known to be called through it.
    """
    found: dict[str, dict[str, set[str]]] = defaultdict(dict)
    for endpoint in estate.of("AWS::EC2::VPCEndpoint"):
        service = endpoint.properties["ServiceName"].split(".", 3)[3]
        own = {a for s in _statements(endpoint) if s.name.startswith("OwnIdentities") for a in s.actions}
        takes_policy = "PolicyDocument" in endpoint.properties
        found[endpoint.place.region][service] = own if takes_policy else set(CEILINGS[service])
    return found


def refused(estate: Estate) -> set[tuple[str, str]]:
    """(region, action) of what residents may call, of a service with an endpoint that does not let it through."""
    ways = passing(estate)
    return {
        (region, action)
        for region, actions in allowed(estate, residents(estate)).items()
        for action in actions - _together(ways[region])
        if _namespace(action) in {_namespace(passes) for passes in _together(ways[region])}
    }


def lost(estate: Estate) -> set[tuple[str, str]]:
    """(region, action) of what residents may call, of a service without an endpoint."""
    ways = passing(estate)
    return {
        (region, action)
        for region, actions in allowed(estate, residents(estate)).items()
        for action in actions
        if _namespace(action) not in {_namespace(passes) for passes in _together(ways[region])}
    }


def idle(estate: Estate) -> set[tuple[str, str]]:
    """(region, action) of what endpoints let through and no resident may call."""
    calls = allowed(estate, residents(estate))
    return {(region, action) for region, ways in passing(estate).items() for action in _together(ways) - calls[region]}


def _together(ways: Mapping[str, set[str]]) -> set[str]:
    return set().union(*ways.values())


def _namespace(action: str) -> str:
    return action.split(":")[0]


@pytest.fixture(scope="module")
def live(prod: Assembly) -> Estate:
    return estate_of("prod", prod)


@pytest.fixture(scope="module", params=["prod", "dev"])
def estate(request: pytest.FixtureRequest) -> Estate:
    return estate_of(request.param, request.getfixturevalue(request.param))


def test_whatever_runs_inside_may_call_what_it_is_allowed(estate: Estate) -> None:
    assert allowed(estate, residents(estate)).keys() == passing(estate).keys()
    above = sorted(refused(estate))
    assert not above, f"list it in CEILINGS of stacks/ceilings.py: {above}"


def test_nothing_passes_that_nobody_inside_is_allowed(live: Estate) -> None:
    useless = idle(live)
    assert useless == {(region, action) for region in passing(live) for action in WITHOUT_GRANT}


def test_whatever_has_no_endpoint_is_listed_with_its_reason(live: Estate) -> None:
    assert all(len(reason) >= 30 for reason in (WITHOUT_ENDPOINT | WITHOUT_GRANT).values())
    found = {action for _, action in lost(live)}
    unlisted = {action for action in found if not any(fnmatchcase(action, pattern) for pattern in WITHOUT_ENDPOINT)}
    assert not unlisted, "it needs an endpoint in environments/prod.yaml"
    for pattern in WITHOUT_ENDPOINT:
        assert any(fnmatchcase(action, pattern) for action in found), f"nobody is allowed {pattern} any more"


def test_images_are_pulled_by_one_endpoint_of_the_registry_and_everything_else_by_the_other(live: Estate) -> None:
    """Docker asks the first with the login of whoever starts a task; others, and the login itself, ask the API."""
    login, ways = {"ecr:GetAuthorizationToken"}, passing(live)

    def registry(who: Iterable[Item]) -> Calls:
        return {
            region: {action for action in actions if _namespace(action) == "ecr"}
            for region, actions in allowed(live, who).items()
        }

    starting = _names(starters(live))
    others = registry(role for role in residents(live) if not _names([role]) & starting)
    for region, actions in registry(starters(live)).items():
        assert ways[region]["ecr.dkr"] == actions - login
        assert ways[region]["ecr.api"] == others[region] | login


def test_every_ceiling_is_an_endpoints(live: Estate) -> None:
    for services in passing(live).values():
        assert services.keys() == CEILINGS.keys()


def test_everybody_who_runs_inside_is_known(estate: Estate) -> None:
    """A role of a service that may run things inside is a resident's, or of a function without subnets."""
    inside = _names(residents(estate))
    outside = {
        (role.place.name, role.id)
        for function in estate.of("AWS::Lambda::Function")
        if "VpcConfig" not in function.properties
        for role in estate.mentioned(function, function.properties["Role"])
    }
    trusted = {
        (role.place.name, role.id)
        for role in estate.of("AWS::IAM::Role")
        if INSIDE & {p for s in _statements(role) for p in s.principals}
    }
    assert trusted == inside | outside
    assert not inside & outside


def test_what_residents_may_do_stands_in_policies_of_their_own(estate: Estate) -> None:
    """`allowed` reads no others."""
    for role in residents(estate):
        assert not {"ManagedPolicyArns", "Policies"} & role.properties.keys(), role.id
    for policy in estate.of("AWS::IAM::ManagedPolicy"):
        assert not policy.properties.get("Roles"), policy.id


def test_a_policy_is_no_longer_than_vpc_takes(estate: Estate) -> None:
    for endpoint in estate.of("AWS::EC2::VPCEndpoint"):
        assert len(json.dumps(endpoint.properties.get("PolicyDocument", {}), indent=2)) <= SIZE, endpoint.id


ALLOW: dict[str, Any] = {"Effect": "Allow", "Resource": "*"}


def _network(*policy: dict[str, Any], passes: list[str], subnets: bool = True) -> Estate:
    """A function with ``policy``, and an endpoint for SQS."""
    own = ALLOW | {"Sid": "OwnIdentities", "Principal": "*", "Action": passes}
    resources = {
        "Function": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                **({"VpcConfig": {"SubnetIds": ["subnet-1"]}} if subnets else {}),
            },
        },
        "Role": {"Type": "AWS::IAM::Role", "Properties": {}},
        "Policy": {
            "Type": "AWS::IAM::Policy",
            "Properties": {"Roles": [{"Ref": "Role"}], "PolicyDocument": {"Statement": list(policy)}},
        },
        "Endpoint": {
            "Type": "AWS::EC2::VPCEndpoint",
            "Properties": {
                "ServiceName": "com.amazonaws.eu-west-1.sqs",
                "PolicyDocument": {"Statement": [own]},
            },
        },
    }
    place = Place(name="network", region="eu-west-1", document={"Resources": resources})
    return Estate(environment="test", places={place.name: place})


def test_a_call_above_the_ceiling_is_found() -> None:
    both = ALLOW | {"Action": ["sqs:ReceiveMessage", "sqs:SendMessage", "acm:ExportCertificate"]}
    assert refused(_network(both, passes=["sqs:SendMessage"])) == {("eu-west-1", "sqs:ReceiveMessage")}
    assert not refused(_network(both, passes=["sqs:ReceiveMessage", "sqs:SendMessage"]))
    assert not refused(_network(both, passes=["sqs:SendMessage"], subnets=False))
    assert lost(_network(both, passes=["sqs:SendMessage"])) == {("eu-west-1", "acm:ExportCertificate")}


def test_a_ceiling_above_every_call_is_found() -> None:
    send = ALLOW | {"Action": "sqs:SendMessage"}
    passes = ["sqs:ReceiveMessage", "sqs:SendMessage"]
    assert idle(_network(send, passes=passes)) == {("eu-west-1", "sqs:ReceiveMessage")}
    assert not idle(_network(send, passes=["sqs:SendMessage"]))
    assert len(idle(_network(send, passes=passes, subnets=False))) == 2


@pytest.mark.parametrize(
    "others",
    [
        [ALLOW | {"Action": "sqs:ReceiveMessage", "Condition": {"StringEquals": {"kms:ViaService": "s3"}}}],
        [
            ALLOW | {"Action": "sqs:ReceiveMessage"},
            {
                "Effect": "Deny",
                "Resource": "*",
                "Action": "sqs:ReceiveMessage",
                "Condition": {"ArnEquals": {"lambda:SourceFunctionArn": "arn"}},
            },
        ],
    ],
    ids=["by another service", "by Lambda"],
)
def test_a_call_that_is_made_from_outside_does_not_count(others: list[dict[str, Any]]) -> None:
    send = ALLOW | {"Action": "sqs:SendMessage"}
    assert not refused(_network(send, *others, passes=["sqs:SendMessage"]))
    passes = ["sqs:ReceiveMessage", "sqs:SendMessage"]
    assert idle(_network(send, *others, passes=passes)) == {("eu-west-1", "sqs:ReceiveMessage")}
