"""The shape of the settings files. Durations are `datetime.timedelta`, percentages floats (5.0 for ``5%``)."""

from enum import StrEnum
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from stacks.units import Duration, Instance, Limit, Network, Percent, Region, between

Count = Annotated[int, Field(ge=1, strict=True)]
Zone = Annotated[str, Field(pattern=r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$")]


class Model(BaseModel):
    """A frozen part of the settings; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Route53(Model):
    """Public hosted zones."""

    zones: tuple[Zone, ...]


class GlobalNetwork(Model):
    """What spans regions."""

    regions: Annotated[tuple[Region, ...], Field(min_length=1)]
    route53: Route53


class Subnets(Model):
    """One network of each kind per availability zone, in the order of the zones."""

    public: Annotated[tuple[Network, ...], Field(min_length=1)]
    private: Annotated[tuple[Network, ...], Field(min_length=1)]


class Vpc(Model):
    """The network of each region."""

    cidr: Network
    subnets: Subnets


class NetworkSettings(Model):
    """``network``"""

    global_: GlobalNetwork = Field(alias="global")
    vpc: Vpc


class ClusterName(StrEnum):
    """ECS clusters; each runs one service."""

    VECTOR_PROCESSING = "vector-processing"
    MODEL_REGISTRY = "model-registry"


class Cluster(Model):
    """One ECS cluster. Sizes are numbers of instances; each instance runs one task."""

    name: ClusterName
    instance_type: Instance
    min_size: Count
    max_size: Count


class Ecs(Model):
    """``compute.ecs``"""

    clusters: tuple[Cluster, ...]

    def cluster(self, name: ClusterName) -> Cluster:
        """The cluster named ``name``; `stacks.checks` has made sure that there is one."""
        return next(cluster for cluster in self.clusters if cluster.name is name)


class FunctionName(StrEnum):
    """Functions whose size is a figure of the architecture."""

    VECTOR_PROCESSING = "vector-processing"
    MODEL_VALIDATION = "model-validation"


class FunctionSize(Model):
    """What a function may use."""

    memory: Annotated[int, Field(ge=128, le=10240, strict=True)]
    """MiB"""
    timeout: Annotated[int, Field(ge=1, le=900, strict=True)]
    """Seconds."""


class NamedFunctionSize(FunctionSize):
    """One entry of ``compute.lambda.functions``."""

    name: FunctionName


class Lambda(Model):
    """``compute.lambda``"""

    functions: tuple[NamedFunctionSize, ...]

    def function(self, name: FunctionName) -> FunctionSize:
        """The function named ``name``; `stacks.checks` has made sure that there is one."""
        return next(function for function in self.functions if function.name is name)


class Compute(Model):
    """``compute``"""

    ecs: Ecs
    lambda_: Lambda = Field(alias="lambda")


class AtRest(Model):
    """Storage encryption."""

    method: Literal["AWS KMS"]
    key_rotation: Annotated[Duration, between("90 days", "2560 days")]


class InTransit(Model):
    """Connections."""

    method: Literal["TLS 1.3"]
    certificate: Literal["ACM"]


class Application(Model):
    """What the application seals itself."""

    method: Literal["Vault Transit"]
    key_type: Literal["AES-256-GCM"]


class Encryption(Model):
    """``encryption``"""

    at_rest: AtRest
    in_transit: InTransit
    application: Application


class AlertName(StrEnum):
    """The four alerts."""

    SERVICE_DOWN = "service_down"
    HIGH_ERROR_RATE = "high_error_rate"
    HIGH_LATENCY = "high_latency"
    RESOURCE_USAGE = "resource_usage"


class Severity(StrEnum):
    """Who must look: somebody now, or somebody today."""

    CRITICAL = "critical"
    WARNING = "warning"


class Alert(Model):
    """Fires when the threshold has been passed for the whole duration."""

    name: AlertName
    threshold: Limit
    duration: Annotated[Duration, between("1m", "1 days")]


class Alerts(Model):
    """``alerts``"""

    critical: tuple[Alert, ...]
    warning: tuple[Alert, ...]

    def alert(self, name: AlertName) -> Alert:
        """The alert named ``name``; `stacks.checks` has made sure that there is one."""
        return next(alert for alert in (*self.critical, *self.warning) if alert.name is name)

    def severity(self, name: AlertName) -> Severity:
        """Under which severity the architecture lists the alert."""
        return Severity.CRITICAL if any(alert.name is name for alert in self.critical) else Severity.WARNING


class ScalingThresholds(Model):
    """Utilisation at which instances are added and taken away."""

    scale_up: Percent
    scale_down: Percent


class Cooldown(Model):
    """Pauses after a change (whole seconds in the files)."""

    scale_up: Duration
    scale_down: Duration


class VectorScaling(Model):
    """How the vector-processing service scales."""

    metrics: tuple[Literal["cpu_utilization", "queue_depth"], ...]
    thresholds: ScalingThresholds
    cooldown: Cooldown


class Scaling(Model):
    """``scaling``"""

    vector_processing: VectorScaling


Retention = Annotated[Duration, between("1 days", "36500 days")]


class DatabaseBackup(Model):
    """Tables and Redis."""

    frequency: Literal["hourly", "daily"]
    retention: Retention
    type: Literal["snapshot"]


class VectorBackup(Model):
    """The vectors bucket."""

    frequency: Literal["hourly", "daily"]
    retention: Retention
    type: Literal["incremental"]


class ConfigurationBackup(Model):
    """What the services are told to serve."""

    frequency: Literal["hourly", "daily"]
    retention: Retention
    type: Literal["full"]


class Backup(Model):
    """``backup``"""

    databases: DatabaseBackup
    vectors: VectorBackup
    configuration: ConfigurationBackup


class RecoveryStep(StrEnum):
    """Steps of the recovery workflow."""

    VALIDATE_BACKUP = "validate_backup"
    RESTORE_INFRASTRUCTURE = "restore_infrastructure"
    VERIFY_DATA = "verify_data"
    UPDATE_DNS = "update_dns"


class Recovery(Model):
    """``recovery``"""

    rto: Duration
    rpo: Duration
    steps: tuple[RecoveryStep, ...]


class Tokens(Model):
    """Access tokens."""

    issuer: Annotated[str, Field(pattern=r"^https://[a-z0-9.-]+$")]
    audience: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    ttl: Annotated[Duration, between("1m", "1 days")]
    authorizer_cache: Annotated[Duration, between("0s", "1h")]
    """How long the gateway keeps the authorizer's answer; zero: not at all."""


PrefixList = Annotated[str, Field(pattern=r"^pl-[0-9a-f]{8,17}$")]


class PrefixLists(Model):
    """AWS's own lists of its services' addresses in a region; their ids are the same in every account."""

    s3: PrefixList
    dynamodb: PrefixList


class Endpoints(Model):
    """How private subnets reach AWS, beside the gateway endpoints for S3 and DynamoDB that every region has."""

    interface: tuple[Annotated[str, Field(pattern=r"^[a-z0-9]+([.-][a-z0-9]+)*$")], ...]
    """Services with an interface endpoint (``sqs``, ``ecr.api``); none at all: AWS is reached over NAT."""
    absent: dict[str, tuple[str, ...]]
    """By availability zone, services for which AWS has no endpoint there."""
    prefix_lists: dict[Region, PrefixLists]


class VaultCluster(Model):
    """The nodes of one region's Vault."""

    nodes: Literal[3, 5]
    """An odd number: most of them must agree."""
    instance_type: Instance
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    """Of the package that HashiCorp signs."""
    image_parameter: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9_.-]+)+$")]
    """SSM parameter of each region that names the image, of Amazon Linux 2023: nodes change when an operator says."""
    volume_gib: Annotated[int, Field(ge=10, le=1000, strict=True)]
    """Of the system and the data; the audit log has a volume of the same size."""
    snapshot_interval: Annotated[Duration, between("5m", "1h")]
    snapshot_retention: Retention


