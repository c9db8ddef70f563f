"""What ``Ref``, ``Fn::GetAtt``, ``Fn::GetStackOutput`` and ``{{resolve:ssm:…}}`` give, where moto has no answer."""

import contextlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from moto.cloudformation import parsing
from moto.cloudformation.exceptions import UnformattedGetAttTemplateException, ValidationError
from moto.cloudformation.models import cloudformation_backends
from moto.core.common_models import BaseModel
from moto.ssm.models import ssm_backends

from local.aws.generic_resource import GenericResource

Resolve = Callable[[Any, Any], Any]
"""(template fragment, moto's ResourceMap) → the fragment without intrinsic functions."""
_SSM = re.compile(r"\{\{resolve:ssm:([^}:]+)(?::\d+)?\}\}")
_ATTRIBUTES: Mapping[tuple[str, str], Callable[[Any], Any]] = {
    ("AWS::Logs::LogGroup", "Arn"): lambda group: f"{group.arn}:*",
    ("AWS::Route53::HostedZone", "NameServers"): lambda zone: list(zone.delegation_set.name_servers),
}
"""(type, attribute) → AWS's answer where moto's is another."""


def resolver(original: Resolve) -> Resolve:
    """moto's ``clean_json``, which calls itself by name, with the answers of this module."""

    def resolve(node: Any, resources: Any) -> Any:  # noqa: ANN401 - JSON
        if isinstance(node, str):
            return _SSM.sub(lambda match: _parameter(match[1], resources), node) if "{{resolve:ssm:" in node else node
        if isinstance(node, dict):
            if "Fn::GetStackOutput" in node:
                return _stack_output(resolve(node["Fn::GetStackOutput"], resources), resources)
            if "Fn::GetAtt" in node:
                logical_id, name = node["Fn::GetAtt"]
                return attribute(logical_id, name, resources)
        found = original(node, resources)
        return physical_id(found, node["Ref"]) if isinstance(found, BaseModel) else found

    return resolve


def physical_id(resource: Any, logical_id: str) -> str:  # noqa: ANN401 - any moto model
    """What ``Ref`` gives; also for models that do not say it."""
    return str(getattr(resource, "physical_resource_id", None) or getattr(resource, "id", None) or logical_id)


def attribute(logical_id: str, name: str, resources: Any) -> Any:  # noqa: ANN401 - moto's ResourceMap, JSON
    """``Fn::GetAtt`` as AWS answers it, else as moto does, else as `GenericResource` would."""
    resource = resources[logical_id]
    definition = resources._resource_json_map[logical_id]
    if known := _ATTRIBUTES.get((definition["Type"], name)):
        return known(resource)
    if name.endswith("FullName"):  # of a balancer or target group: the end of its ARN
        return resource.physical_resource_id.rpartition(":")[2].removeprefix("loadbalancer/")
    if hasattr(resource, "get_cfn_attribute"):
        with contextlib.suppress(NotImplementedError, UnformattedGetAttTemplateException):
            return resource.get_cfn_attribute(name)
    return GenericResource(
        kind=definition["Type"],
        logical_id=logical_id,
        stack=resources["AWS::StackName"],
        properties=parsing.clean_json(definition.get("Properties", {}), resources),
        account=resources["AWS::AccountId"],
        region=resources["AWS::Region"],
    ).get_cfn_attribute(name)


def _parameter(name: str, resources: Any) -> str:  # noqa: ANN401 - moto's ResourceMap
    backend = ssm_backends[resources["AWS::AccountId"]][resources["AWS::Region"]]
    found = backend.get_parameter(name)
    if found is None:
        raise ValidationError(message=f"SSM parameter {name} does not exist in {resources['AWS::Region']}")
    return str(found.value)


def _stack_output(arguments: dict[str, str], resources: Any) -> Any:  # noqa: ANN401
    region = arguments.get("Region") or resources["AWS::Region"]
    for stack in cloudformation_backends[resources["AWS::AccountId"]][region].stacks.values():
        if stack.name == arguments["StackName"] and not stack.status.startswith("DELETE"):
            output = dict(stack.output_map).get(arguments["OutputName"])
            if output is not None:
                return output.value
    raise ValidationError(message=f"Stack {arguments['StackName']} in {region} has no output {arguments['OutputName']}")
