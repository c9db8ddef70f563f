"""The vector store service, put together."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol

import msgspec

from anfl import aws, cache, environment
from anfl.auth.principal import Principal
from anfl.auth.verifier import TokenSettings, verifier_from_settings
from anfl.buckets import Settings as Limits
from anfl.http.admission import Admission, Room
from anfl.http.answers import Answer, Response
from anfl.http.requests import Request
from anfl.http.serve import Behind, Listen
from anfl.http.service import Service, Spend, Verifier, build
from anfl.http.shared_threads import SharedThreads
from anfl.http.throttle import Throttle
from anfl.nodes import presence
from anfl.nodes.forwarding import Forwarding
from anfl.nodes.handing_over import HandingOver
from anfl.nodes.routes import Routes
from anfl.nodes.sending import HOP, is_from_a_node
from anfl.nodes.shared import Members, SharedMembers
from anfl.processes import Process
from anfl.telemetry import backlog, stores
from anfl.telemetry.metrics import Metrics
from anfl.vectors import build as vectors
from anfl.vectors import building as builder
from anfl.vectors.events import Events
from anfl.vectors.imports import build as importing
from anfl.vectors.imports.imports import Imports
from anfl.vectors.imports.jobs import SqsQueue
from anfl.vectors.locations import Incarnations
from anfl.vectors.node_memory import NodeMemory
from anfl.vectors.requests import MAX_BODY_BYTES
from anfl.vectors.store import VectorStore
from services.vector_store import jobs
from services.vector_store.api import FORWARDED, HANDED_OVER, REQUESTS, STREAMED, VectorApi
from services.vector_store.directions import Directions
from services.vector_store.openapi import document

NICENESS = 10
"""Of the processes beside the workers: whoever waits for a query's answer goes first."""
THREADS = 32
"""Requests at work at once; most of them wait for S3."""
THREADS_OF_TENANT = 24


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The service's environment, beside `anfl.vectors.build.Settings`."""

    stage_prefix: str = msgspec.field(default="", name="STAGE_PREFIX")
    endpoints: str = msgspec.field(default="{}", name="REGION_ENDPOINTS")
    """See `anfl.resources.Variable.REGION_ENDPOINTS`."""


class RevocationVerifier(Verifier, Protocol):
    """One that tells of revocations, too, as long as an answer takes."""

    def is_revoked(self, principal: Principal) -> bool:
        """See `anfl.auth.verifier.TokenVerifier.is_revoked`."""


def assemble(
    store: VectorStore,
    imports: Imports,
    *,
    verifier: RevocationVerifier,
    stage_prefix: str = "",
    metrics: Metrics | None = None,
    room: Room = REQUESTS,
    forwarded: Room = FORWARDED,
    max_body: int = MAX_BODY_BYTES,
    members: Callable[[], Members] | None = None,
    writer: str | None = None,
    inner: bool = False,
    throttle: Throttle | None = None,
    endpoints: Mapping[str, str] | None = None,
) -> Service:
    """The ASGI application over a given store and its imports.

    :param members: who else may answer, looked at for each request; None: nobody.
    :param writer: address of the process of this node to which writes are handed over; None: they are done here.
    :param inner: see `anfl.http.service.build`.
    :param endpoints: by region, base URLs of the other regions' APIs, for those who have to ask there.
    :param throttle: None: callers may ask what they like, or somebody before has counted it already.
    """
    threads = SharedThreads(threads=THREADS, most_of_tenant=THREADS_OF_TENANT)
    metrics = metrics or Metrics()
    forwarding = None
    if members is not None:
        located = Incarnations(catalogue=store.catalogue, names=store.names, lives_on_nodes=store.lives_on_nodes)
        routes = Routes(members, located)
        forwarding = Forwarding(routes, admission=Admission(forwarded), figures=metrics)
    handing_over = None
    if writer is not None:
        handing_over = HandingOver(writer, admission=Admission(HANDED_OVER), attempt=metrics.handed_over)
    api = VectorApi(
        store=store,
        imports=imports,
        threads=threads,
        requests=Admission(room),
        streams=Admission(STREAMED),
        is_revoked=verifier.is_revoked,
        forwarding=forwarding,
        handing_over=handing_over,
        directions=Directions(endpoints=endpoints or {}),
    )
    description = msgspec.json.encode(document())

    async def openapi(_request: Request) -> Response:
        return Answer(description)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield
        for outward in (forwarding, handing_over):
            if outward is not None:
                outward.close()
        if throttle is not None:
            throttle.close()
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
        inner=inner,
        spend=None if throttle is None else spending(throttle, members),
    )


def spending(throttle: Throttle, members: Callable[[], Members] | None) -> Spend:
    """Counts what clients send. What another node sends on it has counted itself."""

    def spend(request: Request, principal: Principal) -> None:
        if members is not None and HOP in request.headers:
            seen = members()
            if is_from_a_node(request, seen.key_of(seen.own)):
                return
        throttle.spend(principal)

    return spend


Create = Callable[[str | None], Service]
"""Given the address of the process that writes, makes the application of a worker; given None, that process's own."""


def creator(
    vector_settings: vectors.Settings, metrics: Metrics, events: Events, memory: NodeMemory, members: SharedMembers
) -> Create:
    """Makes the application in each process, from this one's environment and with what they share.

    :param memory: of all processes that write.
    :raises MissingSettingError: a variable is absent or malformed.
    """
    settings = environment.load(Settings)
    tokens = environment.load(TokenSettings)
    queues = environment.load(importing.Queues)
    region = environment.load(cache.Settings)
    limits = environment.load(Limits)
    session = stores.watch(aws.session(), metrics)
    endpoints = environment.parse("REGION_ENDPOINTS", settings.endpoints, dict[str, str])

    def throttle() -> Throttle:
        return Throttle(limits, region=cache.buckets(region, session), refused=metrics.throttled)

    def create(writer: str | None) -> Service:
        numbers = cache.numbers(region, session)
        jobs = SqsQueue(importing.sqs_of(session), queues.jobs_url)
        store = vectors.build_store(vector_settings, session, memory=memory, events=events, numbers=numbers, jobs=jobs)
        imports = importing.build_imports(vector_settings, queues, session)
        verifier = verifier_from_settings(tokens)
        return assemble(
            store,
            imports,
            verifier=verifier,
            stage_prefix=settings.stage_prefix,
            metrics=metrics,
            members=None if writer is None else members.now,
            writer=writer,
            inner=writer is None,
            throttle=None if writer is None else throttle(),
            endpoints=endpoints,
        )

    return create


def writing(create: Create, behind: Behind) -> Process:
    """The process that carries out the writes of all workers."""
    return behind.process("writer", partial(create, None), niceness=NICENESS)


def building(stores: vectors.Settings, events: Events) -> Process:
    """The process that builds graphs, images and snapshots: one for all workers."""
    return Process(name="builder", target=partial(builder.run, stores, events), niceness=NICENESS)


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


def importers(stores: vectors.Settings, memory: NodeMemory, events: Events) -> Process:
    """The process that takes the jobs of imports: one beside the workers.

    :raises MissingSettingError: a variable is absent or malformed.
    """
    queues = environment.load(importing.Queues)
    return Process(name="imports", target=partial(jobs.run, stores, queues, memory, events), niceness=NICENESS)
