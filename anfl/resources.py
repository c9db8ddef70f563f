"""Names that the stacks and the running code must agree on, each written once.

Stacks create the resource and pass its physical name in an environment variable; functions and services read that
variable (`anfl.environment`). Nothing at run time builds a physical name, but those of `engine_class_table`.
"""

from dataclasses import dataclass
from enum import StrEnum


class Variable(StrEnum):
    """Environment variables of functions and services."""

    ENVIRONMENT = "ANFL_ENVIRONMENT"
    CATALOGUE_TABLE = "CATALOGUE_TABLE"
    REGISTRY_TABLE = "REGISTRY_TABLE"
    AUTH_TABLE = "AUTH_TABLE"
    VECTORS_BUCKET = "VECTORS_BUCKET"
    ARTIFACTS_BUCKET = "ARTIFACTS_BUCKET"
    JOBS_QUEUE_URL = "JOBS_QUEUE_URL"
    """Imports, compaction: consumed by the vector-processing service."""
    CHUNKS_QUEUE_URL = "CHUNKS_QUEUE_URL"
    """Single chunks of imports: consumed by the vector-processing function."""
    CHUNKS_MEMORY_MIB = "CHUNKS_MEMORY_MIB"
    """What that function has, by which the service decides what it can take."""
    VALIDATION_QUEUE_URL = "VALIDATION_QUEUE_URL"
    """Model versions to inspect: consumed by the model-validation function."""
    WEBHOOKS_QUEUE_URL = "WEBHOOKS_QUEUE_URL"
    """Events for webhooks: consumed by the function that tells them."""
    WEBHOOK_SIGNER = "WEBHOOK_SIGNER"
    """Name of the function that signs them."""
    COPIES_QUEUE_URL = "COPIES_QUEUE_URL"
    """Damaged objects of which other regions' copies are wanted: consumed by the function that brings them. Absent:
    there is one region."""
    OTHER_BUCKETS = "OTHER_BUCKETS"
    """JSON: the bucket of vectors of each other region, by region."""
    ALIAS_POLICIES = "ALIAS_POLICIES"
    """JSON: what a version must have before an alias may name it, by alias."""
    PACKAGE_HOSTS = "PACKAGE_HOSTS"
    """JSON: hosts whose indexes and files a model's requirements may name. Absent: none."""
    REGISTRY_HOME = "REGISTRY_HOME"
    """The region in which the model registry is written."""
    VAULT_ADDR = "VAULT_ADDR"
    SEALING = "SEALING"
    """``true``: collections that are made are sealed (`anfl.vectors.sealing`)."""
    ENGINE_CLASSES = "ENGINE_CLASSES"
    """JSON: list of `anfl.vectors.dynamodb.classes.EngineClass`. Empty or absent: there is no engine ``dynamodb``."""
    TOKEN_ISSUER = "TOKEN_ISSUER"  # noqa: S105 - the name of a variable
    TOKEN_AUDIENCE = "TOKEN_AUDIENCE"  # noqa: S105 - the name of a variable
    TOKEN_TTL_SECONDS = "TOKEN_TTL_SECONDS"  # noqa: S105 - the name of a variable
    TOKEN_SESSION_SECONDS = "TOKEN_SESSION_SECONDS"  # noqa: S105 - the name of a variable
    """How long after a login its token can be refreshed."""
    TOKEN_ISSUERS = "TOKEN_ISSUERS"  # noqa: S105 - the name of a variable
    """JSON: OpenID Connect issuers whose tokens are exchanged."""
    DEFAULT_TENANT = "DEFAULT_TENANT"
    """Tenant of direct invocations that name none; unset in prod."""
    STAGE_PREFIX = "STAGE_PREFIX"
    """``/<stage>``: API Gateway puts it before the path of a private integration; services take it off."""
    REGION_ENDPOINTS = "REGION_ENDPOINTS"
    """JSON: base URL of each region's API, by region. Empty or absent: they have no names of their own."""
    ECS_CLUSTER = "ECS_CLUSTER"
    ECS_SERVICE = "ECS_SERVICE"
    """Names of the cluster and service as which a service runs, to find out how many of it there are."""
    JOBS_PER_TASK = "JOBS_PER_TASK"
    """Waiting jobs that are a full backlog for one task."""
    NODE_HEARTBEAT_SECONDS = "NODE_HEARTBEAT_SECONDS"
    NODE_TIMEOUT_SECONDS = "NODE_TIMEOUT_SECONDS"
    """How often a node of the vector store says that it is there, and when the others take it for gone."""
    VAULT_SERVER_NAME = "VAULT_SERVER_NAME"
    """Whom the certificates of the region's Vault nodes name."""
    VAULT_CLUSTER = "VAULT_CLUSTER"
    """Tag of the region's Vault nodes (`VAULT_TAG`)."""
    VAULT_NODES = "VAULT_NODES"
    """How many there are."""
    VAULT_RECOVERY_SECRET = "VAULT_RECOVERY_SECRET"  # noqa: S105 - the name of a variable
    VAULT_CERTIFICATE_ARN = "VAULT_CERTIFICATE_ARN"
    VAULT_CERTIFICATE_SECRET = "VAULT_CERTIFICATE_SECRET"  # noqa: S105 - the name of a variable
    """Of the certificate, and of the secret from which Vault's nodes take it."""
    VAULT_WIPE_DOCUMENT = "VAULT_WIPE_DOCUMENT"
    """SSM document that empties a node."""
    WRAPPING_KEY_ARN = "WRAPPING_KEY_ARN"
    """Of the KMS key, in the region itself, that wraps material of wrapping keys."""
    ROTATION_SECONDS = "ROTATION_SECONDS"
    """How old a version of the wrapping key may be before the next one is begun."""
    TRANSIT_KEY_TYPE = "TRANSIT_KEY_TYPE"
    """What Vault calls the kind of the wrapping key."""
    WATCHED_REGION = "WATCHED_REGION"
    WATCHED_HOST = "WATCHED_HOST"
    """Name under which the watched region's API answers."""
    DRAINED_PARAMETER = "DRAINED_PARAMETER"
    """SSM parameter that is ``true`` while the watched region is drained."""
    CACHE_HOST = "CACHE_HOST"
    CACHE_PORT = "CACHE_PORT"
    CACHE_NAME = "CACHE_NAME"
    """Of the replication group, which the password of an IAM identity names."""
    CACHE_USER = "CACHE_USER"
    CACHE_THROTTLE_USER = "CACHE_THROTTLE_USER"
    """As whom a service spends from the region's buckets (`CacheUse.THROTTLE`)."""
    THROTTLE_RATE = "THROTTLE_RATE"
    THROTTLE_BURST = "THROTTLE_BURST"
    """Requests a second of one caller, and at once."""
    TOKEN_THROTTLE_RATE = "TOKEN_THROTTLE_RATE"  # noqa: S105 - a number
    TOKEN_THROTTLE_BURST = "TOKEN_THROTTLE_BURST"  # noqa: S105 - a number
    """The same for the function `auth`."""
    REVOCATIONS_PER_TENANT = "REVOCATIONS_PER_TENANT"
    """How many live entries of the deny-list a tenant may have made."""
    ACCELERATOR_ARN = "ACCELERATOR_ARN"
    LISTENER_ARN = "LISTENER_ARN"
    """Of Global Accelerator; the region that its function takes away or brings back is `WATCHED_REGION`."""
    PORT = "PORT"
    """TCP port on which a service listens."""
    METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
    """Where the processes of a service keep what they measure; the name is the Prometheus library's."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A DynamoDB global table: string keys ``pk`` and ``sk``, and optionally an index over ``gsi1pk``/``gsi1sk``."""

    name: str
    """Physical name is ``anfl-<environment>-<name>``."""
    variable: Variable
    indexed: bool = False
    ttl_attribute: str | None = None


