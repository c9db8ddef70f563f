"""What answers requests in a region: functions, ECS services, balancer, REST API."""

from datetime import timedelta

from aws_cdk import CfnOutput
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_wafv2 as waf
from constructs import Construct
from constructs.container_service import ContainerService
from constructs.encrypted_log_group import EncryptedLogGroup
from constructs.instance_cluster import InstanceCluster
from constructs.internal_balancer import InternalBalancer
from constructs.python_function import PythonFunction
from constructs.region_network import RegionNetwork
from constructs.rest_api import RestApi
from constructs.rest_routes import ApiRoute, BalancerTarget, FunctionTarget
from constructs.secure_bucket import SecureBucket

from anfl.auth.policies import POLICIES_OF
from anfl.auth.rbac import PUBLIC_ROUTES, ROUTES
from anfl.resources import STAGE, Function, Service
from bundling.images import image_for
from stacks.access import Parts
from stacks.base import AnflStack
from stacks.models import ClusterName, FunctionName, FunctionSize, Settings
from stacks.scaling import scale
from stacks.security import SERVICE_PORT, SecurityStack
from stacks.storage import StorageStack
from stacks.units import Region
from stacks.vault import VaultStack

LIVENESS = "/health/live"
READINESS = "/health/ready"
CLUSTERS = {
    Service.VECTOR_STORE: ClusterName.VECTOR_PROCESSING,
    Service.MODEL_REGISTRY: ClusterName.MODEL_REGISTRY,
}
"""Which cluster runs which service."""
PATHS = {
    Service.VECTOR_STORE: ("/v1/collections*", "/v1/aliases*", "/v1/imports*", "/v1/openapi.json"),
    Service.MODEL_REGISTRY: ("/api/2.0/*", "/ajax-api/2.0/*", "/v1/models*"),
}
"""Path patterns of each service, with and without the stage that API Gateway puts before them."""
AUTH_PREFIX = "/v1/auth/"
"""Below it the auth function answers."""


