"""ElastiCache: where a run serves a region's cache, and what is declared of it."""

from collections.abc import Mapping
from typing import Any, ClassVar

from local.aws.generic_resource import GenericResource
from local.cache.declared import GROUP, READ

HOST = "127.0.0.1"


class Declared(GenericResource):
    """Nothing of its own stands behind it: `local.cache` reads what is declared."""


class ReplicationGroup(GenericResource):
    """A cache that `local.cache` serves."""

    ports: ClassVar[Mapping[str, int]] = {}
    """By region."""

    def get_cfn_attribute(self, attribute_name: str) -> Any:  # noqa: ANN401 - as moto declares it
        """The address of its first node is the one where it is served."""
        served = {"PrimaryEndPoint.Address": HOST, "PrimaryEndPoint.Port": str(self.ports[self._region])}
        return served.get(attribute_name) or super().get_cfn_attribute(attribute_name)


def back_ends(ports: Mapping[str, int]) -> dict[str, type[GenericResource]]:
    """CloudFormation types, where caches are served on ``ports``; none where they are not."""
    if not ports:
        return {}
    ReplicationGroup.ports = ports
    return {GROUP: ReplicationGroup, **dict.fromkeys(READ, Declared)}
