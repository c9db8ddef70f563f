"""What was deployed to the embedded AWS, after intrinsic functions: the only source of what runs locally."""

from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import msgspec

RESOURCES_PATH = "/_anfl/resources"


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One CloudFormation resource. ``properties`` are resolved: no intrinsic function is left in them."""

    stack: str
    region: str
    logical_id: str
    type: str
    physical_id: str
    properties: dict[str, Any] = {}
    attributes: dict[str, Any] = {}


class DeclarationError(RuntimeError):
    """The deployed resources say something that cannot be run here; the message names the resource."""


class Resources:
    """The deployed resources of one region."""

    def __init__(self, resources: Iterable[Resource], *, region: str) -> None:
        self._resources = tuple(r for r in resources if r.region == region)
        self.region = region

    def of_type(self, kind: str) -> Iterator[Resource]:
        """All resources of a CloudFormation type such as ``AWS::ECS::Service``."""
        return (r for r in self._resources if r.type == kind)

    def only(self, kind: str) -> Resource:
        """The one resource of a type.

        :raises DeclarationError: none, or more than one.
        """
        found = list(self.of_type(kind))
        if len(found) != 1:
            raise DeclarationError(f"{self.region} declares {len(found)} resources of type {kind}; one is needed")
        return found[0]

    def by_id(self, kind: str, identifier: str) -> Resource:
        """The resource that a template refers to by physical id, ARN or name.

        :raises DeclarationError: there is none.
        """
        for resource in self.of_type(kind):
            if identifier == resource.physical_id or identifier in resource.attributes.values():
                return resource
        raise DeclarationError(f"{self.region} declares no {kind} with the id {identifier}")


def fetch(endpoint: str) -> list[Resource]:
    """Everything deployed, in every region, from the embedded AWS at ``endpoint``."""
    response = httpx.get(endpoint + RESOURCES_PATH, timeout=30, trust_env=False)
    response.raise_for_status()
    return msgspec.json.decode(response.content, type=list[Resource])
