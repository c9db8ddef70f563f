"""The vector store service, put together."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import msgspec

from anfl import aws, environment
from anfl.auth.verifier import verifier_from_settings
from anfl.http.admission import Admission, Room
from anfl.http.answers import Answer, Response
from anfl.http.requests import Request
from anfl.http.service import Service, Verifier, build
from anfl.telemetry import backlog
from anfl.vectors import build as vectors
from anfl.vectors.operations import OPERATIONS
from anfl.vectors.requests import MAX_BODY_BYTES
from anfl.vectors.store import VectorStore
from services.vector_store.api import REQUESTS, STREAMED, VectorApi
from services.vector_store.openapi import document

THREADS = 32
"""Requests at work at once; most of them wait for S3."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The service's environment, beside `anfl.vectors.build.Settings`."""

    stage_prefix: str = msgspec.field(default="", name="STAGE_PREFIX")


def assemble(
    store: VectorStore,
    *,
    verifier: Verifier,
    stage_prefix: str = "",
    publisher: backlog.Publisher | None = None,
    room: Room = REQUESTS,
    max_body: int = MAX_BODY_BYTES,
) -> Service:
    """The ASGI application over a given store; ``publisher`` works as long as it runs."""
    threads = ThreadPoolExecutor(THREADS, thread_name_prefix="request")
    api = VectorApi(store=store, threads=threads, requests=Admission(room), streams=Admission(STREAMED))
    description = msgspec.json.encode(document(OPERATIONS))

    async def openapi(_request: Request) -> Response:
        return Answer(description)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        if publisher is not None:
            publisher.start()
        yield
        if publisher is not None:
            publisher.close()
        threads.shutdown(wait=True)
        store.close()

    return build(
        api.handlers(),
        verifier=verifier,
        ready=lambda: store.catalogue.reachable(),
        public={("GET", "/v1/openapi.json"): openapi},
        max_body=max_body,
        stage_prefix=stage_prefix,
        lifespan=lifespan,
    )


def create() -> Service:
    """The application of this process, from its environment."""
    return assemble(
        vectors.build_store(environment.load(vectors.Settings), aws.session()),
        verifier=verifier_from_settings(),
        stage_prefix=environment.load(Settings).stage_prefix,
        publisher=backlog.build_publisher(environment.load(backlog.Settings), aws.session()),
    )
