"""Physical names that more than one stack, or an operator's command, must know. No CDK here: commands start at once."""

from collections.abc import Mapping

from anfl.resources import TABLES, engine_class_table
from stacks.models import Settings
from stacks.units import Region

REPLICATED = ("vectors", "artifacts")
"""Buckets that every region has, each with a replica of the others' objects (`stacks.replication`)."""
COPIES = "copies"
"""The queue by which other regions' copies are asked for, where there are other regions."""
QUEUES = ("jobs", "chunks", "validation", "webhooks", COPIES)
"""Names of all queues."""


def bucket_name(settings: Settings, kind: str, account: str, region: str) -> str:
    """Names of buckets are the world's: account and region make them this environment's own."""
    return settings.name(kind, account, region)


def queues(settings: Settings) -> tuple[str, ...]:
    """Names of each region's queues."""
    return tuple(name for name in QUEUES if name != COPIES or len(settings.regions) > 1)


def drain_parameter(settings: Settings, region: Region) -> str:
    """Name of the SSM parameter, in the guardian of ``region``, that is ``true`` while ``region`` is drained."""
    return f"/anfl/{settings.environment}/drained/{region}"


def state_tables(settings: Settings) -> Mapping[str, str]:
    """The tables of databases and configuration, by what they are called."""
    return {table.name: settings.name(table.name) for table in TABLES}


def class_tables(settings: Settings) -> Mapping[str, str]:
    """The tables of the engine ``dynamodb``, by what they are called. They hold vectors."""
    environment = settings.environment
    return {
        f"class {each.name}": engine_class_table(environment, each.name) for each in settings.deployment.engine_classes
    }


def global_tables(settings: Settings) -> Mapping[str, str]:
    """All tables that have a replica in every region."""
    return {**state_tables(settings), **class_tables(settings)}
