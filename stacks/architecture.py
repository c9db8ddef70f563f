"""The shape of architecture.yaml. Durations are `datetime.timedelta`, percentages floats (5.0 for ``5%``)."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from stacks.units import Count, Duration, Instance, Limit, Model, Network, Percent, Region, Retention, Zone, between


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


class DatabaseBackup(Model):
    """Tables and Redis."""

    frequency: Literal["daily"]
    """ElastiCache takes one snapshot a day."""
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
