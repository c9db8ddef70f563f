"""A region's buckets, queues and cache."""

from datetime import timedelta

from aws_cdk import aws_kms as kms
from constructs import Construct
from constructs.durations import days
from constructs.location import here
from constructs.region_network import RegionNetwork
from constructs.secure_bucket import SecureBucket
from constructs.valkey_cache import ValkeyCache
from constructs.work_queue import WorkQueue

from anfl.resources import COPIES_PREFIX, IMPORTS_PREFIX
from stacks.architecture import FunctionName
from stacks.base import AnflStack
from stacks.models import Settings
from stacks.physical_names import COPIES, bucket_name
from stacks.security import CACHE_PORT, SecurityStack
from stacks.units import Region

VISIBILITY_FACTOR = 6
"""Times a function's time-out: Lambda retries a batch itself before the queue hands it out again."""


IMPORTS_DAYS = 8
"""How long files that were sent to be imported stay, unless they are done with sooner."""
COPIES_DAYS = 1
"""How long other regions' copies stay: whoever asked for them looks every few seconds."""


class StorageStack(AnflStack):
    """Vectors and artefacts; jobs, chunks, validation and webhooks; hints that may be lost."""

    def __init__(
        self,
        scope: Construct,
        *,
        settings: Settings,
        region: Region,
        network: RegionNetwork,
        security: SecurityStack,
        key_arn: str,
    ) -> None:
        """:param key_arn: the data key in ``region``."""
        name = settings.name(region, "storage")
        super().__init__(scope, name, settings=settings, region=region, description="buckets, queues, cache")
        self._key = kms.Key.from_key_arn(self, "DataKey", key_arn)
        self.vectors = self._bucket("vectors")
        self.vectors.add_lifecycle_rule(
            id="forget-imports",
            prefix=IMPORTS_PREFIX,
            expiration=days(IMPORTS_DAYS),
            noncurrent_version_expiration=days(1),
        )
        self.artifacts = self._bucket("artifacts")
        functions = settings.compute.lambda_
        self.jobs = self._queue("jobs", settings.deployment.queues.jobs_visibility)
        self.chunks = self._queue("chunks", _visibility(functions.function(FunctionName.VECTOR_PROCESSING).timeout))
        self.validation = self._queue(
            "validation", _visibility(functions.function(FunctionName.MODEL_VALIDATION).timeout)
        )
        self.webhooks = self._queue("webhooks", _visibility(settings.deployment.functions.webhooks.timeout))
        self.copies = self._copies()
        """None where there is one region."""
        self.cache = self._cache(network, security)
        """None where the environment has none."""

    def _bucket(self, name: str) -> SecureBucket:
        return SecureBucket(
            self,
            name.capitalize(),
            name=bucket_name(self.settings, name, here(self).account, here(self).region),
            key=self._key,
            noncurrent_retention=self.settings.deployment.storage.noncurrent_retention,
            retain=self.retain,
            exempt_roles=[
                *replication_roles(self.settings),
                backup_role(self.settings, here(self).region),
                recovery_role(self.settings, here(self).region),
            ],
        )

    def _copies(self) -> WorkQueue | None:
        if len(self.settings.regions) == 1:
            return None
        self.vectors.add_lifecycle_rule(
            id="forget-copies",
            prefix=COPIES_PREFIX,
            expiration=days(COPIES_DAYS),
            noncurrent_version_expiration=days(1),
        )
        return self._queue(COPIES, _visibility(self.settings.deployment.functions.object_copier.timeout))

    def _queue(self, name: str, visibility: timedelta) -> WorkQueue:
        queues = self.settings.deployment.queues
        return WorkQueue(
            self,
            name.capitalize(),
            name=self.settings.name(name),
            key=self._key,
            visibility=visibility,
            max_receives=queues.max_receives,
            dead_letter_retention=queues.dead_letter_retention,
        )

    def _cache(self, network: RegionNetwork, security: SecurityStack) -> ValkeyCache | None:
        deployment = self.settings.deployment
        if deployment.cache is None or security.cache is None:
            return None
        return ValkeyCache(
            self,
            "Cache",
            name=self.settings.name("cache"),
            cache=deployment.cache,
            port=CACHE_PORT,
            subnet_ids=network.private_subnet_ids,
            security_group_id=security.cache.security_group_id,
            key=self._key,
            log_group=self.log_group("CacheLogs", self._key),
            snapshot_retention=self.settings.backup.databases.retention,
            retain=self.retain,
        )


def replication_roles(settings: Settings) -> list[str]:
    """Names of the roles as which S3 replicates, one a region: IAM's names span regions."""
    return [settings.name("replication", region) for region in settings.regions] if len(settings.regions) > 1 else []


def backup_role(settings: Settings, region: str) -> str:
    """Name of the role as which AWS Backup reads the buckets of a region; it chooses its protocol itself."""
    return settings.name("backup", region)


def recovery_role(settings: Settings, region: str) -> str:
    """Name of the role as which Step Functions looks whether the buckets of a region answer; it chooses as well."""
    return settings.name("recovery", region)


def _visibility(timeout_seconds: int) -> timedelta:
    return timedelta(seconds=VISIBILITY_FACTOR * timeout_seconds)
