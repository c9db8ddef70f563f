"""Drawings of the architecture, made from the synthesized templates: one module a drawing.

``python -m stacks.diagrams cdk.out docs/aws_architecture.md`` draws those that the page asks for, where it asks.
"""

from collections.abc import Callable, Mapping

from stacks.diagrams import connections, data, network, order, recovery, requests
from stacks.figures.templates import Templates

DIAGRAMS: Mapping[str, Callable[[Templates], str]] = {
    "order": order.draw,
    "network": network.draw,
    "connections": connections.draw,
    "requests": requests.draw,
    "data": data.draw,
    "recovery": recovery.draw,
}
"""By the names under which a page asks for them."""
