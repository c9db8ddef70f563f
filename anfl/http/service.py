"""An ASGI service around plain async handlers: stage prefix, bearer token, RBAC, body limit, problems, access log.

Handlers are named by their route in `anfl.auth.rbac.ROUTES`: a service cannot serve a path whose access is not decided
there.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from anfl.auth.principal import Principal
from anfl.auth.rbac import PUBLIC_ROUTES, ROUTES, Route, is_allowed
from anfl.problems import Problem, not_found, too_large
from anfl.telemetry.metrics import CONTENT_TYPE, UNKNOWN_ROUTE, Metrics

Handler = Callable[[Request, Principal], Awaitable[Response]]
PublicHandler = Callable[[Request], Awaitable[Response]]
ErrorRenderer = Callable[[Problem, str], Response]
"""Renders a problem for the path it happened on."""
Lifespan = Callable[[], AbstractAsyncContextManager[None]]

_HEALTH_ROUTES = (("GET", "/health/live"), ("GET", "/health/ready"))
_METRICS_ROUTE = ("GET", "/metrics")
"""For the collector beside the service; no balancer and no gateway leads there."""
_UNMEASURED = frozenset(path for _, path in (*_HEALTH_ROUTES, _METRICS_ROUTE))
"""Asked by machines every few seconds: among few requests they would hide that the others fail."""
_ROUTE = "route"
"""In a request's scope: the template of its path."""
_log = logging.getLogger(__name__)


class Verifier(Protocol):
    """Turns a bearer token into a principal (see `anfl.auth.verifier.TokenVerifier`)."""

    def cached(self, token: str) -> Principal | None:
        """The principal of a token verified a moment ago; None where that must be done (again). Never blocks."""

    def verify(self, token: str) -> Principal:
        """Verify; may block on the network.

        :raises Problem: 401 for a token that is not good, 503 where that cannot be found out.
        """


def json_response(document: object, status: int = HTTPStatus.OK) -> Response:
    """``document`` (anything msgspec encodes) as JSON."""
    return Response(msgspec.json.encode(document), status, media_type="application/json")


def problem_response(problem: Problem, _path: str = "") -> Response:
    """``problem`` as an RFC 9457 document."""
    return Response(msgspec.json.encode(problem.document()), problem.status, headers=problem.headers())


