"""What is deployed, after intrinsic functions."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from moto.cloudformation import parsing
from moto.cloudformation.models import cloudformation_backends
from moto.core.common_models import CloudFormationModel
from moto.core.models import DEFAULT_ACCOUNT_ID

from local.aws import intrinsics
from local.aws.generic_resource import GenericResource
from local.aws.moto_patches import placeholder

_ATTRIBUTES = (
    "Arn",
    "DNSName",
    "DomainName",
    "FunctionArn",
    "GroupId",
    "Id",
    "KeyId",
    "LatestVersionNumber",
    "ListenerArn",
    "LoadBalancerArn",
    "LoadBalancerFullName",
    "Name",
    "QueueName",
    "QueueUrl",
    "RegionalDomainName",
    "RootResourceId",
    "RuleArn",
    "StreamArn",
    "TableId",
    "TargetGroupArn",
    "TargetGroupFullName",
    "TopicArn",
    "TopicName",
    "VpcId",
)


def deployed() -> Iterator[dict[str, Any]]:
    """Every resource of every stack: ``stack, region, logical_id, type, physical_id, properties, attributes``."""
    for region, backend in list(cloudformation_backends[DEFAULT_ACCOUNT_ID].items()):
        for stack in list(backend.stacks.values()):
            if not stack.status.startswith("DELETE"):
                yield from _of_stack(stack, region)


def placeholders() -> list[str]:
    """The deployed types that nothing stands behind."""
    return sorted({entry["type"] for entry in deployed() if placeholder(entry["type"])})


def _of_stack(stack: Any, region: str) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - moto's Stack
    resources = stack.resource_map
    for logical_id, definition in resources._resource_json_map.items():
        resource = resources._parsed_resources.get(logical_id)
        if resource is None:
            continue  # its condition is false
        yield {
            "stack": stack.name,
            "region": region,
            "logical_id": logical_id,
            "type": definition["Type"],
            "physical_id": intrinsics.physical_id(resource, logical_id),
            "properties": parsing.clean_json(deepcopy(definition.get("Properties", {})), resources),
            "attributes": _attributes(logical_id, resource, resources),
        }


def _attributes(logical_id: str, resource: Any, resources: Any) -> dict[str, Any]:  # noqa: ANN401 - moto's models
    if isinstance(resource, GenericResource):
        return resource.attributes()
    known: dict[str, Any] = {}
    if not isinstance(resource, CloudFormationModel):
        return known
    for name in _ATTRIBUTES:
        if type(resource).has_cfn_attr(name):
            try:
                value = intrinsics.attribute(logical_id, name, resources)
            except Exception:  # noqa: S112 - models that inherit a has_cfn_attr that says yes to everything
                continue
            if isinstance(value, str | int | float):
                known[name] = value
    return known
