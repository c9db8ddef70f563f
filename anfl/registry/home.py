"""Where the registry is written: in one region, its home. The others have it as far as it was copied.

DynamoDB's conditions hold in the region that is asked, and of what two regions write under one key the later stays. So
two that register a version at the same moment would both be told its number, and one of them would be lost.
"""

from dataclasses import dataclass
from http import HTTPStatus

import msgspec

from anfl import environment
from anfl.problems import Problem


class _Settings(msgspec.Struct, frozen=True, kw_only=True):
    home: str = msgspec.field(name="REGISTRY_HOME")
    here: str = msgspec.field(name="AWS_REGION")
    endpoints: str = msgspec.field(default="{}", name="REGION_ENDPOINTS")


@dataclass(frozen=True, kw_only=True)
class Home:
    """``region`` is the home, seen from the region ``here``."""

    region: str
    here: str
    endpoint: str | None = None
    """Base URL of its API, if it has a name of its own."""

    @property
    def is_here(self) -> bool:
        """Whether this region writes."""
        return self.region == self.here

    def check(self) -> None:
        """Refuse what changes something.

        :raises Problem: 409 ``written_elsewhere``, with the members ``home`` and ``endpoint``.
        """
        if self.is_here:
            return
        where = self.region if self.endpoint is None else f"{self.region}, at {self.endpoint}"
        told = {"home": self.region} | ({} if self.endpoint is None else {"endpoint": self.endpoint})
        detail = f"The model registry is written in {self.region}, and can only be read here: ask {where}."
        raise Problem(HTTPStatus.CONFLICT, "written_elsewhere", detail, extensions=told)


def home() -> Home:
    """As this process's environment says.

    :raises MissingSettingError: a variable is absent or malformed.
    """
    settings = environment.load(_Settings)
    endpoints = environment.parse("REGION_ENDPOINTS", settings.endpoints, dict[str, str])
    return Home(region=settings.home, here=settings.here, endpoint=endpoints.get(settings.home))
