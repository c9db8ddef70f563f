"""Deletions that moto leaves out, where something else cannot go, or would seem to stand, without them."""

from typing import Any

from moto.apigateway.models import RestAPI, apigateway_backends
from moto.ec2.models import ec2_backends
from moto.ec2.models.nat_gateways import NatGateway
from moto.ec2.models.route_tables import RouteTable
from moto.ec2.models.vpcs import VPCEndPoint
from moto.elbv2.models import FakeLoadBalancer
from moto.route53.models import FakeZone, HealthCheck, RecordSet, route53_backends

from local.aws.patching import Patch


def apply(patch: Patch) -> None:
    """Let moto's models be deleted with their stacks."""
    delete_balancer = FakeLoadBalancer.delete

    def balancer(self: FakeLoadBalancer, account: str, region: str) -> None:
        if self.attrs.get("deletion_protection.enabled") == "true":
            raise ValueError(f"Load balancer '{self.arn}' cannot be deleted because deletion protection is enabled")
        delete_balancer(self, account, region)

    patch(FakeLoadBalancer, "delete", balancer)
    patch(FakeZone, "delete", _zone)
    patch(HealthCheck, "delete", _health_check)
    patch(RecordSet, "delete", _record)
    patch(RecordSet, "update_from_cloudformation_json", classmethod(_change_record))
    patch(NatGateway, "delete", _nat_gateway)
    patch(RestAPI, "delete", _rest_api)
    patch(RouteTable, "delete", _route_table)
    patch(VPCEndPoint, "delete", _endpoint)


def _health_check(self: HealthCheck, account: str, _region: str) -> None:
    route53_backends[account]["aws"].delete_health_check(self.id)


def _zone(self: FakeZone, account: str, _region: str) -> None:
    route53_backends[account]["aws"].delete_hosted_zone(self.resource_id)


def _record(self: RecordSet, account: str, _region: str) -> None:
    """This one: moto takes every record of its name, those of other regions too."""
    for zone in route53_backends[account]["aws"].zones.values():
        zone.rrsets = [record for record in zone.rrsets if record is not self]


def _change_record(kind: type[RecordSet], /, original_resource: RecordSet, **given: Any) -> RecordSet:  # noqa: ANN401
    _record(original_resource, given["account_id"], given["region_name"])
    made: RecordSet = kind.create_from_cloudformation_json(given.pop("new_resource_name"), **given)
    return made


def _nat_gateway(self: NatGateway, account: str, region: str) -> None:
    ec2_backends[account][region].delete_nat_gateway(self.id)


def _rest_api(self: RestAPI, account: str, region: str) -> None:
    apigateway_backends[account][region].delete_rest_api(self.id)


def _route_table(self: RouteTable, account: str, region: str) -> None:
    self._associations.clear()
    ec2_backends[account][region].route_tables.pop(self.id, None)


def _endpoint(self: VPCEndPoint, account: str, region: str) -> None:
    ec2_backends[account][region].vpc_end_points.pop(self.id, None)
