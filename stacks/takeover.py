"""One region takes the place of another: what the workflow of it, and its permissions, name."""

from collections.abc import Iterator
from dataclasses import dataclass

from aws_cdk import Stack
from constructs.location import here

from anfl.resources import Caretaker, Service
from stacks.architecture import Cluster
from stacks.models import Settings
from stacks.physical_names import REPLICATED, drain_parameter, global_tables
from stacks.service_containers import CLUSTERS
from stacks.units import Region


@dataclass(frozen=True, kw_only=True)
class Takeover:
    """``region``, where ``stack`` stands, recovers ``ward``."""

    stack: Stack
    settings: Settings
    region: Region
    ward: Region
    """The region that is lost."""
    vault: str
    """Where ``region`` keeps the copies of its ward's backups."""
    dial_arn: str | None = None
    """Of the function that takes the ward away from the accelerator; None where there is none."""

    @property
    def drain_parameter(self) -> str:
        """Marks the ward as drained."""
        return drain_parameter(self.settings, self.ward)

    @property
    def dial(self) -> str:
        """Name of the function that takes the ward away from the accelerator."""
        return self.settings.name(Caretaker.ACCELERATOR_DIAL)

    @property
    def drained_alarm(self) -> str:
        """Of the watch over the ward, which stands in ``region``."""
        return self.settings.name("drained", self.ward)

    def clusters(self) -> Iterator[tuple[Service, Cluster]]:
        """Each service and the cluster that runs it."""
        for service, cluster in CLUSTERS.items():
            yield service, self.settings.compute.ecs.cluster(cluster)

    def tables(self, region: Region) -> Iterator[tuple[str, str]]:
        """Each table and the ARN of its replica in ``region``."""
        for label, name in global_tables(self.settings).items():
            yield label, here(self.stack).arn("dynamodb", f"table/{name}", region=region)

    def buckets(self, region: Region) -> Iterator[tuple[str, str]]:
        """Each replicated bucket and its name in ``region``."""
        for label in REPLICATED:
            yield label, self.settings.name(label, here(self.stack).account, region)
