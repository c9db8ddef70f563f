"""Whether Route 53 sends anybody to a region."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from aws_cdk import aws_route53 as route53
from constructs import Construct

_CHECK = route53.CfnHealthCheck


class Unknown(StrEnum):
    """What holds while CloudWatch has too little data."""

    HEALTHY = "Healthy"
    LAST_KNOWN = "LastKnownStatus"


@dataclass(frozen=True, kw_only=True)
class Witness:
    """An alarm in another region.

    Route 53 copies it and looks at its metric itself: it must exist, with neither metric math nor percentiles.
    """

    label: str
    alarm_name: str
    region: str
    unknown: Unknown


class RegionHealth(Construct):
    """Healthy while its name takes connections and no witness objects.

    A check over HTTPS is none of it: Route 53's checkers do not speak TLS 1.3.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        name: str,
        host: str,
        port: int,
        interval: int,
        failures: int,
        witnesses: Sequence[Witness],
    ) -> None:
        """:param interval: seconds between two probes of each checker. :param failures: in a row until it fails."""
        super().__init__(scope, id)
        self._name = name
        reachable = self._check(
            "Reachable",
            _CHECK.HealthCheckConfigProperty(
                type="TCP",
                fully_qualified_domain_name=host,
                port=port,
                request_interval=interval,
                failure_threshold=failures,
            ),
        )
        checks = [reachable, *(self._ask(witness) for witness in witnesses)]
        self.id = self._check(
            "All",
            _CHECK.HealthCheckConfigProperty(
                type="CALCULATED", child_health_checks=checks, health_threshold=len(checks)
            ),
        )

    def _ask(self, witness: Witness) -> str:
        return self._check(
            witness.label,
            _CHECK.HealthCheckConfigProperty(
                type="CLOUDWATCH_METRIC",
                alarm_identifier=_CHECK.AlarmIdentifierProperty(name=witness.alarm_name, region=witness.region),
                insufficient_data_health_status=witness.unknown,
            ),
        )

    def _check(self, label: str, configuration: route53.CfnHealthCheck.HealthCheckConfigProperty) -> str:
        name = _CHECK.HealthCheckTagProperty(key="Name", value=f"{self._name}-{label.lower()}")
        check = _CHECK(self, label, health_check_config=configuration, health_check_tags=[name])
        return check.ref