class Vault(Model):
    """HashiCorp Vault, one in each region."""

    address: Annotated[str, Field(pattern=r"^https?://[a-z0-9.{}-]+:\d+$")]
    """``{region}`` stands for the region's name."""
    cluster: VaultCluster | None
    """None: somebody else runs the Vault at ``address``."""

    def host(self, region: Region) -> str:
        """The name under which the region's Vault answers."""
        return urlsplit(self.address.format(region=region)).hostname or ""


class PrivateLink(Model):
    """API Gateway's way to the load balancer."""

    tls_policy: Literal["ELBSecurityPolicy-TLS13-1-3-2021-06", "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"]
    """The second admits TLS 1.2: only where the link's client is proven not to speak 1.3."""


class People(Model):
    """Roles that people assume."""

    session: Annotated[Duration, between("1h", "12h")]
    emergency_session: Annotated[Duration, between("1h", "12h")]


class Firewall(Model):
    """Web ACLs before each region's API and balancer, and before CloudFront."""

    requests_per_address: Annotated[int, Field(ge=10, le=2_000_000_000, strict=True)]
    """In five minutes."""
    counted: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")], ...]
    """Rules of AWS's common rule set that are only counted, because they refuse what the API is for."""


class Api(Model):
    """Limits of the REST API's stage."""

    rate: Count
    """Requests a second, sustained."""
    burst: Count
    timeout: Annotated[Duration, between("1s", "29s")]
    """Of an integration; more than 29 s needs a raised quota."""


class Edge(Model):
    """When a region is left out."""

    probe_interval: Literal[10, 30]
    """Seconds between two probes of a region's name by each of Route 53's checkers."""
    failures: Annotated[int, Field(ge=1, le=10, strict=True)]
    """Failed probes, or minutes without an answer to the watch, in a row."""


