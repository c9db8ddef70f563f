"""Who may open a connection to whom inside a region."""

from collections.abc import Iterator

from stacks.diagrams.flowchart import WORLD, Flowchart
from stacks.figures.templates import Resource, Templates

_GROUP = "AWS::EC2::SecurityGroup"
_INGRESS = "AWS::EC2::SecurityGroupIngress"


def draw(templates: Templates) -> str:
    """Security groups of the first region, and what each admits."""
    region = templates.of("AWS::EC2::VPC")[0].region
    groups = [group for group in templates.of(_GROUP) if group.region == region]
    chart = Flowchart("LR")
    for group in groups:
        chart.node(group.id, str(group.get("GroupDescription")).partition(": ")[2])
    edges = sorted(set(_admitted(templates, groups, region)))
    if any(origin == "anywhere" for origin, _, _ in edges):
        chart.node("anywhere", "clients, by the accelerator", shape=WORLD)
    for source, target, ports in edges:
        chart.edge(source, target, ports)
    return str(chart)


def _admitted(templates: Templates, groups: list[Resource], region: str) -> Iterator[tuple[str, str, str]]:
    """Source, target, port."""
    for rule in (rule for rule in templates.of(_INGRESS) if rule.region == region):
        (target,) = templates.targets(rule, "GroupId")
        peers = [peer.id for peer in templates.targets(rule, "SourceSecurityGroupId")] or ["anywhere"]
        for peer in peers:
            yield peer, target.id, _ports(rule.properties)
    for group in groups:
        for index, rule in enumerate(group.get("SecurityGroupIngress") or []):
            for source in templates.targets(group, f"SecurityGroupIngress.{index}.SourceSecurityGroupId"):
                yield source.id, group.id, _ports(rule)


def _ports(rule: object) -> str:
    first, last = (dict(rule).get(end) for end in ("FromPort", "ToPort")) if isinstance(rule, dict) else (None, None)
    return f"{first}" if first == last else f"{first}–{last}"
