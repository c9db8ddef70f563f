"""The shape of environments/: operational settings, which are no figures of the architecture."""

import json
from typing import Annotated, Literal

from pydantic import Field

from anfl.auth.principal import Role
from stacks.architecture import FunctionSize
from stacks.engine_classes import EngineClass
from stacks.units import Count, Duration, Instance, Model, Region, Retention, between


class ExternalIssuer(Model):
    """An OpenID Connect issuer whose tokens are exchanged for ours; it speaks for one tenant."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
    """Stands before the subject of its people's tokens."""
    issuer: Annotated[str, Field(pattern=r"^https://[^\s?#]+$")]
    audience: Annotated[str, Field(min_length=1)]
    keys: Annotated[str, Field(pattern=r"^https://[^\s@#]+$")]
    """Where its keys are (``jwks_uri``): a public host, and no redirect."""
    tenant: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    claim: str = "roles"
    """Of its tokens: a list, or words, that ``roles`` translates."""
    roles: Annotated[dict[str, Role], Field(min_length=1)]
    """Value of the claim → role."""


class Throttle(Model):
    """What each caller, a tenant's subject, may send in a region; above it 429."""

    rate: Count
    """Requests a second, sustained."""
    burst: Count
    """At once, after a while without any; at least ``rate``."""


class Tokens(Model):
    """Access tokens."""

    issuer: Annotated[str, Field(pattern=r"^https://([a-z0-9.-]|\{domain\})+$")]
    """``{domain}`` stands for the domain."""
    audience: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    ttl: Annotated[Duration, between("1m", "1 days")]
    session: Annotated[Duration, between("1m", "7 days")]
    """How long after a login its token can be refreshed, and at most live."""
    authorizer_cache: Annotated[Duration, between("0s", "1h")]
    """How long the gateway keeps the authorizer's answer; zero: not at all."""
    issuers: tuple[ExternalIssuer, ...] = ()
    throttle: Throttle
    """Of calls of ``/v1/auth``."""
    revocations: Annotated[int, Field(ge=100, le=100_000, strict=True)]
    """Live entries of the deny-list that a tenant may have made, half of them for bearers' own logins.

    Every process keeps the list in memory.
    """

    def issuers_as_json(self) -> str:
        """``issuers`` as the auth function reads them."""
        return json.dumps([issuer.model_dump() for issuer in self.issuers], sort_keys=True)


PrefixList = Annotated[str, Field(pattern=r"^pl-[0-9a-f]{8,17}$")]


class PrefixLists(Model):
    """AWS's own lists of its services' addresses in a region; their ids are the same in every account."""

    s3: PrefixList
    dynamodb: PrefixList


class Endpoints(Model):
    """How private subnets reach AWS, beside the gateway endpoints for S3 and DynamoDB that every region has."""

    interface: tuple[Annotated[str, Field(pattern=r"^[a-z0-9]+([.-][a-z0-9]+)*$")], ...]
    """Services with an interface endpoint (``ecr.api``), of `stacks.ceilings`; none at all: AWS is reached over NAT."""
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

    address: Annotated[str, Field(pattern=r"^https?://([a-z0-9.-]|\{(region|domain)\})+:\d+$")]
    """``{region}`` stands for the region's name, ``{domain}`` for the domain."""
    cluster: VaultCluster | None
    """None: somebody else runs the Vault at ``address``."""


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


class Nodes(Model):
    """How tasks of the vector store know one another, to share its collections out among them."""

    heartbeat: Annotated[Duration, between("1s", "1m")]
    """Between two entries of a task in the catalogue table."""
    timeout: Annotated[Duration, between("2s", "5m")]
    """A task without an entry for so long is gone; three heartbeats at least."""


class Storage(Model):
    """Buckets."""

    noncurrent_retention: Retention
    """How long replaced and deleted versions of objects are kept."""


class AliasPolicy(Model):
    """What a version must have before an alias may name it (`anfl.registry.policies`)."""

    require: tuple[Literal["validated", "signed", "approved"], ...]
    approvals: Annotated[int, Field(ge=1, le=5, strict=True)] = 2
    """How many people must approve, where approval is required; who asked does not count."""


