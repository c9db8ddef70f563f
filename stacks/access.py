"""What each function and service is told and may do: environment variables and permissions, side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aws_cdk import Stack
from constructs import grants
from constructs.camel import camel
from constructs.grants import Access
from constructs.secure_bucket import SecureBucket
from constructs.statements import Statement

from anfl.resources import (
    AUTH,
    CATALOGUE,
    METRICS_NAMESPACE,
    REGISTRY,
    SECRET_WRITES,
    STAGE,
    VERDICT_WRITES,
    AuthPartition,
    CacheUse,
    Function,
    RegistryPartition,
    Service,
    Table,
    Variable,
)
from stacks.architecture import ClusterName, FunctionName
from stacks.models import Settings
from stacks.names import endpoints_as_json
from stacks.physical_names import class_tables
from stacks.storage import StorageStack
from stacks.units import Region

Part = Function | Service


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a part uses."""

    tables: Mapping[Table, Sequence[str]] = field(default_factory=dict)
    """With the actions of DynamoDB on it."""
    held: Mapping[str, Sequence[RegistryPartition]] = field(default_factory=dict)
    """Further actions on the registry's table, each with the partitions that it is held to."""
    auth: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Partitions of the auth table (`AuthPartition`), with those on their items."""
    classes: Sequence[str] = ()
    """Actions of DynamoDB on the table of each class of vectors, beside searches."""
    vectors: Access | None = None
    artifacts: Access | None = None
    sends: Sequence[Variable] = ()
    consumes: Sequence[Variable] = ()
    """Queues that it, or Lambda in its name, takes messages from."""
    delays: bool = False
    """It decides when a message of them comes again that it could not deal with."""
    sees_parts: bool = False
    """It looks which parts of an upload have come that clients send by links."""
    scales: bool = False
    """Counts its own tasks and publishes how far behind they are."""
    calls: Mapping[Variable, Function] = field(default_factory=dict)
    """Functions that it calls, by the variable that names each."""
    cache: Sequence[CacheUse] = ()
    tells: Sequence[Variable] = ()
    """Further variables."""


_ITEMS = ("DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem")
_MODELS = ("BatchGetItem", "BatchWriteItem", "ConditionCheckItem", "DeleteItem", "GetItem", "PutItem", "Query")
_ROWS = ("BatchGetItem", "BatchWriteItem", "ConditionCheckItem", "DeleteItem", "PutItem", "Query")
_VERIFIES: dict[str, Sequence[str]] = {AuthPartition.KEYS: ("Query",), AuthPartition.REVOKED: ("Query",)}
_SEALS: dict[str, Sequence[str]] = {AuthPartition.WRAPPING_KEY: ("GetItem",)}
_TOKENS = (Variable.TOKEN_ISSUER, Variable.TOKEN_AUDIENCE)
_ISSUING = (
    Variable.TOKEN_TTL_SECONDS,
    Variable.TOKEN_SESSION_SECONDS,
    Variable.TOKEN_ISSUERS,
    Variable.TOKEN_THROTTLE_RATE,
    Variable.TOKEN_THROTTLE_BURST,
    Variable.REVOCATIONS_PER_TENANT,
)
_SEALING = (Variable.VAULT_ADDR, Variable.SEALING)
_NODES = (Variable.NODE_HEARTBEAT_SECONDS, Variable.NODE_TIMEOUT_SECONDS)
_LIMITS = (Variable.THROTTLE_RATE, Variable.THROTTLE_BURST)
_CACHE_USERS = {
    CacheUse.DECISIONS: Variable.CACHE_USER,
    CacheUse.HINTS: Variable.CACHE_USER,
    CacheUse.THROTTLE: Variable.CACHE_THROTTLE_USER,
}
_SCALING = (Variable.ECS_CLUSTER, Variable.ECS_SERVICE, Variable.JOBS_PER_TASK)

NEEDS: Mapping[Part, Needs] = {
    Service.VECTOR_STORE: Needs(
        tables={CATALOGUE: _ITEMS},
        auth=_VERIFIES | _SEALS,
        classes=_ROWS,
        vectors=Access.WRITE,
        sees_parts=True,
        sends=(Variable.JOBS_QUEUE_URL, Variable.CHUNKS_QUEUE_URL, Variable.COPIES_QUEUE_URL),
        consumes=(Variable.JOBS_QUEUE_URL,),
        delays=True,
        cache=(CacheUse.HINTS, CacheUse.THROTTLE),
        scales=True,
        tells=(
            *_TOKENS,
            *_SEALING,
            Variable.STAGE_PREFIX,
            Variable.REGION_ENDPOINTS,
            Variable.CHUNKS_MEMORY_MIB,
            *_SCALING,
            *_NODES,
            *_LIMITS,
        ),
    ),
    Service.MODEL_REGISTRY: Needs(
        tables={REGISTRY: _MODELS},
        auth=_VERIFIES | _SEALS,
        artifacts=Access.WRITE,
        sends=(Variable.VALIDATION_QUEUE_URL, Variable.WEBHOOKS_QUEUE_URL),
        cache=(CacheUse.THROTTLE,),
        tells=(
            *_TOKENS,
            Variable.VAULT_ADDR,
            Variable.STAGE_PREFIX,
            Variable.REGION_ENDPOINTS,
            Variable.REGISTRY_HOME,
            Variable.ALIAS_POLICIES,
            *_LIMITS,
        ),
    ),
    Function.VECTOR_PROCESSING: Needs(
        tables={CATALOGUE: _ITEMS},
        auth=_SEALS,
        classes=_ROWS,
        vectors=Access.WRITE,
        sends=(Variable.COPIES_QUEUE_URL,),
        consumes=(Variable.CHUNKS_QUEUE_URL,),
        delays=True,
        tells=(*_SEALING, Variable.DEFAULT_TENANT),
    ),
    Function.MODEL_VALIDATION: Needs(
        tables={REGISTRY: ("BatchGetItem", "ConditionCheckItem", "GetItem", "Query")},
        held={"PutItem": VERDICT_WRITES},
        artifacts=Access.READ,
        consumes=(Variable.VALIDATION_QUEUE_URL,),
        tells=(Variable.VAULT_ADDR, Variable.REGISTRY_HOME, Variable.DEFAULT_TENANT, Variable.PACKAGE_HOSTS),
    ),
    Function.WEBHOOKS: Needs(
        held={"GetItem": (RegistryPartition.WEBHOOKS,)},
        consumes=(Variable.WEBHOOKS_QUEUE_URL,),
        delays=True,
        calls={Variable.WEBHOOK_SIGNER: Function.WEBHOOK_SIGNER},
    ),
    Function.WEBHOOK_SIGNER: Needs(
        tables={REGISTRY: ("BatchGetItem", "GetItem", "Query", "Scan")},
        held={"PutItem": SECRET_WRITES},
        auth=_SEALS,
        tells=(Variable.VAULT_ADDR, Variable.REGISTRY_HOME),
    ),
    Function.AUTH: Needs(
        auth={
            AuthPartition.KEYS: ("Query",),
            AuthPartition.REVOKED: ("GetItem", "PutItem", "Query"),
            AuthPartition.REVOCATIONS: ("Query", "UpdateItem"),
        },
        cache=(CacheUse.THROTTLE,),
        tells=(*_TOKENS, *_ISSUING, Variable.VAULT_ADDR),
    ),
    Function.AUTHORIZER: Needs(auth=_VERIFIES, cache=(CacheUse.DECISIONS,), tells=(*_TOKENS, Variable.VAULT_ADDR)),
}
"""By function and service."""


class Parts:
    """Turns `NEEDS` into environment variables and policy statements of one region."""

    def __init__(
        self, stack: Stack, *, settings: Settings, region: Region, storage: StorageStack, key_arn: str
    ) -> None:
        """:param stack: where the parts stand. :param key_arn: the data key in ``region``."""
        self._stack = stack
        self._settings = settings
        self._storage = storage
        self._key_arn = key_arn
        deployment = settings.deployment
        self._values: dict[Variable, str | None] = {
            Variable.TOKEN_ISSUER: settings.issuer,
            Variable.TOKEN_AUDIENCE: deployment.tokens.audience,
            Variable.TOKEN_TTL_SECONDS: str(int(deployment.tokens.ttl.total_seconds())),
            Variable.TOKEN_SESSION_SECONDS: str(int(deployment.tokens.session.total_seconds())),
            Variable.TOKEN_THROTTLE_RATE: str(deployment.tokens.throttle.rate),
            Variable.TOKEN_THROTTLE_BURST: str(deployment.tokens.throttle.burst),
            Variable.REVOCATIONS_PER_TENANT: str(deployment.tokens.revocations),
            Variable.TOKEN_ISSUERS: deployment.tokens.issuers_as_json(),
            Variable.VAULT_ADDR: settings.vault_address(region),
            Variable.SEALING: str(deployment.sealing).lower(),
            Variable.DEFAULT_TENANT: deployment.default_tenant,
            Variable.STAGE_PREFIX: f"/{STAGE}",
            Variable.REGION_ENDPOINTS: endpoints_as_json(settings.domain, settings.all_regions)
            if settings.domain
            else None,
            Variable.REGISTRY_HOME: settings.registry_home,
            Variable.ALIAS_POLICIES: deployment.registry.policies_as_json(),
            Variable.PACKAGE_HOSTS: deployment.registry.package_hosts_as_json(),
            Variable.ECS_CLUSTER: settings.name(ClusterName.VECTOR_PROCESSING),
            Variable.ECS_SERVICE: settings.name(Service.VECTOR_STORE),
            Variable.CHUNKS_MEMORY_MIB: str(settings.compute.lambda_.function(FunctionName.VECTOR_PROCESSING).memory),
            Variable.JOBS_PER_TASK: str(deployment.queues.jobs_per_task),
            Variable.NODE_HEARTBEAT_SECONDS: str(int(deployment.nodes.heartbeat.total_seconds())),
            Variable.THROTTLE_RATE: str(deployment.throttle.rate),
            Variable.THROTTLE_BURST: str(deployment.throttle.burst),
            Variable.NODE_TIMEOUT_SECONDS: str(int(deployment.nodes.timeout.total_seconds())),
        }
        self._queues = {
            Variable.JOBS_QUEUE_URL: storage.jobs,
            Variable.CHUNKS_QUEUE_URL: storage.chunks,
            Variable.VALIDATION_QUEUE_URL: storage.validation,
            Variable.WEBHOOKS_QUEUE_URL: storage.webhooks,
        }
        if storage.copies is not None:
            self._queues[Variable.COPIES_QUEUE_URL] = storage.copies

    def environment(self, part: Part) -> dict[Variable, str]:
        """The part's variables; one without a value in this environment is left out."""
        needs = NEEDS[part]
        variables = {Variable.ENVIRONMENT: self._settings.environment}
        # Each once, and always in the same order: that of a set would be another one in each synthesis.
        tables = dict.fromkeys([*needs.tables, *([REGISTRY] if needs.held else []), *([AUTH] if needs.auth else [])])
        variables |= {table.variable: self._settings.name(table.name) for table in tables}
        if needs.classes:
            variables[Variable.ENGINE_CLASSES] = self._settings.deployment.classes_as_json()
        for variable, bucket, access in self._buckets(needs):
            if access is not None:
                variables[variable] = bucket.bucket_name
        for variable in {*needs.sends, *needs.consumes} & self._queues.keys():
            variables[variable] = self._queues[variable].queue.queue_url
        variables |= {variable: self._settings.name(function) for variable, function in needs.calls.items()}
        variables |= self._cache(needs.cache)
        variables |= {name: value for name in needs.tells if (value := self._values[name]) is not None}
        return dict(sorted(variables.items()))

    def statements(self, part: Part) -> list[Statement]:
        """Everything the part may do with data. Logging in to Vault takes no permission of AWS."""
        needs = NEEDS[part]
        services: set[str] = set()
        statements: list[Statement] = []
        for table, actions in needs.tables.items():
            services.add("dynamodb")
            statements += grants.table(self._stack, self._settings.name(table.name), actions)
        if needs.held:
            services.add("dynamodb")
            statements += grants.held(self._stack, self._settings.name(REGISTRY.name), needs.held)
        if needs.auth:
            services.add("dynamodb")
            statements += grants.partitions(self._stack, self._settings.name(AUTH.name), needs.auth)
        if needs.classes:
            names = list(class_tables(self._settings).values())
            statements += grants.vector_classes(self._stack, names, needs.classes)
        for variable, bucket, bucket_access in self._buckets(needs):
            if bucket_access is not None:
                services.add("s3")
                label = variable.removesuffix("_BUCKET").capitalize()
                statements += grants.bucket(bucket.fixed_name, label, bucket_access, sees_parts=needs.sees_parts)
        for variable in needs.sends:
            if variable not in self._queues:
                continue
            services.add("sqs")
            statements += grants.send(self._queues[variable].queue, _label(variable))
        for variable in needs.consumes:
            services.add("sqs")
            statements += grants.consume(self._queues[variable].queue, _label(variable), delays=needs.delays)
        for function in needs.calls.values():
            statements += grants.invoke(self._stack, self._settings.name(function), camel(function))
        if needs.scales:
            cluster, service = self._values[Variable.ECS_CLUSTER], self._values[Variable.ECS_SERVICE]
            statements += grants.count_tasks(self._stack, f"{cluster}/{service}")
            statements += grants.publish_metrics(METRICS_NAMESPACE)
        if needs.cache and self._storage.cache:
            statements += self._storage.cache.connect(*needs.cache)
        return [*statements, *grants.data_key(self._stack, self._key_arn, sorted(services))]

    def _cache(self, uses: Sequence[CacheUse]) -> dict[Variable, str]:
        cache = self._storage.cache
        if cache is None or not uses:
            return {}
        return {
            Variable.CACHE_HOST: cache.group.attr_primary_end_point_address,
            Variable.CACHE_PORT: cache.group.attr_primary_end_point_port,
            Variable.CACHE_NAME: cache.group.ref,
            **{_CACHE_USERS[use]: cache.user_name(use) for use in uses},
        }

    def _buckets(self, needs: Needs) -> list[tuple[Variable, SecureBucket, Access | None]]:
        return [
            (Variable.VECTORS_BUCKET, self._storage.vectors, needs.vectors),
            (Variable.ARTIFACTS_BUCKET, self._storage.artifacts, needs.artifacts),
        ]


def _label(variable: Variable) -> str:
    return variable.removesuffix("_QUEUE_URL").capitalize()
