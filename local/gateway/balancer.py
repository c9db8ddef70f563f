"""The load balancer's listener rules: which service answers a path."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local.gateway.responses import Answer
from local.gateway.targets import Group, HealthCheck
from local.iam.patterns import wildcard
from local.resolved import DeclarationError, Resource, Resources

ELB = "AWS::ElasticLoadBalancingV2"
Condition = Callable[[str, str], bool]
"""Holds for (method, path)?"""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One listener rule; ``target`` is a target group or a fixed response."""

    conditions: tuple[Condition, ...]
    target: Group | Answer


def html(status: int, phrase: str) -> Answer:
    """An error page as the load balancer words it."""
    title = f"{status} {phrase}"
    page = ["<html>", f"<head><title>{title}</title></head>", "<body>", f"<center><h1>{title}</h1></center>", "</body>"]
    body = "\r\n".join([*page, "</html>", ""])
    return Answer(status=status, headers=[(b"content-type", b"text/html")], body=body.encode())


UNAVAILABLE = html(503, "Service Temporarily Unavailable")
"""No healthy target: what a stopped task leaves behind."""
BAD_GATEWAY = html(502, "Bad Gateway")
"""The target closed the connection before it answered."""


class Balancer:
    """The listener that a VPC link reaches."""

    def __init__(self, rules: list[Rule]) -> None:
        self._rules = rules

    @property
    def groups(self) -> set[Group]:
        """The target groups of its rules."""
        return {rule.target for rule in self._rules if isinstance(rule.target, Group)}

    def choose(self, method: str, path: str) -> Group | Answer:
        """The targets of the service for ``path``, or the listener's own answer."""
        for rule in self._rules:
            if all(holds(method, path) for holds in rule.conditions):
                return rule.target
        return html(404, "Not Found")


def build_balancer(resources: Resources, load_balancer: str, services: Mapping[str, Sequence[str]]) -> Balancer:
    """The rules of the balancer with the ARN ``load_balancer``.

    :param services: container name → base URLs of its running tasks.
    :raises DeclarationError: a rule uses what cannot be served here.
    """
    listeners = [r for r in resources.of_type(f"{ELB}::Listener") if r.properties["LoadBalancerArn"] == load_balancer]
    if len(listeners) != 1:
        raise DeclarationError(f"load balancer {load_balancer} has {len(listeners)} listeners; one is needed")
    listener = listeners[0]
    declared = [r for r in resources.of_type(f"{ELB}::ListenerRule") if _listener_of(r) == listener.physical_id]
    declared.sort(key=lambda rule: int(rule.properties["Priority"]))
    groups = _target_groups(resources, services)
    rules = [
        Rule(
            conditions=tuple(_condition(rule, c) for c in rule.properties["Conditions"]),
            target=_target(rule, rule.properties["Actions"], groups),
        )
        for rule in declared
    ]
    return Balancer(
        [*rules, Rule(conditions=(), target=_target(listener, listener.properties["DefaultActions"], groups))]
    )


def _listener_of(rule: Resource) -> str:
    return str(rule.properties["ListenerArn"])


def _target_groups(resources: Resources, services: Mapping[str, Sequence[str]]) -> dict[str, Group]:
    """Target groups by ARN, by way of the ECS services registered with them."""
    checks = {
        group.physical_id: HealthCheck.declared(group.properties) for group in resources.of_type(f"{ELB}::TargetGroup")
    }
    return {
        (arn := str(balancer["TargetGroupArn"])): Group(services[balancer["ContainerName"]], checks.get(arn))
        for service in resources.of_type("AWS::ECS::Service")
        for balancer in service.properties.get("LoadBalancers", [])
        if balancer["ContainerName"] in services
    }


def _condition(rule: Resource, condition: Mapping[str, Any]) -> Condition:
    kind = condition["Field"]
    if kind == "path-pattern":
        values = condition.get("Values") or condition["PathPatternConfig"]["Values"]
        pattern = re.compile("|".join(f"(?:{wildcard(value)})" for value in values), re.DOTALL)
        return lambda _, path: pattern.fullmatch(path) is not None
    if kind == "http-request-method":
        methods = frozenset(condition.get("Values") or condition["HttpRequestMethodConfig"]["Values"])
        return lambda method, _: method in methods
    raise DeclarationError(f"{rule.logical_id}: a listener condition of the kind {kind} is not served locally")


def _target(owner: Resource, actions: list[dict[str, Any]], groups: Mapping[str, Group]) -> Group | Answer:
    action = actions[-1]
    if action["Type"] == "fixed-response":
        config = action["FixedResponseConfig"]
        return Answer(
            status=int(config["StatusCode"]),
            headers=[(b"content-type", str(config.get("ContentType", "text/plain")).encode())],
            body=str(config.get("MessageBody", "")).encode(),
        )
    if action["Type"] != "forward":
        raise DeclarationError(f"{owner.logical_id}: a listener action {action['Type']} is not served locally")
    group = action.get("TargetGroupArn") or action["ForwardConfig"]["TargetGroups"][0]["TargetGroupArn"]
    return groups.get(group, UNAVAILABLE)