PARTITION_KEY = "pk"
SORT_KEY = "sk"
INDEX = "gsi1"
INDEX_PARTITION_KEY = "gsi1pk"
INDEX_SORT_KEY = "gsi1sk"

CATALOGUE = Table(name="catalogue", variable=Variable.CATALOGUE_TABLE, ttl_attribute="expires_at")
"""Collections, aliases and imports of the vector store; imports alone expire."""
REGISTRY = Table(name="registry", variable=Variable.REGISTRY_TABLE, indexed=True)
"""Registered models, versions, aliases, verdicts."""
AUTH = Table(name="auth", variable=Variable.AUTH_TABLE, ttl_attribute="expires_at")
"""Public keys of every region, the deny-list of revoked tokens, versions of the wrapping key (`AuthPartition`)."""

TABLES = (CATALOGUE, REGISTRY, AUTH)


class AuthPartition(StrEnum):
    """Partition keys of the auth table; each role is granted those that it needs, and no others."""

    KEYS = "jwks"
    """Public keys of every region."""
    REVOKED = "revoked"
    """The deny-list of revoked logins."""
    REVOCATIONS = "revocations"
    """How many each tenant has put there (`anfl.auth.revocation_counts`)."""
    WRAPPING_KEY = "wrapping-key"
    """Versions of the wrapping key, and who holds them (`anfl.crypto.wrapping_versions`)."""


