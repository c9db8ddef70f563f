"""Stacks, and which must stand before which."""

from collections.abc import Mapping, Set

from stacks.diagrams.flowchart import Flowchart
from stacks.figures.templates import Templates
from stacks.layers import layer_of


def draw(templates: Templates) -> str:
    """Layers by the regions in which they stand; an arrow leads to what is deployed after."""
    layers: dict[str, list[str]] = {}
    before: dict[str, set[str]] = {}
    for stack, region in templates.regions.items():
        layer = layer_of(stack, templates.environment)
        layers.setdefault(layer, []).append(region)
        earlier = {layer_of(name, templates.environment) for name in templates.dependencies[stack]}
        before.setdefault(layer, set()).update(earlier - {layer})
    chart = Flowchart("LR")
    everywhere = sorted(set(templates.regions.values()))
    with chart.group("global layer"):
        for layer in filter(_is_global, layers):
            chart.node(layer, f"{layer.removeprefix('global-')}\n{', '.join(layers[layer])}")
    with chart.group("each region", f"each region, alone: {', '.join(everywhere)}"):
        for layer in layers:
            if not _is_global(layer) and layer != "replication":
                chart.node(layer)
    if "replication" in layers:
        chart.node("replication", "replication\nonce all regions stand")
    for layer in layers:
        for direct in sorted(before[layer] - _implied(before, layer)):
            chart.edge(direct, layer)
    return str(chart)


def _is_global(layer: str) -> bool:
    return layer.startswith("global-")


def _implied(before: Mapping[str, Set[str]], layer: str) -> set[str]:
    """What ``layer`` comes after only because it comes after something else that does."""

    def all_before(name: str) -> set[str]:
        return set(before[name]).union(*(all_before(earlier) for earlier in before[name]))

    return set().union(*(all_before(earlier) for earlier in before[layer]))