class Queues(Model):
    """Message queues."""

    max_receives: Annotated[int, Field(ge=1, le=100, strict=True)]
    """Attempts before a message goes to the dead-letter queue."""
    dead_letter_retention: Annotated[Duration, between("1 days", "14 days")]
    jobs_visibility: Annotated[Duration, between("1m", "12h")]
    """How long the service may work at one job before another task gets it."""
    jobs_per_task: Count
    """Waiting jobs that are a full backlog (100%) for one task, when the service is scaled."""


class Storage(Model):
    """Buckets."""

    noncurrent_retention: Retention
    """How long replaced and deleted versions of objects are kept."""


class Cache(Model):
    """The Valkey cache of a region."""

    node_type: Annotated[str, Field(pattern=r"^cache\.[a-z0-9]+\.[a-z0-9]+$")]
    nodes: Annotated[int, Field(ge=2, le=6, strict=True)]
    """One writes, the others stand by in other zones and answer reads."""


class ExtraFunctions(Model):
    """Functions whose size is no figure of the architecture, and further limits of the others."""

    auth: FunctionSize
    authorizer: FunctionSize
    bucket_replication: FunctionSize
    watch: FunctionSize
    vault_bootstrap: FunctionSize
    model_validation_storage: Annotated[int, Field(ge=512, le=10240, strict=True)]
    """MiB of ephemeral storage."""


class RestoreTest(Model):
    """Backups restored on trial."""

    cron: Annotated[str, Field(pattern=r"^\S+ \S+ \S+ \S+ \S+ \S+$")]
    """When, UTC: minutes, hours, day of month, month, day of week, year."""
    backups_within: Annotated[Duration, between("1 days", "365 days")]
    """How old a backup may be that is tried."""
    keep: Annotated[Duration, between("1h", "168h")]
    """How long what was restored can be looked at."""


LogRetention = Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827]


class Deployment(Model):
    """``deployment``: operational settings that are no figures of the architecture."""

    domain: Zone | None
    """Zone below which the system answers; null: no zones and certificates, the API's own address instead."""
    availability_zones: dict[Region, tuple[str, ...]]
    """In the order of the subnets."""
    nat_gateways: Count
    endpoints: Endpoints
    global_accelerator: bool
    retain_data: bool
    """Tables, buckets, keys and logs survive the deletion of their stack; deletion protection is on."""
    default_tenant: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")] | None
    """Tenant of direct invocations that name none; null: they must name one."""
    log_retention_days: LogRetention
    balancer_logs: bool
    """Whether the balancer notes every request, in a bucket of its own, for as long as other logs are kept."""
    grafana_regions: tuple[Literal[Region.US_EAST_1, Region.EU_WEST_1], ...]
    """Where a Grafana workspace stands, which reads every region; us-west-1 does not have the service."""
    tokens: Tokens
    vault: Vault
    private_link: PrivateLink
    people: People | None
    """None: no roles for people."""
    firewall: Firewall | None
    """None: what a firewall would stand before is open to whatever may reach it."""
    api: Api
    edge: Edge
    queues: Queues
    storage: Storage
    cache: Cache | None
    """None: the environment has none. It holds nothing but hints."""
    functions: ExtraFunctions
    restore_test: RestoreTest | None
    """None: backups are not tried."""


class Settings(Model):
    """Everything the stacks need to know."""

    environment: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{1,11}$")]
    network: NetworkSettings
    compute: Compute
    encryption: Encryption
    alerts: Alerts
    scaling: Scaling
    backup: Backup
    recovery: Recovery
    deployment: Deployment

    @property
    def regions(self) -> tuple[Region, ...]:
        """The regions of this environment."""
        return self.network.global_.regions

    @property
    def primary_region(self) -> Region:
        """Where the global stacks stand: us-east-1, which CloudFront demands, where the environment has it."""
        return Region.US_EAST_1 if Region.US_EAST_1 in self.regions else self.regions[0]

    @property
    def tags(self) -> dict[str, str]:
        """Of every resource."""
        return {"project": "anfl", "environment": self.environment}

    def guardian(self, region: Region) -> Region | None:
        """The region that keeps the copies of ``region``'s backups, watches over it and recovers it: the next one.

        None where it is the only one.
        """
        return self._neighbour(region, 1)

    def ward(self, region: Region) -> Region | None:
        """The region whose guardian is ``region``."""
        return self._neighbour(region, -1)

    def _neighbour(self, region: Region, step: int) -> Region | None:
        regions = self.regions
        found = regions[(regions.index(region) + step) % len(regions)]
        return None if found is region else found

    def name(self, *parts: str) -> str:
        """A physical name: ``anfl-<environment>-<parts>``."""
        return "-".join(("anfl", self.environment, *parts))