class RegistryPartition(StrEnum):
    """Partition keys of the registry's table (`anfl.registry.keys`) as patterns over all tenants, where some function
    is granted no others."""

    MODELS = "*#models"
    """Models' records."""
    OF_MODELS = "*#model#*"
    """What belongs to one: verdicts are there."""
    VERSIONS = "*#versions"
    AUDIT = "*#audit#*"
    CHAINS = "*#chains"
    """Whose the chains of the audit are, and the tenant's own end."""
    WEBHOOKS = "*#webhooks"
    DATA_KEYS = "#data-keys"


VERDICT_WRITES = (
    RegistryPartition.MODELS,
    RegistryPartition.OF_MODELS,
    RegistryPartition.VERSIONS,
    RegistryPartition.AUDIT,
)
"""Where a verdict is written, in one transaction that checks the version's record."""
SECRET_WRITES = (
    RegistryPartition.WEBHOOKS,
    RegistryPartition.AUDIT,
    RegistryPartition.CHAINS,
    RegistryPartition.DATA_KEYS,
)
"""Where sealing secrets of webhooks, and moving their keys, writes."""


def engine_class_table(environment: str, class_name: str) -> str:
    """Physical name of the table of a class of the engine ``dynamodb``.

    There is one for each class of `Variable.ENGINE_CLASSES`, so that a variable each would say nothing more.
    """
    return f"anfl-{environment}-class-{class_name}"


VECTOR_INDEX = "nearest"
"""The vector index of such a table."""
VECTOR_PARTITION_KEY, VECTOR, VECTOR_TTL = "h", "v", "expires"
"""Attributes of its items: the index's partition key, the vector, and by which DynamoDB deletes what has expired."""
VECTOR_PROJECTED = ("m", "ver", "expires_at")
"""What a search finds of an item beside its keys and slots (`anfl.vectors.dynamodb.items`)."""
DISTANCE_FUNCTIONS = {"cosine": "COSINE", "l2": "EUCLIDEAN", "ip": "DOT_PRODUCT"}
"""What DynamoDB calls our metrics."""


def vector_slots(*, strings: int, numbers: int) -> dict[str, str]:
    """The attributes that a search can name, each with its type as DynamoDB has it."""
    return {
        **{f"s{number}": "S" for number in range(1, strings + 1)},
        **{f"n{number}": "N" for number in range(1, numbers + 1)},
    }


class Service(StrEnum):
    """The two ECS services; also the names of their containers and folders (``-`` → ``_``) below ``services/``."""

    VECTOR_STORE = "vector-store"
    MODEL_REGISTRY = "model-registry"


