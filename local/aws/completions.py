"""What CloudFormation resources declare and moto's own back ends leave out, where something depends on it."""

from collections.abc import Callable, Mapping
from typing import Any

from moto.apigateway.models import RestAPI, apigateway_backends
from moto.awslambda.models import LambdaFunction
from moto.core.common_models import CloudFormationModel
from moto.elbv2.models import FakeLoadBalancer
from moto.s3.models import FakeBucket, PublicAccessBlock

Json = Mapping[str, Any]


def complete(resource: CloudFormationModel, properties: Json) -> None:
    """Give a resource that moto has made the rest of its ``properties``, after intrinsic functions."""
    if found := _COMPLETIONS.get(type(resource)):
        found(resource, properties)


def _bucket(bucket: FakeBucket, properties: Json) -> None:
    bucket.versioning_status = properties.get("VersioningConfiguration", {}).get("Status")
    if blocks := properties.get("PublicAccessBlockConfiguration"):
        names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        bucket.public_access_block = PublicAccessBlock(*(str(blocks.get(name, False)).lower() for name in names))


def _function(function: LambdaFunction, properties: Json) -> None:
    function.ephemeral_storage = properties.get("EphemeralStorage", {}).get("Size", function.ephemeral_storage)
    function.tracing_config = properties.get("TracingConfig", function.tracing_config)
    function.architectures = properties.get("Architectures", function.architectures)


def _balancer(balancer: FakeLoadBalancer, properties: Json) -> None:
    balancer.type = properties.get("Type", balancer.type)
    balancer.attrs |= {given["Key"]: given["Value"] for given in properties.get("LoadBalancerAttributes", [])}


def _api(api: RestAPI, properties: Json) -> None:
    if document := properties.get("Body"):
        backend = apigateway_backends[api.account_id][api.region_name]
        backend.put_rest_api(api.id, document, fail_on_warnings=False, mode="overwrite")


_COMPLETIONS: Mapping[type, Callable[[Any, Json], None]] = {
    FakeBucket: _bucket,
    FakeLoadBalancer: _balancer,
    LambdaFunction: _function,
    RestAPI: _api,
}
