"""Public names below the domain."""

from dataclasses import dataclass

from stacks.units import Region


@dataclass(frozen=True, kw_only=True)
class PublicNames:
    """Where an environment with a domain answers."""

    domain: str
    """Documentation and OpenAPI."""
    zone_id: str
    """Of the public zone that is named as the domain."""

    @property
    def api(self) -> str:
        """The API, in whichever region answers fastest and is healthy."""
        return f"api.{self.domain}"

    def regional_api(self, region: Region) -> str:
        """The API in one region."""
        return f"{region}.{self.api}"

    @property
    def ingest(self) -> str:
        """The accelerated way to the services, without the API's limits on size and time."""
        return f"ingest.{self.domain}"