class CacheUse(StrEnum):
    """What the region's cache is used for; each has keys and a user of its own."""

    DECISIONS = "decisions"
    """That Vault has agreed to a token (`anfl.auth.decisions`)."""
    HINTS = "hints"
    """Where logs of the vector store were seen to end."""
    THROTTLE = "throttle"
    """What callers have spent of what they may ask (`anfl.http.throttle`)."""


class Function(StrEnum):
    """The Lambda functions; also their folders (``-`` → ``_``) below ``lambda_src/``."""

    VECTOR_PROCESSING = "vector-processing"
    MODEL_VALIDATION = "model-validation"
    WEBHOOKS = "webhooks"
    WEBHOOK_SIGNER = "webhook-signer"
    """Signs what `WEBHOOKS` delivers: it stands where Vault is, and that one where the internet is."""
    AUTH = "auth"
    AUTHORIZER = "authorizer"


class Caretaker(StrEnum):
    """Lambda functions that look after the system: deployments and schedules call them, no user does.

    Their folders are as those of `Function`.
    """

    BUCKET_REPLICATION = "bucket-replication"
    VAULT_BOOTSTRAP = "vault-bootstrap"
    VAULT_CERTIFICATE = "vault-certificate"
    """Brings the certificate of a region's Vault from ACM to where its nodes can fetch it."""
    ACCELERATOR_DIAL = "accelerator-dial"
    """Takes another region away from Global Accelerator, and brings it back."""
    WATCH = "watch"
    """Looks at another region, from outside."""
    KEY_LEADER = "key-leader"
    """Begins versions of the wrapping key, and makes those active that every region holds."""
    KEY_AGENT = "key-agent"
    """Brings a region's Vault to hold them."""
    OBJECT_COPIER = "object-copier"
    """Brings other regions' copies of damaged objects."""


IMPORTS_PREFIX = "_imports/"
"""Of keys in the vectors bucket that hold files to be imported; no tenant's name begins so."""
COPIES_PREFIX = "_copies/"
"""Of keys there that hold other regions' copies of objects (`anfl.object_copies`)."""


def dead_letters_of(queue: str) -> str:
    """Name of the dead-letter queue of a queue."""
    return f"{queue}-dead-letters"


def replication_rule(region: str) -> str:
    """Id of the rule that replicates a bucket to ``region``: its metrics carry it."""
    return f"to-{region}"


VAULT_TAG = "anfl-vault"
"""Tag by which Vault nodes find one another, and the bootstrap them."""

METRICS_NAMESPACE = "ANFL"
"""Of the metrics that functions and services send to CloudWatch."""
SERVICE_DIMENSION = "ServiceName"
"""As ECS calls it for its own metrics."""
BACKLOG_METRIC = "BacklogPercent"
"""Waiting jobs in percent of a full backlog for the running tasks: the queue's share in scaling."""

CALLS_METRIC = "Calls"
"""Of functions, by function, operation and outcome (`anfl.telemetry.embedded`)."""
CALL_TIME_METRIC = "CallTime"
"""Milliseconds."""

ENVIRONMENT_DIMENSION = "Environment"
REGION_DIMENSION = "Region"
ANSWERS_METRIC = "RegionAnswers"
"""1 where the watched region's API answers, 0 where it does not; kept in another region."""
DRAINED_METRIC = "RegionDrained"
"""1 while nobody is to be sent to the watched region, else 0; kept in another region."""

PENDING_METRIC = "WrappingKeyPendingHours"
"""For how long a version of the wrapping key has been on its way to the regions; 0: none is."""
BEHIND_METRIC = "WrappingKeyRegionsBehind"
"""How many regions lack the newest version."""

KEYS_BEHIND_METRIC = "WrappedKeysBehind"
"""How many data keys are known, or must be feared, to be wrapped by an earlier version than the active one."""
REWRAP, REWRAP_DUE = "rewrap_keys", "rewrap_due"
"""What functions that move wrapped keys are asked: by people, and by schedules."""

HANDLER = "handler.handler"
"""Every function's entry point: ``handler.py`` at the root of its bundle."""
STAGE = "live"
"""Name of the REST API's one stage."""
