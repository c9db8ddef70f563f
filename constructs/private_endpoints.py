"""A VPC's own ways to AWS: gateway endpoints for S3 and DynamoDB, interface endpoints for what else is called."""

from collections.abc import Mapping, Sequence

from aws_cdk import CfnTag
from aws_cdk import aws_ec2 as ec2
from constructs import Construct
from constructs.camel import camel
from constructs.location import bucket_arn, here
from constructs.statements import ANYBODY, Statement, document

_WITHOUT_POLICY = frozenset({"ecs-agent", "ecs-telemetry"})
"""Their endpoints are not documented to take a policy, and EC2 refuses one where none is taken."""


class PrivateEndpoints(Construct):
    """Endpoints with policies that keep them to this account and what it calls: ceilings, which grant nothing."""

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        name: str,
        vpc_id: str,
        route_tables: Sequence[str],
        services: Sequence[str],
        subnets: Mapping[str, Sequence[str]],
        ceilings: Mapping[str, Sequence[str]],
    ) -> None:
        """:param services: with an interface endpoint, as their names end: ``sqs``, ``ecr.api``.

        :param subnets: of each service's endpoint: at most one a zone.
        :param ceilings: by service, the gateways' too: the actions that pass, of whichever namespace.
        :raises KeyError: a service has no ceiling.
        """
        super().__init__(scope, id)
        self._vpc_id = vpc_id
        self._ceilings = ceilings
        self._tags = [CfnTag(key="Name", value=f"{name}-endpoints")]
        self._gateway("s3", route_tables, [self._own_data("s3"), *self._data_of_aws()])
        self._gateway("dynamodb", route_tables, [self._own_data("dynamodb")])
        self.security_group_id = self._group(name) if services else None
        """Of the interface endpoints, where there are any. It lets nobody in until a peer is named."""
        for service in services:
            self._interface(service, subnets[service])

    def _gateway(self, service: str, route_tables: Sequence[str], statements: list[Statement]) -> None:
        ec2.CfnVPCEndpoint(
            self,
            camel(service),
            vpc_id=self._vpc_id,
            service_name=f"com.amazonaws.{here(self).region}.{service}",
            vpc_endpoint_type="Gateway",
            route_table_ids=list(route_tables),
            policy_document=document(statements),
        )

    def _interface(self, service: str, subnets: Sequence[str]) -> None:
        statements = [] if service in _WITHOUT_POLICY else [self._own_identities(service)]
        ec2.CfnVPCEndpoint(
            self,
            camel(service),
            vpc_id=self._vpc_id,
            service_name=f"com.amazonaws.{here(self).region}.{service}",
            vpc_endpoint_type="Interface",
            private_dns_enabled=True,
            subnet_ids=list(subnets),
            security_group_ids=[self.security_group_id] if self.security_group_id else None,
            policy_document=document(statements) if statements else None,
        )

    def _group(self, name: str) -> str:
        nothing = ec2.CfnSecurityGroup.EgressProperty(
            cidr_ip="255.255.255.255/32",
            ip_protocol="icmp",
            from_port=252,
            to_port=86,
            description="endpoints call nobody",
        )
        group = ec2.CfnSecurityGroup(
            self,
            "Group",
            group_description=f"{name}: endpoints of AWS services",
            vpc_id=self._vpc_id,
            # Without any rule EC2 adds its own, which lets everything out.
            security_group_egress=[nothing],
            tags=self._tags,
        )
        return group.attr_group_id

    def _own_identities(self, service: str) -> Statement:
        """Nobody carries credentials of another account in: what is called with them could carry data out."""
        return self._ceiling("OwnIdentities", service, "aws:PrincipalAccount")

    def _own_data(self, service: str) -> Statement:
        return self._ceiling("OwnIdentitiesOnOwnData", service, "aws:PrincipalAccount", "aws:ResourceAccount")

    def _ceiling(self, sid: str, service: str, *accounts: str) -> Statement:
        """:param accounts: condition keys that must name this account."""
        return Statement(
            sid=sid,
            principal=ANYBODY,
            actions=self._ceilings[service],
            resources=["*"],
            conditions={"StringEquals": dict.fromkeys(accounts, here(self).account)},
        )

    def _data_of_aws(self) -> list[Statement]:
        """Buckets of AWS that are reached by addresses which AWS has signed itself, or by anybody."""
        region = here(self).region.replace("-", "")
        return [
            Statement(
                sid="ImageLayers",
                principal=ANYBODY,
                actions=["s3:GetObject"],
                resources=[bucket_arn(f"prod-{here(self).region}-starport-layer-bucket/*")],
            ),
            Statement(
                sid="SystemPackages",
                principal=ANYBODY,
                actions=["s3:GetObject"],
                resources=[bucket_arn(f"al2023-repos-{here(self).region}-de612dc2/*")],
            ),
            Statement(
                sid="AnswersOfCustomResources",
                principal=ANYBODY,
                actions=["s3:PutObject"],
                resources=[bucket_arn(f"cloudformation-custom-resource-response-{region}/*")],
            ),
        ]