class ServiceStack(AnflStack):
    """One region's services."""

    def __init__(
        self,
        scope: Construct,
        *,
        settings: Settings,
        region: Region,
        network: RegionNetwork,
        security: SecurityStack,
        storage: StorageStack,
        vault: VaultStack | None,
        key_arn: str,
    ) -> None:
        """:param vault: None where somebody else runs it. :param key_arn: the data key in ``region``."""
        name = settings.name(region, "service")
        super().__init__(scope, name, settings=settings, region=region, description="functions, services, API")
        self._network = network
        self._security = security
        self._key = kms.Key.from_key_arn(self, "DataKey", key_arn)
        self._vpc = network.vpc_in(self)
        self._parts = Parts(self, settings=settings, region=region, storage=storage, key=self._key)
        self.functions = {function: self._function(function) for function in Function}
        self._consume(storage)
        self.balancer = self._balancer()
        self._ami_id = ecs.EcsOptimizedImage.amazon_linux2023().get_image(self).image_id
        self.clusters = {service: self._cluster(service) for service in Service}
        self.services = {service: self._service(service) for service in Service}
        self.scaling = scale(
            self,
            cluster=self.clusters[Service.VECTOR_STORE],
            service=self.services[Service.VECTOR_STORE],
            figures=settings.scaling.vector_processing,
        )
        self.access_log = self._log_group("ApiAccess")
        self.api = self._api()
        self._guard()
        if vault:
            self._let_in(vault)
        if security.certificate is None:
            CfnOutput(self, "ApiUrl", value=self.api.url, description="Base address of the region's API")
        CfnOutput(self, "BalancerDnsName", value=self.balancer.balancer.attr_dns_name)

    def _log_group(self, name: str) -> logs.ILogGroup:
        return EncryptedLogGroup(
            self,
            f"{name}Logs",
            key=self._key,
            retention_days=self.settings.deployment.log_retention_days,
            retain=self.retain,
        )

    def _size(self, function: Function) -> FunctionSize:
        sizes, extra = self.settings.compute.lambda_, self.settings.deployment.functions
        return {
            Function.VECTOR_PROCESSING: sizes.function(FunctionName.VECTOR_PROCESSING),
            Function.MODEL_VALIDATION: sizes.function(FunctionName.MODEL_VALIDATION),
            Function.AUTH: extra.auth,
            Function.AUTHORIZER: extra.authorizer,
        }[function]

    def _function(self, function: Function) -> lambda_.Function:
        name = _camel(function)
        extra = self.settings.deployment.functions
        return PythonFunction(
            self,
            f"{name}Function",
            function=function,
            name=self.settings.name(function),
            size=self._size(function),
            environment=self._parts.environment(function),
            statements=self._parts.statements(function),
            vpc=self._vpc,
            security_group=self._security.functions,
            log_group=self._log_group(f"{name}Function"),
            ephemeral_storage=extra.model_validation_storage if function is Function.MODEL_VALIDATION else 512,
        )

    def _consume(self, storage: StorageStack) -> None:
        """A message at a time: a chunk or a model fills a whole invocation."""
        for function, queue in (
            (Function.VECTOR_PROCESSING, storage.chunks.queue),
            (Function.MODEL_VALIDATION, storage.validation.queue),
        ):
            lambda_.EventSourceMapping(
                self,
                f"{_camel(function)}Source",
                target=self.functions[function],
                event_source_arn=queue.queue_arn,
                batch_size=1,
                report_batch_item_failures=True,
            )

    def _balancer(self) -> InternalBalancer:
        certificate = self._security.certificate
        return InternalBalancer(
            self,
            "Balancer",
            name=self.settings.name("internal"),
            vpc_id=self._network.vpc_id,
            subnet_ids=self._network.private_subnet_ids,
            security_group_id=self._security.balancer.security_group_id,
            port=SERVICE_PORT,
            health_path=READINESS,
            paths={
                service: [prefix + path for path in paths for prefix in ("", f"/{STAGE}")]
                for service, paths in PATHS.items()
            },
            certificate_arn=certificate.arn if certificate else None,
            tls_policy=self.settings.deployment.private_link.tls_policy,
            retain=self.retain,
            log_bucket=self._log_bucket() if self.settings.deployment.balancer_logs else None,
        )

    def _log_bucket(self) -> SecureBucket:
        deployment = self.settings.deployment
        return SecureBucket(
            self,
            "BalancerLogs",
            name=self.settings.name("balancer-logs", self.account, self.region),
            key=None,
            noncurrent_retention=deployment.storage.noncurrent_retention,
            expiry=timedelta(days=deployment.log_retention_days),
            retain=self.retain,
        )

    def _cluster(self, service: Service) -> InstanceCluster:
        cluster = self.settings.compute.ecs.cluster(CLUSTERS[service])
        return InstanceCluster(
            self,
            f"{_camel(cluster.name)}Cluster",
            name=self.settings.name(cluster.name),
            cluster=cluster,
            subnet_ids=self._network.private_subnet_ids,
            security_group_id=self._security.instances.security_group_id,
            ami_id=self._ami_id,
            disk_key_arn=self._key.key_arn,
        )

    def _service(self, service: Service) -> ContainerService:
        image = image_for(service)
        name = _camel(service)
        built = ContainerService(
            self,
            f"{name}Service",
            service=service,
            name=self.settings.name(service),
            cluster=self.clusters[service],
            repository=image.repository,
            tag=image.tag,
            port=SERVICE_PORT,
            health_path=LIVENESS,
            environment=self._parts.environment(service),
            statements=self._parts.statements(service),
            subnet_ids=self._network.private_subnet_ids,
            security_group_id=self._security.services.security_group_id,
            target_group_arn=self.balancer.target_groups[service].ref,
            log_group=self._log_group(f"{name}Service"),
            scaled=service is Service.VECTOR_STORE,
        )
        for rule in self.balancer.rules:
            # ECS refuses a target group that no balancer uses yet.
            built.resource.add_resource_dependency(rule)
        return built

    def _api(self) -> RestApi:
        certificate = self._security.certificate
        link = apigatewayv2.CfnVpcLink(
            self,
            "Link",
            name=self.settings.name("internal"),
            subnet_ids=self._network.private_subnet_ids,
            security_group_ids=[self._security.link.security_group_id],
        )
        services = BalancerTarget(
            link_id=link.ref,
            balancer_arn=self.balancer.arn,
            base_url=f"https://{certificate.host}" if certificate else f"http://{self.balancer.balancer.attr_dns_name}",
        )
        auth = FunctionTarget(arn=self.functions[Function.AUTH].function_arn)
        declared = [(route.method, route.path, False) for route in ROUTES]
        declared += [(method, path, True) for method, path in PUBLIC_ROUTES]
        return RestApi(
            self,
            "Api",
            name=self.settings.name("api"),
            stage=STAGE,
            routes=[
                ApiRoute(
                    method=method,
                    path=path,
                    public=public,
                    target=auth if path.startswith(AUTH_PREFIX) else services,
                )
                for method, path, public in declared
            ],
            authorizer=self.functions[Function.AUTHORIZER],
            limits=self.settings.deployment.api,
            tokens=self.settings.deployment.tokens,
            log_group=self.access_log,
            has_names=certificate is not None,
        )

    def _let_in(self, vault: VaultStack) -> None:
        """Tell Vault the roles of all who log in to it."""
        parts: dict[str, iam.IRole | None] = {function: built.role for function, built in self.functions.items()}
        parts |= {service: built.role for service, built in self.services.items()}
        roles = {str(name): role.role_arn for name, role in parts.items() if name in POLICIES_OF and role}
        vault.configure(self, "VaultRoles", roles)

    def _guard(self) -> None:
        """Put the region's firewall before the API and the balancer."""
        firewall = self._security.firewall
        if firewall is None:
            return
        for name, arn in (("Api", self.api.stage_arn), ("Balancer", self.balancer.arn)):
            waf.CfnWebACLAssociation(self, f"{name}Firewall", web_acl_arn=firewall.arn, resource_arn=arn)


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))
