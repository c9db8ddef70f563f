"""An ASGI service around plain async handlers: stage prefix, bearer token, RBAC, body limit, problems, access log.

Handlers are named by their route in `anfl.auth.rbac.ROUTES`: a service cannot serve a path whose access is not decided
there. Health is served here, for every service alike.
"""

import asyncio
import itertools
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

from starlette.types import Receive, Scope, Send

from anfl.auth import audit
from anfl.auth.bearer import bearer_token
from anfl.auth.principal import Principal, Role
from anfl.auth.rbac import GRANTS, PUBLIC_ROUTES, ROUTES, Action, is_allowed
from anfl.http.answers import Answer, Response, json_response, problem_response
from anfl.http.requests import ClientGoneError, Request
from anfl.http.routing import Router
from anfl.problems import Problem, not_found, unavailable
from anfl.protection import protect
from anfl.telemetry.metrics import CONTENT_TYPE, UNKNOWN_ROUTE, Metrics

Handler = Callable[[Request, Principal], Awaitable[Response]]
PublicHandler = Callable[[Request], Awaitable[Response]]
ErrorRenderer = Callable[[Problem, str], Response]
"""Renders a problem for the path it happened on."""
Lifespan = Callable[[], AbstractAsyncContextManager[None]]
Spend = Callable[[Request, Principal], None]
"""Raises 429 where the caller asks too much."""

_CLIENT_GONE = 499
"""As other servers note it; nobody gets it."""
SLOW_SECONDS = 1.0
"""A read that takes longer is noted."""
_LIVE, _READY = ("GET", "/health/live"), ("GET", "/health/ready")
_METRICS = ("GET", "/metrics")
"""For the collector beside the service; no balancer and no gateway leads there."""
_UNMEASURED = frozenset(path for _, path in (_LIVE, _READY, _METRICS))
"""Asked by machines every few seconds: among few requests they would hide that the others fail."""
_ROUTINE = GRANTS[Role.READER]
"""What is granted is noted only beyond this."""
_REQUEST_ID = re.compile(rb"[\w.:/=+-]{1,128}", re.ASCII)
_log = logging.getLogger(__name__)


class Verifier(Protocol):
    """Turns a bearer token into a principal (see `anfl.auth.verifier.TokenVerifier`)."""

    def cached(self, token: str) -> Principal | None:
        """The principal of a token verified a moment ago; None where that must be done (again). Never blocks."""

    def verify(self, token: str) -> Principal:
        """Verify; may block on the network.

        :raises Problem: 401 for a token that is not good, 503 where that cannot be found out.
        """


@dataclass(frozen=True, slots=True)
class _Guarded:
    """Serves a route for those whose roles grant ``action``."""

    route: str
    run: Handler
    action: Action


@dataclass(frozen=True, slots=True)
class _Open:
    """Serves a route for everybody."""

    route: str
    run: PublicHandler


_Endpoint = _Guarded | _Open


