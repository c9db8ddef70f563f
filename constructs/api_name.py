"""A public name of a region's API."""

from aws_cdk import aws_apigateway as apigateway
from constructs import Construct
from constructs.rest_api import SECURITY_POLICY


class ApiName(Construct):
    """A regional custom domain name over TLS 1.3 alone, whose root is one stage of a REST API.

    Several regions may have the same name; the records in its zone decide who is sent where.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        name: str,
        certificate_arn: str,
        rest_api_id: str,
        stage: str,
    ) -> None:
        """:param certificate_arn: of the same region, for ``name``."""
        super().__init__(scope, id)
        resource = apigateway.CfnDomainName(
            self,
            "Name",
            domain_name=name,
            regional_certificate_arn=certificate_arn,
            endpoint_configuration=apigateway.CfnDomainName.EndpointConfigurationProperty(types=["REGIONAL"]),
            security_policy=SECURITY_POLICY,
            endpoint_access_mode="STRICT",
        )
        apigateway.CfnBasePathMapping(self, "Root", domain_name=resource.ref, rest_api_id=rest_api_id, stage=stage)
        self.name = name
        self.target = resource.attr_regional_domain_name
        """What a record of ``name`` points to."""
        self.target_zone_id = resource.attr_regional_hosted_zone_id
