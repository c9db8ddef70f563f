"""Physical names that more than one stack, or an operator's command, must know. No CDK here: commands start at once."""

from stacks.models import Settings
from stacks.units import Region

REPLICATED = ("vectors", "artifacts")
"""Buckets that every region has, each with a replica of the others' objects (`stacks.replication`)."""
QUEUES = ("jobs", "chunks", "validation", "webhooks")
"""Names of the queues."""


def bucket_name(settings: Settings, kind: str, account: str, region: str) -> str:
    """Names of buckets are the world's: account and region make them this environment's own."""
    return settings.name(kind, account, region)


def drain_parameter(settings: Settings, region: Region) -> str:
    """Name of the SSM parameter, in the guardian of ``region``, that is ``true`` while ``region`` is drained."""
    return f"/anfl/{settings.environment}/drained/{region}"
