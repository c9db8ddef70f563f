"""What realises ``compute``."""

import re
from collections.abc import Iterator, Mapping

from stacks.figures.inspection import Inspection, Rule, Rules, equals
from stacks.figures.templates import Resource

_SERVICES: Mapping[str, str] = {"vector-processing": "vector-store", "model-registry": "model-registry"}
"""What runs on each cluster."""


def _clusters(look: Inspection) -> Iterator[Resource]:
    return look.in_every_region("service", "AWS::ECS::Cluster", ClusterName=look.name(look.figure.member))


def _cluster_name(look: Inspection) -> None:
    """The cluster, its one service, and the instances that report to it."""
    name = look.name(look.figure.member)
    for cluster in _clusters(look):
        look.show(cluster, "ClusterName", equals(name))
        services = look.templates.referring(cluster, "Cluster", "AWS::ECS::Service")
        for service in services:
            look.show(service, "ServiceName", equals(look.name(_SERVICES[look.figure.member])))
        if not services:
            look.miss(cluster.stack, f"AWS::ECS::Service of {cluster.id}")
    for template in _launch_templates(look):
        told = re.findall(r"(?m)^ECS_CLUSTER=(.*)$", str(template.get("LaunchTemplateData.UserData.Fn::Base64")))
        look.note(template, "UserData: ECS_CLUSTER", ", ".join(told), agrees=told == [name])


def _groups(look: Inspection) -> Iterator[Resource]:
    """The auto scaling groups from which a cluster takes its instances, as the template links them."""
    templates = look.templates
    for cluster in _clusters(look):
        groups = [
            group
            for link in templates.referring(cluster, "Cluster", "AWS::ECS::ClusterCapacityProviderAssociations")
            for provider in templates.referred(link, "CapacityProviders", "AWS::ECS::CapacityProvider")
            for group in templates.referred(provider, "AutoScalingGroupProvider", "AWS::AutoScaling::AutoScalingGroup")
        ]
        if not groups:
            look.miss(cluster.stack, f"AWS::AutoScaling::AutoScalingGroup of {cluster.id}")
        yield from groups


def _launch_templates(look: Inspection) -> Iterator[Resource]:
    for group in _groups(look):
        found = look.templates.referred(group, "LaunchTemplate", "AWS::EC2::LaunchTemplate")
        if not found:
            look.miss(group.stack, f"AWS::EC2::LaunchTemplate of {group.id}")
        yield from found


def _instance_type(look: Inspection) -> None:
    for template in _launch_templates(look):
        look.show(template, "LaunchTemplateData.InstanceType", equals(look.figure.value))


def _size(group_path: str, target_path: str) -> Rule:
    """Of the instances, and of the tasks, of which each instance runs one."""

    def rule(look: Inspection) -> None:
        for group in _groups(look):
            look.show(group, group_path, equals(look.figure.value))
        for cluster in _clusters(look):
            for service in look.templates.referring(cluster, "Cluster", "AWS::ECS::Service"):
                _tasks(look, service, target_path)

    return rule


def _tasks(look: Inspection, service: Resource, path: str) -> None:
    """Of a service that scales its target's figure is the cluster's; the number of another is the least of it."""
    origin = f"service/{look.name(look.figure.member)}/{service.get('ServiceName')}"
    targets = look.templates.of("AWS::ApplicationAutoScaling::ScalableTarget", stack=service.stack, ResourceId=origin)
    for target in targets:
        look.show(target, path, equals(look.figure.value))
    if not targets and path == "MinCapacity":
        look.show(service, "DesiredCount", equals(look.figure.value))


def _function(path: str) -> Rule:
    def rule(look: Inspection) -> None:
        name = look.name(look.figure.member)
        for function in look.in_every_region("service", "AWS::Lambda::Function", FunctionName=name):
            look.show(function, path, equals(name if path == "FunctionName" else look.figure.value))

    return rule


RULES: Rules = {
    "compute.ecs.clusters[].name": _cluster_name,
    "compute.ecs.clusters[].instance_type": _instance_type,
    "compute.ecs.clusters[].min_size": _size("MinSize", "MinCapacity"),
    "compute.ecs.clusters[].max_size": _size("MaxSize", "MaxCapacity"),
    "compute.lambda.functions[].name": _function("FunctionName"),
    "compute.lambda.functions[].memory": _function("MemorySize"),
    "compute.lambda.functions[].timeout": _function("Timeout"),
}