class Service:
    """The ASGI application. Build it with `build`."""

    def __init__(
        self,
        *,
        handlers: Mapping[Route, Handler],
        public: Mapping[tuple[str, str], PublicHandler],
        verifier: Verifier,
        stage_prefix: str,
        max_body: int,
        render: ErrorRenderer,
        lifespan: Lifespan | None,
        metrics: Metrics,
    ) -> None:
        self._handlers = handlers
        self._public = {**public, _METRICS_ROUTE: self._expose}
        self._metrics = metrics
        self._verifier = verifier
        self._stage_prefix = stage_prefix
        self._max_body = max_body
        self._render = render
        self._lifespan = lifespan

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection event, as ASGI defines it."""
        if scope["type"] == "lifespan":
            await self._run_lifespan(receive, send)
        elif scope["type"] == "http":
            await self._respond(scope, receive, send)

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
        if self._stage_prefix and path.startswith(f"{self._stage_prefix}/"):
            path = path[len(self._stage_prefix) :]
        request = Request(scope, _limited(receive, self._max_body))
        request_id = request.headers.get("x-amzn-requestid") or str(uuid.uuid4())
        measured = path not in _UNMEASURED
        if measured:
            self._metrics.began()
        try:
            response = await self._dispatch(request, scope["method"], path)
        except Problem as problem:
            response = self._render(problem, path)
        except Exception:
            _log.exception("unexpected error", extra={"request_id": request_id, "path": path})
            failure = Problem(
                HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", f"Unexpected error; see request {request_id}."
            )
            response = self._render(failure, path)
        response.headers["x-request-id"] = request_id
        try:
            await response(scope, receive, send)
        finally:
            if measured:
                self._metrics.answered(
                    route=scope.get(_ROUTE, UNKNOWN_ROUTE),
                    method=scope["method"],
                    status=response.status_code,
                    seconds=time.perf_counter() - started,
                )
        if _log.isEnabledFor(logging.INFO) and measured:
            _log.info(
                "request",
                extra={
                    "request_id": request_id,
                    "method": scope["method"],
                    "path": path,
                    "status": response.status_code,
                    "milliseconds": round((time.perf_counter() - started) * 1000, 2),
                },
            )

    async def _dispatch(self, request: Request, method: str, path: str) -> Response:
        public = self._public.get((method, path))
        if public is not None:
            request.scope[_ROUTE] = path
            self._refuse_declared_oversize(request)
            return await public(request)
        allowed: list[str] = []
        for route, handler in self._handlers.items():
            parameters = route.parameters(path)
            if parameters is None:
                continue
            request.scope[_ROUTE] = route.path
            if route.method != method:
                allowed.append(route.method)
                continue
            principal = await self._authenticate(request)
            if not is_allowed(principal, route.action):
                raise Problem(HTTPStatus.FORBIDDEN, "forbidden", f"None of your roles grants {route.action}.")
            self._refuse_declared_oversize(request)
            request.scope["path_params"] = parameters
            return await handler(request, principal)
        if allowed:
            methods = ", ".join(sorted(allowed))
            raise Problem(HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", f"{path} takes {methods}.")
        raise not_found(f"There is no {path}.", code="no_such_route")

    async def _expose(self, _request: Request) -> Response:
        return Response(await asyncio.to_thread(self._metrics.exposition), media_type=CONTENT_TYPE)

    async def _authenticate(self, request: Request) -> Principal:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            detail = "Send 'Authorization: Bearer <token>'; POST /v1/auth/token gives one."
            raise Problem(HTTPStatus.UNAUTHORIZED, "token_missing", detail)
        principal = self._verifier.cached(token)
        if principal is None:
            principal = await asyncio.to_thread(self._verifier.verify, token)
        return principal

    def _refuse_declared_oversize(self, request: Request) -> None:
        length = request.headers.get("content-length", "0")
        if length.isdigit() and int(length) > self._max_body:
            raise _over(self._max_body)


def _over(limit: int) -> Problem:
    return too_large(f"A request body holds at most {limit} bytes; split it.")


def _limited(receive: Receive, limit: int) -> Receive:
    """``receive`` that counts, for bodies that declare no length or a wrong one."""
    received = 0

    async def counted() -> Message:
        nonlocal received
        message = await receive()
        if message["type"] == "http.request":
            received += len(message.get("body", b""))
            if received > limit:
                raise _over(limit)
        return message

    return counted


def build(
    handlers: Mapping[tuple[str, str], Handler],
    *,
    verifier: Verifier,
    max_body: int,
    public: Mapping[tuple[str, str], PublicHandler] | None = None,
    stage_prefix: str = "",
    render: ErrorRenderer = problem_response,
    lifespan: Lifespan | None = None,
    metrics: Metrics | None = None,
) -> Service:
    """Assemble a service.

    :param handlers: ``(method, path)`` as in `ROUTES` → handler; path parameters are in ``request.path_params``.
    :param max_body: largest request body in bytes; above it 413.
    :param public: routes without a token: health, and those of `PUBLIC_ROUTES`.
    :param metrics: where requests are counted; ``GET /metrics`` shows them.
    :raises ValueError: a path that is neither in `ROUTES` nor public.
    """
    routes = {(route.method, route.path): route for route in ROUTES}
    unknown = [*(handlers.keys() - routes.keys()), *((public or {}).keys() - {*PUBLIC_ROUTES, *_HEALTH_ROUTES})]
    if unknown:
        raise ValueError(f"routes without an entry in anfl.auth.rbac: {sorted(unknown)}")
    return Service(
        handlers={routes[key]: handler for key, handler in handlers.items()},
        public=public or {},
        verifier=verifier,
        stage_prefix=stage_prefix,
        max_body=max_body,
        render=render,
        lifespan=lifespan,
        metrics=metrics or Metrics(),
    )
