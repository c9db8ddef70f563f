"""The model registry service: MLflow's protocol, its artefact proxy, and validation."""

import asyncio

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from starlette.requests import Request
from starlette.responses import Response

from anfl import aws, environment
from anfl.auth.verifier import verifier_from_settings
from anfl.http.service import Service, Verifier, build, json_response
from anfl.problems import unavailable
from anfl.registry.artifacts import MAX_FILE_BYTES
from anfl.registry.registry import Registry, build_registry
from anfl.registry.requests import ValidationQueue
from anfl.telemetry import stores
from anfl.telemetry.metrics import Metrics
from services.model_registry.artifact_proxy import ArtifactProxy
from services.model_registry.errors import render
from services.model_registry.mlflow_api import MlflowApi
from services.model_registry.validation import Validation


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The service's environment."""

    table: str = msgspec.field(name="REGISTRY_TABLE")
    bucket: str = msgspec.field(name="ARTIFACTS_BUCKET")
    queue_url: str = msgspec.field(name="VALIDATION_QUEUE_URL")
    stage_prefix: str = msgspec.field(default="", name="STAGE_PREFIX")


def assemble(
    registry: Registry,
    queue: ValidationQueue,
    *,
    verifier: Verifier,
    stage_prefix: str = "",
    metrics: Metrics | None = None,
) -> Service:
    """The ASGI application over given parts."""
    validation = Validation(registry, queue)

    async def live(_request: Request) -> Response:
        return json_response({"status": "ok"})

    async def ready(_request: Request) -> Response:
        try:
            await asyncio.to_thread(registry.records.reachable)
        except (BotoCoreError, ClientError):
            raise unavailable("The registry table cannot be read.", code="store_unavailable") from None
        return json_response({"status": "ok"})

    return build(
        {
            **MlflowApi(registry, validation).handlers(),
            **ArtifactProxy(registry.artifacts).handlers(),
            **validation.handlers(),
        },
        verifier=verifier,
        public={("GET", "/health/live"): live, ("GET", "/health/ready"): ready},
        max_body=MAX_FILE_BYTES,  # of an artefact; JSON bodies have a limit of their own
        stage_prefix=stage_prefix,
        render=render,
        metrics=metrics,
    )


def create() -> Service:
    """The application of this process, from its environment."""
    settings = environment.load(Settings)
    metrics = Metrics()
    session = stores.watch(aws.session(), metrics)
    registry = build_registry(
        table=settings.table,
        dynamodb=session.client("dynamodb", config=aws.config(read_timeout=5)),
        bucket=settings.bucket,
        s3=session.client("s3", config=aws.config(read_timeout=60)),
    )
    queue = ValidationQueue(url=settings.queue_url, client=session.client("sqs", config=aws.config(read_timeout=5)))
    return assemble(
        registry, queue, verifier=verifier_from_settings(), stage_prefix=settings.stage_prefix, metrics=metrics
    )