class Service:
    """The ASGI application. Build it with `build`."""

    def __init__(
        self,
        *,
        router: Router[_Endpoint],
        verifier: Verifier,
        stage_prefix: str,
        max_body: int,
        render: ErrorRenderer,
        lifespan: Lifespan | None,
        metrics: Metrics,
        inner: bool,
        spend: Spend | None,
    ) -> None:
        self._metrics = metrics
        self._spend = spend
        self._router = router
        self._verifier = verifier
        self._stage = f"{stage_prefix}/" if stage_prefix else ""
        self._max_body = max_body
        self._render = render
        self._lifespan = lifespan
        self._inner = inner
        self._run = secrets.token_hex(8)
        self._count = itertools.count(1)
        self.draining = False
        """Set once the process is to stop: it is not ready any more, and asks clients to go elsewhere."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection event, as ASGI defines it."""
        if scope["type"] == "http":
            await self._respond(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._run_lifespan(receive, send)

    async def _run_lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            if self._lifespan is None:
                await send({"type": "lifespan.startup.complete"})
                await receive()
            else:
                async with self._lifespan():
                    await send({"type": "lifespan.startup.complete"})
                    await receive()
        except Exception:
            _log.exception("start or stop failed")
            await send({"type": "lifespan.startup.failed"})
            raise
        await send({"type": "lifespan.shutdown.complete"})

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        path: str = scope["path"]
        if self._stage and path.startswith(self._stage):
            path = path[len(self._stage) - 1 :]
        request = Request(scope, receive, path=path, max_body=self._max_body)
        request.id = _given_id(request) or f"{self._run}-{next(self._count):x}"
        measured = not self._inner and path not in _UNMEASURED
        if measured:
            self._metrics.began()
        status = _CLIENT_GONE
        try:
            response = await self._response(request)
            status = response.status_code
            response.raw_headers.append((b"x-request-id", request.id.encode()))
            protect(response.raw_headers)
            if self.draining:
                response.raw_headers.append((b"connection", b"close"))
            await response(scope, receive, send)
        except ClientGoneError:
            _log.info("client gone", extra={"request_id": request.id, "path": path})
        finally:
            if measured:
                seconds = time.perf_counter() - started
                self._metrics.answered(
                    route=request.route or UNKNOWN_ROUTE, method=request.method, status=status, seconds=seconds
                )
                self._note(request, status, seconds)

    async def _response(self, request: Request) -> Response:
        """The answer, whatever happens."""
        try:
            return await self._dispatch(request)
        except Problem as problem:
            return self._render(problem, request.path)
        except ClientGoneError:
            raise
        except Exception:
            _log.exception("unexpected error", extra={"request_id": request.id, "path": request.path})
            failure = Problem(
                HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", f"Unexpected error; see request {request.id}."
            )
            return self._render(failure, request.path)

    def _note(self, request: Request, status: int, seconds: float) -> None:
        """The access log: what changed something, was refused, failed or was slow. The load balancer notes all."""
        routine = request.method in ("GET", "HEAD") or request.path.endswith(("/query", "/fetch", "/count"))
        if routine and status < HTTPStatus.BAD_REQUEST and seconds < SLOW_SECONDS:
            return
        if _log.isEnabledFor(logging.INFO):
            _log.info(
                "request",
                extra={
                    "request_id": request.id,
                    "method": request.method,
                    "path": request.path,
                    "status": status,
                    "milliseconds": round(seconds * 1000, 2),
                },
            )

    async def _dispatch(self, request: Request) -> Response:
        request.refuse_unreadable_path()
        served, request.parameters = self._router.find(request.path)
        method = request.method
        endpoint = served.get("GET" if method == "HEAD" else method)
        if endpoint is None:
            if not served:
                raise not_found(f"There is no {request.path}.", code="no_such_route")
            request.route = next(iter(served.values())).route
            return _other_method(request, served)
        request.route = endpoint.route
        if isinstance(endpoint, _Open):
            request.refuse_declared_oversize()
            return await endpoint.run(request)
        principal = await self._authorised(request, endpoint.action)
        request.refuse_declared_oversize()
        return await endpoint.run(request, principal)

    async def _authorised(self, request: Request, action: Action) -> Principal:
        """Who asks, where it may ask so much and its roles grant ``action``; what was decided is noted."""
        principal = await self._authenticated(request, action)
        if self._spend is not None:
            self._spend(request, principal)
        if not is_allowed(principal, action):
            problem = Problem(HTTPStatus.FORBIDDEN, "forbidden", f"None of your roles grants {action}.")
            audit.refused(_asked(request, action), problem, principal)
            raise problem
        if action not in _ROUTINE:
            audit.authorised(_asked(request, action), principal)
        return principal

    async def _authenticated(self, request: Request, action: Action) -> Principal:
        try:
            token = _token(request)
            principal = self._verifier.cached(token)
            if principal is None:
                principal = await asyncio.to_thread(self._verifier.verify, token)
                audit.authenticated(_asked(request, action), principal)
        except Problem as problem:
            audit.refused(_asked(request, action), problem)
            raise
        return principal


def _token(request: Request) -> str:
    """The bearer token.

    :raises Problem: 401.
    """
    given = request.scope["headers"]
    if len(given) == len(request.headers):  # no name stands twice
        return bearer_token(request.headers.get(b"authorization", b"").decode("latin-1"))
    return bearer_token(*(value.decode("latin-1") for name, value in given if name == b"authorization"))


def _asked(request: Request, action: Action) -> audit.Asked:
    return audit.Asked(request_id=request.id, method=request.method, path=request.path, action=action)


def _other_method(request: Request, served: Mapping[str, object]) -> Response:
    """What a path answers to a method that no route has: what there is, and to OPTIONS nothing but that.

    :raises Problem: 405.
    """
    methods = {*served, "OPTIONS"} | ({"HEAD"} if "GET" in served else set())
    allow = ", ".join(sorted(methods))
    if request.method == "OPTIONS":
        return Answer(b"", HTTPStatus.NO_CONTENT, headers=[(b"allow", allow.encode())])
    raise Problem(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "method_not_allowed",
        f"{request.path} takes {allow}.",
        headers={"allow": allow},
    )


def _given_id(request: Request) -> str | None:
    """The caller's id for the request, else the gateway's."""
    for name in (b"x-request-id", b"x-amzn-requestid"):
        given = request.headers.get(name)
        if given is not None and _REQUEST_ID.fullmatch(given):
            return given.decode()
    return None


def build(
    handlers: Mapping[tuple[str, str], Handler],
    *,
    verifier: Verifier,
    max_body: int,
    ready: Callable[[], None],
    public: Mapping[tuple[str, str], PublicHandler] | None = None,
    stage_prefix: str = "",
    render: ErrorRenderer = problem_response,
    lifespan: Lifespan | None = None,
    metrics: Metrics | None = None,
    inner: bool = False,
    spend: Spend | None = None,
) -> Service:
    """Assemble a service.

    :param handlers: ``(method, path)`` as in `ROUTES` → handler; path parameters are in ``request.parameters``.
    :param max_body: largest request body in bytes; above it 413.
    :param ready: raises a `Problem` where the service cannot serve; may block.
    :param public: routes without a token, of `PUBLIC_ROUTES`.
    :param metrics: where requests are counted; ``GET /metrics`` shows them.
    :param inner: serves other processes of its node, which count and note each request.
    :param spend: called for each request with a token, before its body is read; None: callers may ask what they like.
    :raises ValueError: a path that is neither in `ROUTES` nor public.
    """
    actions = {(route.method, route.path): route.action for route in ROUTES}
    public, measures = public or {}, metrics or Metrics()
    unknown = [*(handlers.keys() - actions.keys()), *(public.keys() - {*PUBLIC_ROUTES})]
    if unknown:
        raise ValueError(f"routes without an entry in anfl.auth.rbac: {sorted(unknown)}")

    async def is_live(_request: Request) -> Response:
        return json_response({"status": "ok"})

    async def is_ready(_request: Request) -> Response:
        if service.draining:
            raise unavailable("This process is about to stop.", code="draining")
        await asyncio.to_thread(ready)
        return json_response({"status": "ok"})

    async def figures(_request: Request) -> Response:
        return Answer(await asyncio.to_thread(measures.exposition), media_type=CONTENT_TYPE.encode())

    table: dict[tuple[str, str], _Endpoint] = {
        key: _Guarded(key[1], run, actions[key]) for key, run in handlers.items()
    }
    for key, run in {**public, _LIVE: is_live, _READY: is_ready, _METRICS: figures}.items():
        table[key] = _Open(key[1], run)
    service = Service(
        router=Router(table),
        verifier=verifier,
        stage_prefix=stage_prefix,
        max_body=max_body,
        render=render,
        lifespan=lifespan,
        metrics=measures,
        inner=inner,
        spend=spend,
    )
    return service
