"""What stays behind when stacks go: it is said before, so that nobody is surprised by it, or by its bill."""

from collections.abc import Iterable, Iterator

from operations import stacks
from operations.cloud import Cloud
from operations.stacks import StackResource

_SNAPSHOT = "AWS::ElastiCache::ReplicationGroup"


def of(cloud: Cloud, found: Iterable[stacks.Stack]) -> Iterator[StackResource]:
    """Resources of ``found`` whose deletion policy keeps them, or a snapshot of them.

    :raises OperationError: AWS does not say.
    """
    for stack in found:
        yield from (resource for resource in stacks.resources(cloud, stack) if resource.retained)


def as_row(resource: StackResource) -> dict[str, str]:
    """For a table or JSON."""
    name = f"snapshot of {resource.physical_id}" if resource.kind == _SNAPSHOT else resource.physical_id
    return {"region": resource.stack.region, "type": resource.kind, "name": name, "stack": resource.stack.name}
