"""A role of one region may do nothing in another, but for what is listed with its reason."""

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

import pytest

from stacks.layers import layer_of
from tests.infrastructure.conftest import Assembly, Template
from tests.infrastructure.policies import IDENTITIES, Statement, statements

ELSEWHERE = {
    ("replication", "Encrypt*"): "S3 encrypts a replica with the key of the region that it goes to",
    ("replication", "WriteReplicas*"): "S3 writes replicas into the buckets of the other regions",
    ("replication", "*Elsewhere*"): "other regions' copies take the place of what is damaged here",
    ("telemetry", "ReadPrometheus"): "Grafana stands in one region and shows the metrics of all",
    ("recovery", "FindEndpointGroups"): "the accelerator is global; its ARN comes from the stack that made it",
    ("recovery", "SeeAccelerator"): "the accelerator is global; its ARN comes from the stack that made it",
    ("recovery", "TurnDial"): "the accelerator is global; its ARN comes from the stack that made it",
}
"""What roles do outside their own region: layer and pattern over Sids, with the reason. People's reach everywhere."""


def region_of(resource: str) -> str | None:
    """Where something stands that a policy names: by its ARN, a bucket's name, or the stack that says what it is."""
    for pattern in (
        r"arn:aws:[a-z0-9-]+:([a-z0-9-]+|\*):",
        r"arn:aws:s3:::[^/]*-([a-z]{2}-[a-z]+-\d)(?:/|$)",
        r'.*"Region":"([a-z0-9-]+)"',
    ):
        if found := re.match(pattern, resource):
            return found[1]
    return None


def elsewhere(place: str, found: Iterable[Statement]) -> set[tuple[str, str]]:
    """(name, resource) of what identities' policies in the region ``place`` allow in another one, or in any."""
    return {
        (statement.name, resource)
        for statement in found
        if statement.allows and statement.type in IDENTITIES
        for resource in statement.resources
        if region_of(resource) not in {None, place}
    }


def test_what_a_role_does_in_another_region_is_listed_with_its_reason(prod: Assembly) -> None:
    needed = set()
    for stack in prod:
        layer = layer_of(stack.name, "prod")
        if layer == "global-people":
            continue
        for name, resource in elsewhere(prod.region_of(stack.name), statements(stack)):
            entries = {entry for entry in ELSEWHERE if entry[0] == layer and fnmatchcase(name, entry[1])}
            assert entries, f"{stack.name}: {name} names {resource}"
            needed |= entries
    assert needed == ELSEWHERE.keys()


@pytest.mark.parametrize(
    "resource",
    [
        "arn:aws:sqs:us-east-1:<AWS::AccountId>:anfl-prod-jobs",
        "arn:aws:dynamodb:*:<AWS::AccountId>:table/anfl-prod-auth",
        "arn:aws:s3:::anfl-prod-vectors-<AWS::AccountId>-us-east-1/*",
        {"Fn::GetStackOutput": {"StackName": "anfl-prod-global-keys", "Region": "us-east-1", "OutputName": "Key"}},
    ],
)
def test_a_doctored_grant_in_another_region_is_found(resource: object) -> None:
    document = {"Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": resource}}
    policy = {"Type": "AWS::IAM::Policy", "Properties": {"PolicyDocument": document}}
    found = list(statements(Template("doctored", {"Resources": {"Policy": policy}})))
    assert elsewhere("eu-west-1", found)
    assert not elsewhere("us-east-1", found) or "*:" in str(resource)
