"""The custom resource that sets the replication rules of a region's buckets (``stacks/replication.py``)."""

from functools import cache
from typing import Any

from anfl import aws, custom_resource, start
from anfl.replication import Replication, mesh

start.begin()


@cache
def _replication() -> Replication:
    return Replication(aws.session().client("s3", config=aws.config()))


def _act(event: custom_resource.Event) -> None:
    wanted = mesh(event["ResourceProperties"])
    if event["RequestType"] == "Delete":
        _replication().remove(sorted(wanted.names))
    else:
        before = mesh(event.get("OldResourceProperties", {})).names
        _replication().apply(wanted, before=sorted(before))


def handler(event: dict[str, Any], _context: object) -> None:
    """Answer one request of CloudFormation."""
    custom_resource.answer(event, _act, physical_id="bucket-replication")
