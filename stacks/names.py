"""Public names below the domain."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from stacks.units import Region


def api_name(domain: str) -> str:
    """The API, in whichever region answers fastest and is healthy."""
    return f"api.{domain}"


def regional_api_name(domain: str, region: Region) -> str:
    """The API in one region."""
    return f"{region}.{api_name(domain)}"


def endpoints_as_json(domain: str, regions: Iterable[Region]) -> str:
    """Base URL of each region's API, as services read it; with regions that were removed, so that the others stay."""
    return json.dumps({region: f"https://{regional_api_name(domain, region)}" for region in regions})


@dataclass(frozen=True, kw_only=True)
class PublicNames:
    """Where an environment with a domain answers."""

    domain: str
    """Documentation and OpenAPI."""
    zone_id: str
    """Of the public zone that is named as the domain."""

    @property
    def api(self) -> str:
        """See `api_name`."""
        return api_name(self.domain)

    def regional_api(self, region: Region) -> str:
        """See `regional_api_name`."""
        return regional_api_name(self.domain, region)

    @property
    def ingest(self) -> str:
        """The accelerated way to the services, without the API's limits on size and time."""
        return f"ingest.{self.domain}"
