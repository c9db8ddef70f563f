"""What the settings files come to: the architecture, and how one environment deploys it."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field

from stacks.architecture import Alerts, Backup, Compute, Encryption, NetworkSettings, Recovery, Scaling
from stacks.deployment import Deployment
from stacks.units import Model, Region


class Settings(Model):
    """Everything the stacks need to know."""

    environment: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{1,11}$")]
    network: NetworkSettings
    compute: Compute
    encryption: Encryption
    alerts: Alerts
    scaling: Scaling
    backup: Backup
    recovery: Recovery
    deployment: Deployment

    @property
    def regions(self) -> tuple[Region, ...]:
        """The regions of this environment."""
        return tuple(region for region in self.all_regions if region not in self.deployment.removed_regions)

    @property
    def all_regions(self) -> tuple[Region, ...]:
        """Its regions, and those that were removed from it."""
        return self.network.global_.regions

    @property
    def primary_region(self) -> Region:
        """Where the global stacks stand: us-east-1, which CloudFront demands, where the environment has it.

        It can never be removed (`stacks.checks`).
        """
        return Region.US_EAST_1 if Region.US_EAST_1 in self.all_regions else self.all_regions[0]

    @property
    def registry_home(self) -> Region:
        """The region in which the model registry is written."""
        return self.deployment.registry.home or self.primary_region

    @property
    def domain(self) -> str | None:
        """Zone below which the system answers, the last of the architecture's.

        None: no zones and certificates, the API's own address instead.
        """
        zones = self.network.global_.route53.zones
        return zones[-1] if zones else None

    @property
    def issuer(self) -> str:
        """Of access tokens."""
        return self.deployment.tokens.issuer.format(domain=self.domain)

    def vault_address(self, region: Region) -> str:
        """URL of the region's Vault."""
        return self.deployment.vault.address.format(region=region, domain=self.domain)

    def vault_host(self, region: Region) -> str:
        """The name under which the region's Vault answers."""
        return urlsplit(self.vault_address(region)).hostname or ""

    @property
    def tags(self) -> dict[str, str]:
        """Of every resource."""
        return {"project": "anfl", "environment": self.environment}

    def guardian(self, region: Region) -> Region | None:
        """The region that keeps the copies of ``region``'s backups, watches over it and recovers it: the next one.

        None where it is the only one.
        """
        return self._neighbour(region, 1)

    def ward(self, region: Region) -> Region | None:
        """The region whose guardian is ``region``."""
        return self._neighbour(region, -1)

    def _neighbour(self, region: Region, step: int) -> Region | None:
        regions = self.regions
        found = regions[(regions.index(region) + step) % len(regions)]
        return None if found is region else found

    def name(self, *parts: str) -> str:
        """A physical name: ``anfl-<environment>-<parts>``."""
        return "-".join(("anfl", self.environment, *parts))
