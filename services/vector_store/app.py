"""The vector store service: `anfl.vectors.operations` over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from anfl import aws, environment
from anfl.auth.principal import Principal
from anfl.auth.verifier import verifier_from_settings
from anfl.http.service import Handler, Service, Verifier, build, json_response
from anfl.problems import Problem, invalid
from anfl.telemetry import backlog, stores
from anfl.telemetry.metrics import Metrics
from anfl.vectors import build as vectors
from anfl.vectors.operations import OPERATIONS, Operation, Outcome
from anfl.vectors.requests import MAX_BODY_BYTES, convert, parse
from anfl.vectors.store import VectorStore
from services.vector_store.openapi import document

THREADS = 32
"""Requests at work at once; most of them wait for S3."""
REQUESTS = 256
"""Most requests inside, those that wait for a thread included; above it callers are told to slow down."""
BODIES_BYTES = 2 * MAX_BODY_BYTES
"""Most bytes of bodies inside, as declared: decoded, a body can take sixteen times its size."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The service's environment, beside `anfl.vectors.build.Settings`."""

    stage_prefix: str = msgspec.field(default="", name="STAGE_PREFIX")


class VectorApi:
    """Runs operations in threads, so that the event loop stays free to accept and refuse."""

    def __init__(self, store: VectorStore, publisher: backlog.Publisher | None) -> None:
        self._store = store
        self._publisher = publisher
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="request")
        self._inside = 0
        self._bodies = 0
        self._openapi = msgspec.json.encode(document(OPERATIONS))

    def handlers(self) -> dict[tuple[str, str], Handler]:
        """The routes, by (method, path)."""
        return {(operation.method, operation.path): self._handler(operation) for operation in OPERATIONS}

    async def live(self, _request: Request) -> Response:
        """Whether the process answers."""
        return json_response({"status": "ok"})

    async def ready(self, _request: Request) -> Response:
        """Whether the catalogue answers as well."""
        await asyncio.to_thread(self._store.catalogue.reachable)  # a busy node is no sick one
        return json_response({"status": "ok"})

    async def openapi(self, _request: Request) -> Response:
        """The API's description."""
        return Response(self._openapi, media_type="application/json")

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Until the service stops."""
        if self._publisher is not None:
            self._publisher.start()
        yield
        if self._publisher is not None:
            self._publisher.close()
        self._threads.shutdown(wait=True)
        self._store.close()

    def _handler(self, operation: Operation) -> Handler:
        async def handle(request: Request, principal: Principal) -> Response:
            parameters = dict(request.query_params)
            name = request.path_params.get("name", "")
            with self._admitted(_body_size(request)):
                body = b"" if operation.method == "GET" else await request.body()

                def work() -> Response:
                    asked = _request(operation, body, parameters)
                    outcome: Outcome = operation.run(self._store, principal.tenant, name, asked)
                    return json_response(outcome.answer, outcome.status)

                return await asyncio.get_running_loop().run_in_executor(self._threads, work)

        return handle

    @contextmanager
    def _admitted(self, size: int) -> Iterator[None]:
        """Inside counts one more request, whose body declares ``size`` bytes.

        :raises Problem: 429.
        """
        if self._inside >= REQUESTS or self._bodies + size > BODIES_BYTES:
            raise Problem(429, "too_many_requests", "This node has its hands full; slow down.", retry_after=1)
        self._inside += 1
        self._bodies += size
        try:
            yield
        finally:
            self._inside -= 1
            self._bodies -= size


def _body_size(request: Request) -> int:
    """Bytes that the body may have, before it is read."""
    if "transfer-encoding" in request.headers:
        return MAX_BODY_BYTES
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() else 0


def _request(operation: Operation, body: bytes, parameters: dict[str, str]) -> object:
    if operation.takes is None:
        return None
    if operation.method != "GET":
        return parse(body, operation.takes)
    given: dict[str, object] = dict(parameters)
    if "filter" in parameters:
        try:
            given["filter"] = msgspec.json.decode(parameters["filter"])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise invalid(f"Not JSON: {error}.", field="filter") from None
    if "include" in parameters:
        given["include"] = [part for part in parameters["include"].split(",") if part]
    return convert(given, operation.takes, text=True)


def assemble(
    store: VectorStore,
    *,
    verifier: Verifier,
    stage_prefix: str = "",
    publisher: backlog.Publisher | None = None,
    metrics: Metrics | None = None,
) -> Service:
    """The ASGI application over a given store; ``publisher`` works as long as it runs."""
    api = VectorApi(store, publisher)
    return build(
        api.handlers(),
        verifier=verifier,
        public={
            ("GET", "/health/live"): api.live,
            ("GET", "/health/ready"): api.ready,
            ("GET", "/v1/openapi.json"): api.openapi,
        },
        max_body=MAX_BODY_BYTES,
        stage_prefix=stage_prefix,
        lifespan=api.lifespan,
        metrics=metrics,
    )


def create() -> Service:
    """The application of this process, from its environment."""
    metrics = Metrics()
    session = stores.watch(aws.session(), metrics)
    return assemble(
        vectors.build_store(environment.load(vectors.Settings), session),
        verifier=verifier_from_settings(),
        stage_prefix=environment.load(Settings).stage_prefix,
        publisher=backlog.build_publisher(environment.load(backlog.Settings), session),
        metrics=metrics,
    )
