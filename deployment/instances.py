"""EC2 instances that templates start: how many, of which type, with which volumes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from deployment.rollout import Rollout
from stacks.figures.templates import Resource

_SIZE = re.compile(r"(?P<family>[a-z]+)\d[a-z0-9-]*\.(?:(?P<multiple>\d*)x)?(?P<size>nano|micro|small|medium|large)")
_STANDARD = frozenset("acdhimrtz")
"""First letters of the families that share the quota of standard instances."""


@dataclass(frozen=True, kw_only=True)
class InstanceGroup:
    """One auto scaling group."""

    resource: Resource
    instance_type: str
    minimum: int
    maximum: int
    volume_gib: int
    """Of all volumes of one instance together."""
    detailed_monitoring: bool


def instance_groups(rollout: Rollout, *, region: str | None = None) -> Iterator[InstanceGroup]:
    """The auto scaling groups of the deployment."""
    for group in rollout.of("AWS::AutoScaling::AutoScalingGroup", region=region):
        (template,) = rollout.templates.referred(group, "LaunchTemplate", "AWS::EC2::LaunchTemplate")
        volumes = template.get("LaunchTemplateData.BlockDeviceMappings") or []
        yield InstanceGroup(
            resource=group,
            instance_type=str(template.get("LaunchTemplateData.InstanceType")),
            minimum=int(group.get("MinSize")),
            maximum=int(group.get("MaxSize")),
            volume_gib=sum(int(volume["Ebs"]["VolumeSize"]) for volume in volumes),
            detailed_monitoring=bool(template.get("LaunchTemplateData.Monitoring.Enabled")),
        )


def vcpus(instance_type: str) -> int:
    """Virtual processors of a standard instance type: two up to ``large``, four a multiple of ``xlarge``.

    :raises ValueError: the type counts towards another quota, or is not understood.
    """
    match = _SIZE.fullmatch(instance_type)
    if match is None or match["family"][0] not in _STANDARD:
        raise ValueError(f"{instance_type}: how many standard vCPUs is that?")
    if match["multiple"] is None:
        return 2
    return 4 * int(match["multiple"] or 1)
