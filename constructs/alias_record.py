"""A name for something of AWS."""

from typing import Literal

from aws_cdk import aws_route53 as route53
from constructs import Construct


class AliasRecord(route53.CfnRecordSet):
    """Points a name of a zone to an AWS resource; with ``region``, for those whom that region answers fastest."""

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        zone_id: str,
        name: str,
        target: str,
        target_zone_id: str,
        kind: Literal["A", "AAAA"] = "A",
        region: str | None = None,
        health_check_id: str | None = None,
    ) -> None:
        """:param target: the resource's own name. :param health_check_id: while it fails, others answer instead."""
        super().__init__(
            scope,
            id,
            hosted_zone_id=zone_id,
            name=name,
            type=kind,
            region=region,
            set_identifier=region,
            health_check_id=health_check_id,
            alias_target=route53.CfnRecordSet.AliasTargetProperty(
                dns_name=target, hosted_zone_id=target_zone_id, evaluate_target_health=False
            ),
        )
