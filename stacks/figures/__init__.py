"""How every figure of ``architecture.yaml`` is found in the synthesized templates: one module a section of the file.

Nothing here asks the code that wrote the templates.
"""

from stacks.figures import (
    alerts,
    backup,
    compute,
    encryption_application,
    encryption_at_rest,
    encryption_in_transit,
    network,
    recovery,
    replication,
    scaling,
)
from stacks.figures.inspection import Rules

RULES: Rules = {
    **network.RULES,
    **compute.RULES,
    **encryption_at_rest.RULES,
    **encryption_in_transit.RULES,
    **encryption_application.RULES,
    **alerts.RULES,
    **scaling.RULES,
    **backup.RULES,
    **replication.RULES,
    **recovery.RULES,
}
"""What realises a figure, by the figure's pattern."""
