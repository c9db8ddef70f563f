"""Stacks as they stand in an account."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from operations.cloud import Cloud, code_of, told
from operations.errors import OperationError

GONE = "DELETE_COMPLETE"
FAILED = frozenset({"CREATE_FAILED", "DELETE_FAILED", "REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"})
"""States in which a stack serves nobody and blocks its next deployment."""
RETAINED = frozenset({"Retain", "RetainExceptOnCreate", "Snapshot"})
"""Deletion policies that leave something behind."""
_POLL_SECONDS = 5.0
_DELETE_SECONDS = 3600.0


@dataclass(frozen=True, kw_only=True)
class Stack:
    """One stack."""

    name: str
    region: str
    status: str
    created: float
    """Seconds since the epoch."""
    protected: bool
    """Whether it refuses to be deleted."""

    @property
    def failed(self) -> bool:
        """Whether it is of no use."""
        return self.status in FAILED

    @property
    def busy(self) -> bool:
        """Whether CloudFormation works at it; a stack under review only waits for somebody."""
        return self.status.endswith("_IN_PROGRESS") and not self.failed


@dataclass(frozen=True, kw_only=True)
class StackResource:
    """One resource of a stack."""

    stack: Stack
    logical_id: str
    kind: str
    physical_id: str
    retained: bool
    """Whether it stays when its stack goes."""


def find(cloud: Cloud, name: str, region: str) -> Stack | None:
    """The stack ``name`` in ``region``; None where it does not exist.

    :raises OperationError: AWS does not say.
    """
    with told(f"The stack {name} in {region}"):
        try:
            answer = cloud.client("cloudformation", region).describe_stacks(StackName=name)
        except ClientError as error:
            if code_of(error) == "ValidationError" and "does not exist" in str(error):
                return None
            raise
    stacks = [_stack(found, region) for found in answer["Stacks"]]
    return next((stack for stack in stacks if stack.status != GONE), None)


def of_environment(cloud: Cloud, environment: str, regions: Iterable[str]) -> list[Stack]:
    """Every stack of the environment: those whose names begin as `stacks.models.Settings.name` makes them.

    :raises OperationError: AWS does not say.
    """
    found = []
    for region in regions:
        with told(f"The stacks in {region}"):
            for page in cloud.client("cloudformation", region).get_paginator("describe_stacks").paginate():
                found += [_stack(stack, region) for stack in page["Stacks"]]
    return [stack for stack in found if stack.name.startswith(f"anfl-{environment}-") and stack.status != GONE]


def resources(cloud: Cloud, stack: Stack) -> list[StackResource]:
    """What stands of ``stack``.

    :raises OperationError: AWS does not say.
    """
    if stack.status == "REVIEW_IN_PROGRESS":  # has no template yet
        return []
    client = cloud.client("cloudformation", stack.region)
    with told(f"The resources of {stack.name} in {stack.region}"):
        policies = _policies(client.get_template(StackName=stack.name)["TemplateBody"])
        return [
            StackResource(
                stack=stack,
                logical_id=found["LogicalResourceId"],
                kind=found["ResourceType"],
                physical_id=found.get("PhysicalResourceId", ""),
                retained=policies.get(found["LogicalResourceId"]) in RETAINED,
            )
            for page in client.get_paginator("list_stack_resources").paginate(StackName=stack.name)
            for found in page["StackResourceSummaries"]
            if found["ResourceStatus"] != GONE
        ]


def unprotect(cloud: Cloud, stack: Stack) -> None:
    """Let ``stack`` be deleted: itself, and load balancers in it, which refuse that too.

    :raises OperationError: AWS refuses.
    """
    with told(f"Deletion protection of {stack.name} in {stack.region}"):
        if stack.protected:
            client = cloud.client("cloudformation", stack.region)
            client.update_termination_protection(StackName=stack.name, EnableTerminationProtection=False)
        for resource in resources(cloud, stack):
            if resource.kind == "AWS::ElasticLoadBalancingV2::LoadBalancer" and resource.physical_id:
                cloud.client("elbv2", stack.region).modify_load_balancer_attributes(
                    LoadBalancerArn=resource.physical_id,
                    Attributes=[{"Key": "deletion_protection.enabled", "Value": "false"}],
                )


def delete(cloud: Cloud, stack: Stack, *, sleep: Callable[[float], object] = time.sleep) -> None:
    """Delete ``stack`` and wait for its end; done already where it is gone.

    :raises OperationError: CloudFormation could not, or not within an hour; says which resources stand against it.
    """
    unprotect(cloud, stack)
    client = cloud.client("cloudformation", stack.region)
    with told(f"Deleting {stack.name} in {stack.region}"):
        client.delete_stack(StackName=stack.name)
    until = time.monotonic() + _DELETE_SECONDS
    while (now := find(cloud, stack.name, stack.region)) is not None:
        if now.status == "DELETE_FAILED":
            raise OperationError(f"{stack.name} in {stack.region} could not be deleted: {_reasons(client, stack.name)}")
        if time.monotonic() > until:
            raise OperationError(f"{stack.name} in {stack.region} is still being deleted: look again later.")
        sleep(_POLL_SECONDS)


def _reasons(client: Any, name: str) -> str:  # noqa: ANN401 - a boto3 client
    events = client.describe_stack_events(StackName=name)["StackEvents"]
    told_by = [
        f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}"
        for event in events
        if event["ResourceStatus"] == "DELETE_FAILED"
    ]
    return "; ".join(told_by[:3]) or "CloudFormation gives no reason"


def _stack(found: Mapping[str, Any], region: str) -> Stack:
    return Stack(
        name=found["StackName"],
        region=region,
        status=found["StackStatus"],
        created=found["CreationTime"].timestamp(),
        protected=bool(found.get("EnableTerminationProtection", False)),
    )


def _policies(template: Mapping[str, Any] | str) -> dict[str, str]:
    """Logical id → deletion policy; the project's templates are JSON."""
    document = json.loads(template) if isinstance(template, str) else template
    return {name: resource.get("DeletionPolicy", "Delete") for name, resource in document.get("Resources", {}).items()}
