"""The vector store service, put together."""

from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial

import msgspec

from anfl import aws, cache, environment
from anfl.auth.verifier import TokenSettings, verifier_from_settings
from anfl.http.admission import Admission, Room
from anfl.http.answers import Answer, Response
from anfl.http.requests import Request
from anfl.http.serve import Listen
from anfl.http.service import Service, Verifier, build
from anfl.nodes import presence
from anfl.nodes.forwarding import Forwarding
from anfl.nodes.routes import Routes
from anfl.nodes.shared import Members, SharedMembers
from anfl.processes import Process
from anfl.telemetry import backlog, stores
from anfl.telemetry.metrics import Metrics
from anfl.vectors import build as vectors
from anfl.vectors import building as builder
from anfl.vectors.events import Events
from anfl.vectors.imports import build as importing
from anfl.vectors.imports.imports import Imports
from anfl.vectors.locations import Incarnations
from anfl.vectors.requests import MAX_BODY_BYTES
from anfl.vectors.store import VectorStore
from anfl.vectors.tails import SharedTails
from services.vector_store import jobs
from services.vector_store.api import FORWARDED, REQUESTS, STREAMED, VectorApi
from services.vector_store.openapi import document

THREADS = 32
"""Requests at work at once; most of them wait for S3."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The service's environment, beside `anfl.vectors.build.Settings`."""

    stage_prefix: str = msgspec.field(default="", name="STAGE_PREFIX")


def assemble(
    store: VectorStore,
    imports: Imports,
    *,
    verifier: Verifier,
    stage_prefix: str = "",
    metrics: Metrics | None = None,
    room: Room = REQUESTS,
    forwarded: Room = FORWARDED,
    max_body: int = MAX_BODY_BYTES,
    members: Callable[[], Members] | None = None,
) -> Service:
    """The ASGI application over a given store and its imports.

    :param members: who else may answer, looked at for each request; None: nobody.
    """
    threads = ThreadPoolExecutor(THREADS, thread_name_prefix="request")
    metrics = metrics or Metrics()
    forwarding = None
    if members is not None:
        routes = Routes(members, Incarnations(catalogue=store.catalogue, names=store.names))
        forwarding = Forwarding(routes, admission=Admission(forwarded), figures=metrics)
    api = VectorApi(
        store=store,
        imports=imports,
        threads=threads,
        requests=Admission(room),
        streams=Admission(STREAMED),
        forwarding=forwarding,
    )
    description = msgspec.json.encode(document())

    async def openapi(_request: Request) -> Response:
        return Answer(description)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield
        if forwarding is not None:
            forwarding.close()
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
        metrics=metrics,
    )


def creator(
    vector_settings: vectors.Settings, metrics: Metrics, events: Events, tails: SharedTails, members: SharedMembers
) -> Callable[[], Service]:
    """Makes the application in each worker, from this process's environment and with what the workers share.

    :param tails: memory of all processes that write.
    :raises MissingSettingError: a variable is absent or malformed.
    """
    settings = environment.load(Settings)
    tokens = environment.load(TokenSettings)
    queues = environment.load(importing.Queues)
    region = environment.load(cache.Settings)
    session = stores.watch(aws.session(), metrics)

    def create() -> Service:
        numbers = cache.numbers(region, session)
        store = vectors.build_store(vector_settings, session, tails=tails, events=events, numbers=numbers)
        imports = importing.build_imports(vector_settings, queues, session)
        verifier = verifier_from_settings(tokens)
        return assemble(
            store, imports, verifier=verifier, stage_prefix=settings.stage_prefix, metrics=metrics, members=members.now
        )

    return create


def building(stores: vectors.Settings, events: Events) -> Process:
    """The process that builds graphs, images and snapshots: one for all workers."""
    return Process(name="builder", target=partial(builder.run, stores, events))


def publishing(members: SharedMembers, listen: Listen) -> Process:
    """The process that tells others of this node: that it is there, and how far behind the jobs are.

    It also tells the workers, by ``members``, of the other nodes.

    :raises MissingSettingError: a variable is absent or malformed.
    """
    jobs, nodes = environment.load(backlog.Settings), environment.load(presence.Settings)

    def publish() -> None:
        backlog.build_publisher(jobs, aws.session()).start()
        presence.run(nodes, listen, members)

    return Process(name="publisher", target=publish)


def importers(stores: vectors.Settings, tails: SharedTails, events: Events) -> Process:
    """The process that takes the jobs of imports: one beside the workers.

    :raises MissingSettingError: a variable is absent or malformed.
    """
    queues = environment.load(importing.Queues)
    return Process(name="imports", target=partial(jobs.run, stores, queues, tails, events))
