"""How much of a region's traffic Global Accelerator sends there.

Its API answers in us-west-2 alone, whichever region the accelerator leads to.
"""

import logging
from collections.abc import Iterator
from typing import Annotated, Any, Protocol

import msgspec

from anfl import aws

API_REGION = "us-west-2"
_FULL = 100.0
_log = logging.getLogger(__name__)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The function's environment."""

    region: str = msgspec.field(name="WATCHED_REGION")
    accelerator: str = msgspec.field(name="ACCELERATOR_ARN")
    listener: str = msgspec.field(name="LISTENER_ARN")


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the function is asked."""

    percentage: Annotated[float, msgspec.Meta(ge=0, le=100)]
    """Of the traffic that would go to the region by itself: 0 drains it, 100 undoes that."""


class Turned(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it."""

    region: str
    registered: bool
    """Whether the accelerator leads to the region at all."""
    percentage: float | None
    """Where the dial stands; None where there is none."""
    deployed: bool
    """Whether every edge of the accelerator knows."""


class NowhereElseError(RuntimeError):
    """No other region takes traffic: nobody would be served."""


class Accelerators(Protocol):
    """Of Global Accelerator."""

    def list_endpoint_groups(self, **parameters: Any) -> Any: ...  # noqa: ANN401

    def update_endpoint_group(self, *, EndpointGroupArn: str, TrafficDialPercentage: float) -> Any: ...  # noqa: ANN401, N803

    def describe_accelerator(self, *, AcceleratorArn: str) -> Any: ...  # noqa: ANN401, N803


class Dial:
    """One region's. Turning it to where it stands changes nothing, so that who waits may ask by turning."""

    def __init__(self, settings: Settings, accelerators: Accelerators) -> None:
        self._settings = settings
        self._accelerators = accelerators

    def turn(self, percentage: float) -> Turned:
        """Set the dial, endpoints left as they are.

        :raises NowhereElseError: it would be zero in every region.
        """
        region = self._settings.region
        groups = {str(group["EndpointGroupRegion"]): group for group in self._groups()}
        own = groups.pop(region, None)
        if own is None:
            return Turned(region=region, registered=False, percentage=None, deployed=True)
        if _stands(own) != percentage:
            if percentage == 0 and not any(_stands(other) > 0 for other in groups.values()):
                raise NowhereElseError(f"{region} cannot be drained: no other region of the accelerator takes traffic")
            self._accelerators.update_endpoint_group(
                EndpointGroupArn=own["EndpointGroupArn"], TrafficDialPercentage=percentage
            )
            _log.info("dial turned", extra={"region": region, "percentage": percentage, "before": _stands(own)})
        return Turned(region=region, registered=True, percentage=percentage, deployed=self._deployed())

    def _groups(self) -> Iterator[dict[str, Any]]:
        following: dict[str, str] = {}
        while True:
            page = self._accelerators.list_endpoint_groups(
                ListenerArn=self._settings.listener, MaxResults=100, **following
            )
            yield from page["EndpointGroups"]
            if not page.get("NextToken"):
                return
            following = {"NextToken": page["NextToken"]}

    def _deployed(self) -> bool:
        found = self._accelerators.describe_accelerator(AcceleratorArn=self._settings.accelerator)
        return bool(found["Accelerator"]["Status"] == "DEPLOYED")


def _stands(group: dict[str, Any]) -> float:
    return float(group.get("TrafficDialPercentage", _FULL))


def build_dial(settings: Settings) -> Dial:
    """A dial behind Global Accelerator's API."""
    client = aws.session().client("globalaccelerator", region_name=API_REGION, config=aws.config(read_timeout=10))
    return Dial(settings, client)