PackageHost = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[0-9]{1,5})?$")]


class Registry(Model):
    """The model registry."""

    alias_policies: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,255}$")], AliasPolicy]
    """Of every tenant; a tenant's own may ask for more."""
    home: Region | None = None
    """Where it is written; the other regions read. None: where the global stacks stand."""

    package_hosts: tuple[PackageHost, ...] = ()
    """Hosts whose indexes and files of packages what is installed for a model may name; by name alone otherwise."""

    def package_hosts_as_json(self) -> str | None:
        """``package_hosts`` as inspections read them; None where there are none."""
        return json.dumps(self.package_hosts) if self.package_hosts else None

    def policies_as_json(self) -> str:
        """``alias_policies`` as the service reads them."""
        return json.dumps({alias: policy.model_dump() for alias, policy in self.alias_policies.items()}, sort_keys=True)


class Cache(Model):
    """The Valkey cache of a region."""

    node_type: Annotated[str, Field(pattern=r"^cache\.[a-z0-9]+\.[a-z0-9]+$")]
    nodes: Annotated[int, Field(ge=1, le=6, strict=True)]
    """One writes, the others stand by in other zones and answer reads. A single one that fails is replaced, empty."""


class ExtraFunctions(Model):
    """Functions whose size is no figure of the architecture, and further limits of the others."""

    auth: FunctionSize
    authorizer: FunctionSize
    webhooks: FunctionSize
    webhook_signer: FunctionSize
    bucket_replication: FunctionSize
    watch: FunctionSize
    accelerator_dial: FunctionSize
    vault_bootstrap: FunctionSize
    vault_certificate: FunctionSize
    key_leader: FunctionSize
    key_agent: FunctionSize
    object_copier: FunctionSize
    model_validation_storage: Annotated[int, Field(ge=512, le=10240, strict=True)]
    """MiB of ephemeral storage."""


class Collector(Model):
    """What stands beside each task and writes its measurements to Prometheus."""

    image: Annotated[str, Field(pattern=r"^public\.ecr\.aws/[a-z0-9._/-]+:v\d+\.\d+\.\d+$")]
    """Where it comes from; ``make images`` copies it into the account, as tasks reach no public registry."""
    cpu: Annotated[int, Field(ge=16, le=1024, strict=True)]
    """Units of what a task reserves, 1024 a processor."""
    memory: Annotated[int, Field(ge=64, le=1024, strict=True)]
    """MiB of what a task reserves."""

    @property
    def tag(self) -> str:
        """The version, which the copy bears too."""
        return self.image.rpartition(":")[2]


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

    removed_regions: tuple[Region, ...]
    """Regions of ``network.global.regions`` that this environment has no more: nothing is deployed there."""
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
    """Where a Grafana workspace stands, in regions that the environment has; it reads all of them. us-west-1 does not
    have the service."""
    tokens: Tokens
    vault: Vault
    private_link: PrivateLink
    people: People | None
    """None: no roles for people."""
    firewall: Firewall | None
    """None: what a firewall would stand before is open to whatever may reach it."""
    api: Api
    throttle: Throttle
    sealing: bool
    """Whether collections that are made from now on are sealed under keys that Vault wraps."""
    edge: Edge
    queues: Queues
    nodes: Nodes
    storage: Storage
    registry: Registry
    engine_classes: tuple[EngineClass, ...]
    """None: collections are kept by the engine ``hnsw`` alone."""
    cache: Cache | None
    """None: the environment has none. It holds nothing that would be missed."""
    functions: ExtraFunctions
    collector: Collector
    restore_test: RestoreTest | None
    """None: backups are not tried."""

    def classes_as_json(self) -> str:
        """``engine_classes`` as services and functions read them."""
        classes = [each.model_dump(exclude={"warm_throughput"}) for each in self.engine_classes]
        return json.dumps(classes, sort_keys=True)
