"""CloudFormation types without a back end: they deploy, answer Ref and GetAtt plausibly, and do nothing."""

import hashlib
from typing import Any

from moto.core.common_models import CloudFormationModel

_REF_IS_ARN = frozenset(
    {
        "AWS::APS::RuleGroupsNamespace",
        "AWS::APS::Workspace",
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        "AWS::CertificateManager::Certificate",
        "AWS::CloudFront::KeyGroup",
        "AWS::GlobalAccelerator::Accelerator",
        "AWS::GlobalAccelerator::EndpointGroup",
        "AWS::GlobalAccelerator::Listener",
        "AWS::SNS::Subscription",
        "AWS::SecretsManager::Secret",
        "AWS::ServiceDiscovery::Service",
    }
)
"""Types whose Ref is an ARN."""
_REF_IS_ID = frozenset(
    {
        "AWS::ApiGateway::Authorizer",
        "AWS::ApiGateway::RequestValidator",
        "AWS::ApiGatewayV2::VpcLink",
        "AWS::CloudFront::CachePolicy",
        "AWS::CloudFront::OriginRequestPolicy",
        "AWS::CloudFront::ResponseHeadersPolicy",
        "AWS::Grafana::Workspace",
    }
)
"""Types whose Ref is an id although they have a name; of every other type it is the name, if there is one."""
_ARN_SERVICES = {
    "ApiGatewayV2": "apigateway",
    "CertificateManager": "acm",
    "ElasticLoadBalancingV2": "elasticloadbalancing",
    "EC2": "ec2",
}
_HOST_ATTRIBUTES = ("Address", "DNSName", "DnsName", "DomainName", "Endpoint", "Url", "URL")
_ID_PREFIXES = {
    "AWS::EC2::SecurityGroupEgress": "sgr-",
    "AWS::EC2::VPCCidrBlock": "vpc-cidr-assoc-",
    "AWS::CloudFront::Distribution": "E",
}


class GenericResource(CloudFormationModel):
    """One resource of any type. Identifiers follow from region, stack and logical id: equal in every run."""

    cf_resource_type: str
    logical_resource_id: str

    def __init__(
        self, *, kind: str, logical_id: str, stack: str, properties: dict[str, Any], account: str, region: str
    ) -> None:
        self.kind = kind
        self.properties = properties
        self._account = account
        self._region = region
        self._service, _, self._short = kind.removeprefix("AWS::").partition("::")
        digest = hashlib.sha256(f"{region}/{stack}/{logical_id}".encode()).hexdigest()
        self.id = _ID_PREFIXES.get(kind, "") + digest[:17]
        self._name = self._declared_name()

    @property
    def physical_resource_id(self) -> str:
        """What Ref gives."""
        if self.kind in _REF_IS_ARN:
            return self.arn
        return self.id if self.kind in _REF_IS_ID else self._name or self.id

    @property
    def arn(self) -> str:
        """An ARN in the type's usual form."""
        service = _ARN_SERVICES.get(self._service, self._service.lower())
        return f"arn:aws:{service}:{self._region}:{self._account}:{self._short.lower()}/{self._name or self.id}"

    def get_cfn_attribute(self, attribute_name: str) -> Any:  # noqa: ANN401 - as moto declares it
        """What ``Fn::GetAtt`` gives."""
        declared = self.properties.get(attribute_name)
        last = attribute_name.rpartition(".")[2]
        if isinstance(declared, str | int):
            return declared
        if last.endswith("Arn"):
            return self.arn
        if last.endswith("Port"):
            return str(self.properties.get("Port", 443))
        if last.endswith(_HOST_ATTRIBUTES):
            return f"{self.id}.{self._service.lower()}.{self._region}.amazonaws.com"
        if last.endswith("Name") and self._name:
            return self._name
        return self.id

    def attributes(self) -> dict[str, Any]:
        """Attributes by which other templates may know it."""
        return {"Arn": self.arn, "Id": self.id}

    def delete(self, *_: object) -> None:
        """Nothing was made, so nothing goes."""

    def _declared_name(self) -> str | None:
        for key in (
            f"{self._short}Name",
            self._short,
            "Name",
            "StageName",
            "DBClusterIdentifier",
            "ReplicationGroupId",
        ):
            value = self.properties.get(key)
            if isinstance(value, str):
                return value
        return None

    @staticmethod
    def cloudformation_name_type() -> str:
        """Names are found in the properties."""
        return ""

    @staticmethod
    def cloudformation_type() -> str:
        """Never looked up: `local.aws.moto_patches` hands the class out."""
        return "ANFL::Generic"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:  # noqa: ARG003 - every attribute
        """Every attribute has an answer."""
        return True

    def is_created(self) -> bool:
        """At once."""
        return True

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,  # noqa: ARG003 - a random name; ours are deterministic
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
        **kwargs: Any,  # noqa: ANN401 - LogicalId, StackId, ResourceType
    ) -> "GenericResource":
        """Called by moto with resolved properties."""
        return cls(
            kind=kwargs["ResourceType"],
            logical_id=kwargs["LogicalId"],
            stack=kwargs["StackId"].split("/")[1],
            properties=cloudformation_json["Properties"],
            account=account_id,
            region=region_name,
        )

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: "GenericResource",
        new_resource_name: str,  # noqa: ARG003
        cloudformation_json: dict[str, Any],
        account_id: str,  # noqa: ARG003
        region_name: str,  # noqa: ARG003
    ) -> "GenericResource":
        """Called by moto with the new properties."""
        original_resource.properties = cloudformation_json["Properties"]
        return original_resource

    @classmethod
    def delete_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str
    ) -> None:
        """Called by moto; nothing was made, so nothing goes."""
