"""What realises ``compute``."""

from collections.abc import Iterator

from stacks.figures.inspection import Inspection, Rule, Rules, equals
from stacks.figures.templates import Resource


def _cluster_name(look: Inspection) -> None:
    name = look.name(look.figure.member)
    for cluster in look.in_every_region("service", "AWS::ECS::Cluster", ClusterName=name):
        look.show(cluster, "ClusterName", equals(name))


def _groups(look: Inspection) -> Iterator[Resource]:
    """The auto scaling groups from which a cluster takes its instances, as the template links them."""
    templates = look.templates
    name = look.name(look.figure.member)
    for cluster in look.in_every_region("service", "AWS::ECS::Cluster", ClusterName=name):
        groups = [
            group
            for link in templates.referring(cluster, "Cluster", "AWS::ECS::ClusterCapacityProviderAssociations")
            for provider in templates.referred(link, "CapacityProviders", "AWS::ECS::CapacityProvider")
            for group in templates.referred(provider, "AutoScalingGroupProvider", "AWS::AutoScaling::AutoScalingGroup")
        ]
        if not groups:
            look.miss(cluster.stack, f"AWS::AutoScaling::AutoScalingGroup of {cluster.id}")
        yield from groups


def _instance_type(look: Inspection) -> None:
    for group in _groups(look):
        found = look.templates.referred(group, "LaunchTemplate", "AWS::EC2::LaunchTemplate")
        for template in found:
            look.show(template, "LaunchTemplateData.InstanceType", equals(look.figure.value))
        if not found:
            look.miss(group.stack, f"AWS::EC2::LaunchTemplate of {group.id}")


def _size(path: str) -> Rule:
    def rule(look: Inspection) -> None:
        for group in _groups(look):
            look.show(group, path, equals(look.figure.value))

    return rule


def _function(path: str) -> Rule:
    def rule(look: Inspection) -> None:
        name = look.name(look.figure.member)
        for function in look.in_every_region("service", "AWS::Lambda::Function", FunctionName=name):
            look.show(function, path, equals(name if path == "FunctionName" else look.figure.value))

    return rule


RULES: Rules = {
    "compute.ecs.clusters[].name": _cluster_name,
    "compute.ecs.clusters[].instance_type": _instance_type,
    "compute.ecs.clusters[].min_size": _size("MinSize"),
    "compute.ecs.clusters[].max_size": _size("MaxSize"),
    "compute.lambda.functions[].name": _function("FunctionName"),
    "compute.lambda.functions[].memory": _function("MemorySize"),
    "compute.lambda.functions[].timeout": _function("Timeout"),
}
