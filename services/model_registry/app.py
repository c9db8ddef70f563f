"""The model registry service: MLflow's protocol, its artefact proxy, and validation."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from anfl import aws, cache, environment
from anfl.auth.verifier import TokenSettings, verifier_from_settings
from anfl.buckets import Settings as Limits
from anfl.crypto.vault_transit import wrapping_of
from anfl.http.adapters import from_starlette
from anfl.http.answers import Answer, Response
from anfl.http.requests import Request
from anfl.http.service import Service, Verifier, build
from anfl.http.shared_threads import SharedThreads
from anfl.http.throttle import Throttle
from anfl.problems import unavailable
from anfl.registry import sources
from anfl.registry.artifacts import MAX_FILE_BYTES
from anfl.registry.home import Home, home
from anfl.registry.outbox import Courier
from anfl.registry.policies import Policy
from anfl.registry.postman import Postman
from anfl.registry.queues import Queues
from anfl.registry.registry import Registry, build_registry
from anfl.registry.sealed_secrets import SealedSecrets
from anfl.registry.webhooks import Webhooks
from anfl.resources import Service as Name
from anfl.resources import Variable
from anfl.telemetry import stores
from anfl.telemetry.metrics import Metrics
from services.model_registry.aliases import AliasApi
from services.model_registry.approvals import ApprovalApi
from services.model_registry.artifact_proxy import ArtifactProxy
from services.model_registry.audit import AuditApi
from services.model_registry.bodies import all_bodies, bounded
from services.model_registry.dependencies import answering
from services.model_registry.errors import render
from services.model_registry.homes import at_home
from services.model_registry.mlflow_api import MlflowApi, SourceCheck
from services.model_registry.openapi import PATH as OPENAPI_PATH
from services.model_registry.openapi import document
from services.model_registry.policies import PolicyApi
from services.model_registry.shares import Shares
from services.model_registry.signing import SigningApi
from services.model_registry.transfers import transfers
from services.model_registry.uploads import Uploads
from services.model_registry.validation import Validation
from services.model_registry.webhooks import WebhookApi

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

LAST_POST_SECONDS = 2.0
"""How long a process that stops goes on sending what it has promised."""
THREADS = 32
THREADS_OF_TENANT = 16
THREADS_KEPT = 4
"""For the process itself: it asks whether tokens are good, and whether it is ready."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The service's environment."""

    table: str = msgspec.field(name="REGISTRY_TABLE")
    bucket: str = msgspec.field(name="ARTIFACTS_BUCKET")
    queue_url: str = msgspec.field(name="VALIDATION_QUEUE_URL")
    webhooks_queue_url: str = msgspec.field(name="WEBHOOKS_QUEUE_URL")
    vault_address: str = msgspec.field(name="VAULT_ADDR")
    auth_table: str = msgspec.field(name="AUTH_TABLE")
    """Says by which version keys are wrapped."""
    stage_prefix: str = msgspec.field(default="", name="STAGE_PREFIX")
    alias_policies: str = msgspec.field(default="{}", name="ALIAS_POLICIES")
    """JSON: what an alias takes, by alias (`anfl.registry.policies.Policy`)."""


def assemble(
    registry: Registry,
    *,
    verifier: Verifier,
    stage_prefix: str = "",
    metrics: Metrics | None = None,
    check_source: SourceCheck = sources.check_source,
    throttle: Throttle | None = None,
    written_in: Home | None = None,
    passing: Shares | None = None,
    bodies: Shares | None = None,
) -> Service:
    """The ASGI application over given parts.

    :param check_source: says which sources versions may have.
    :param throttle: None: callers may ask what they like.
    :param written_in: None: there is no other region.
    :param passing: artefacts that may pass at a time; None: as many as usual.
    :param bodies: bytes of other bodies that may be inside at a time; None: as many as usual.
    """
    validation = Validation(registry)

    def ready() -> None:
        try:
            registry.records.reachable()
        except (BotoCoreError, ClientError):
            raise unavailable("The registry table cannot be read.", code="store_unavailable") from None

    description = msgspec.json.encode(document())
    postman = Postman(registry.outbox)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        threads = SharedThreads(threads=THREADS, most_of_tenant=THREADS_OF_TENANT, kept=THREADS_KEPT)
        asyncio.get_running_loop().set_default_executor(threads)
        postman.start()
        yield
        if throttle is not None:
            throttle.close()
        await asyncio.to_thread(postman.stop, LAST_POST_SECONDS)

    async def describe(_request: Request) -> Response:
        return Answer(description)

    proxy = ArtifactProxy(registry.store, passing or transfers())
    documents = {
        **proxy.handlers(),
        **MlflowApi(registry, validation, check_source=check_source).handlers(),
        **Uploads(registry.store).handlers(),
        **WebhookApi(registry.webhooks, registry.deliveries).handlers(),
        **validation.handlers(),
        **AuditApi(registry.trails).handlers(),
        **ApprovalApi(registry.approvals).handlers(),
        **PolicyApi(registry.policies).handlers(),
        **SigningApi(registry.signatures, registry.signing_keys).handlers(),
        **AliasApi(registry.aliases).handlers(),
    }
    handlers = {**proxy.streams(), **bounded(documents, bodies or all_bodies())}
    return build(
        from_starlette(answering(handlers if written_in is None else at_home(handlers, written_in))),
        public={("GET", OPENAPI_PATH): describe},
        verifier=verifier,
        ready=ready,
        max_body=MAX_FILE_BYTES,  # of an artefact; JSON bodies have a limit of their own
        stage_prefix=stage_prefix,
        render=render,
        lifespan=lifespan,
        metrics=metrics,
        spend=None if throttle is None else lambda _request, principal: throttle.spend(principal),
    )


def creator() -> Callable[[], Service]:
    """Makes the application in each worker, from this process's environment.

    :raises MissingSettingError: a variable is absent or malformed.
    """
    settings, tokens = environment.load(Settings), environment.load(TokenSettings)
    limits, region = environment.load(Limits), environment.load(cache.Settings)
    policies = environment.parse(Variable.ALIAS_POLICIES, settings.alias_policies, dict[str, Policy])
    written_in, metrics = home(), Metrics()
    session = stores.watch(aws.session(), metrics)

    def courier(sqs: "SQSClient") -> Callable[[Webhooks], Courier]:
        return partial(Queues, webhooks_url=settings.webhooks_queue_url, validation_url=settings.queue_url, client=sqs)

    def create() -> Service:
        transit, _ = wrapping_of(Name.MODEL_REGISTRY, vault=settings.vault_address, table=settings.auth_table)
        sqs = session.client("sqs", config=aws.config(read_timeout=5))
        registry = build_registry(
            table=settings.table,
            dynamodb=session.client("dynamodb", config=aws.config(read_timeout=5)),
            bucket=settings.bucket,
            s3=session.client("s3", config=aws.config(read_timeout=60, signature_version="s3v4")),
            policies=policies,
            secrets=partial(SealedSecrets, transit=transit, region=session.region_name),
            courier=courier(sqs) if written_in.is_here else None,  # else letters would go to two regions' queues
        )
        verifier = verifier_from_settings(tokens)
        throttle = Throttle(limits, region=cache.buckets(region, session), refused=metrics.throttled)
        return assemble(
            registry,
            verifier=verifier,
            stage_prefix=settings.stage_prefix,
            metrics=metrics,
            throttle=throttle,
            written_in=written_in,
        )

    return create
