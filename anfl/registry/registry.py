"""The registry as one object: what service and function are given."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anfl import public_hosts
from anfl.public_hosts import Resolver
from anfl.registry.aliases import Aliases
from anfl.registry.approvals import Approvals
from anfl.registry.artifact_store import ArtifactStore
from anfl.registry.artifacts import Artifacts
from anfl.registry.clock import Clock, now
from anfl.registry.deliveries import Deliveries
from anfl.registry.delivery_signatures import WithSecrets
from anfl.registry.edits import Edits
from anfl.registry.gate import Gate
from anfl.registry.leftovers import Leftovers
from anfl.registry.locations import Locations
from anfl.registry.models import Models
from anfl.registry.outbox import Courier, Outbox
from anfl.registry.policies import Defaults, Policies
from anfl.registry.records import Records
from anfl.registry.search import Search
from anfl.registry.secrets import Secrets
from anfl.registry.signatures import Signatures
from anfl.registry.signing_keys import SigningKeys
from anfl.registry.stages import Stages
from anfl.registry.table import Table
from anfl.registry.tagging import ModelTags, VersionTags
from anfl.registry.trails import Trails
from anfl.registry.verdicts import Verdicts
from anfl.registry.versions import Versions
from anfl.registry.webhooks import Webhooks

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, kw_only=True)
class Registry:
    """All parts over the same table and bucket."""

    records: Records
    models: Models
    versions: Versions
    model_tags: ModelTags
    version_tags: VersionTags
    aliases: Aliases
    stages: Stages
    verdicts: Verdicts
    policies: Policies
    approvals: Approvals
    signing_keys: SigningKeys
    signatures: Signatures
    search: Search
    artifacts: Artifacts
    """The objects themselves."""
    store: ArtifactStore
    """The objects as callers may use them."""
    webhooks: Webhooks
    deliveries: Deliveries
    trails: Trails
    """The audit."""
    outbox: Outbox


def build_registry(
    *,
    table: str,
    dynamodb: "DynamoDBClient",
    bucket: str,
    s3: "S3Client",
    resolver: Resolver = public_hosts.resolve,
    clock: Clock = now,
    policies: Defaults | None = None,
    courier: Callable[[Webhooks], Courier] | None = None,
    secrets: Callable[[Table], Secrets] | None = None,
) -> Registry:
    """The registry over a table and a bucket.

    :param resolver: finds the addresses of webhooks' hosts.
    :param policies: those of the deployment, by alias.
    :param courier: brings letters away, given the webhooks that may want them; None: changes have no letters.
    :param secrets: seals those of webhooks, given the table; None: they stay in clear.
    """
    records = Records(Table(name=table, client=dynamodb))
    kept = None if secrets is None else secrets(records.table)
    webhooks = Webhooks(records.table, secrets=kept, resolver=resolver, clock=clock)
    outbox = Outbox(records.table, None if courier is None else courier(webhooks), clock=clock)
    verdicts = Verdicts(records, outbox, milliseconds=clock)
    own_policies = Policies(records.table, defaults=policies, clock=clock)
    approvals = Approvals(records, own_policies, clock=clock)
    signing_keys = SigningKeys(records.table, clock=clock)
    signatures = Signatures(records, signing_keys, clock=clock)
    edits = Edits(records, outbox, clock=clock)
    stages = Stages(records, clock=clock)
    gate = Gate(
        policies=own_policies,
        verdicts=verdicts,
        approvals=approvals,
        signatures=signatures,
        locations=Locations(records.table),
    )
    artifacts = Artifacts(bucket=bucket, client=s3)
    return Registry(
        records=records,
        models=Models(records, edits, outbox, Leftovers(records.table), clock=clock),
        versions=Versions(records, edits, outbox, stages, clock=clock),
        model_tags=ModelTags(records, edits),
        version_tags=VersionTags(records, edits),
        aliases=Aliases(records, edits, outbox, gate=gate, clock=clock),
        stages=stages,
        verdicts=verdicts,
        policies=own_policies,
        approvals=approvals,
        signing_keys=signing_keys,
        signatures=signatures,
        trails=Trails(records.table),
        search=Search(records, clock=clock),
        artifacts=artifacts,
        store=ArtifactStore(artifacts, records.table),
        webhooks=webhooks,
        outbox=outbox,
        deliveries=Deliveries(signer=WithSecrets(kept), resolver=resolver),
    )
