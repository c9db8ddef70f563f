"""Tables that every region reads and writes."""

from collections.abc import Sequence

from aws_cdk import Stack
from aws_cdk import aws_kms as kms
from constructs import Construct
from constructs.camel import camel
from constructs.class_table import ClassTable
from constructs.global_table import GlobalTable
from constructs.location import here

from anfl.resources import TABLES, engine_class_table
from stacks.base import AnflStack
from stacks.models import Settings


class GlobalData(AnflStack):
    """Every table of `anfl.resources.TABLES` and of a class of vectors, with a replica in each other region."""

    def __init__(self, scope: Construct, *, settings: Settings, key: kms.IKey, replica_keys: Sequence[Stack]) -> None:
        """:param replica_keys: stacks that must stand before a replica can be made."""
        region = settings.primary_region
        name = settings.name("global", "data")
        super().__init__(scope, name, settings=settings, region=region, description="global tables")
        others = {
            other.value: here(self).arn("kms", f"key/{key.key_id}", region=other)
            for other in settings.regions
            if other is not region
        }
        for table in TABLES:
            GlobalTable(
                self,
                table.name.capitalize(),
                name=settings.name(table.name),
                key=key,
                replica_keys=others,
                recoverable=settings.backup.databases.retention,
                retain=self.retain,
                indexed=table.indexed,
                ttl_attribute=table.ttl_attribute,
            )
        for each in settings.deployment.engine_classes:
            ClassTable(
                self,
                f"Class{camel(each.name)}",
                name=engine_class_table(settings.environment, each.name),
                engine_class=each,
                key=key,
                replica_keys=others,
                recoverable=settings.backup.vectors.retention,
                retain=self.retain,
            )
        for stack in replica_keys:
            self.add_stack_dependency(stack, "a replica of a table needs its key")
