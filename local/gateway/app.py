"""The ASGI application: admits, routes, authorizes and integrates each request in API Gateway's order."""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp

from local.gateway.body import Body
from local.gateway.declared import HttpProxy, Method, RestApi
from local.gateway.functions import Functions
from local.gateway.health import watch
from local.gateway.integrations import Incoming, call_function, call_service
from local.gateway.responses import Answer, Refusal, Refused

HEALTH_PATH = "/_anfl/health"
RELOAD_PATH = "/_anfl/reload"
_log = logging.getLogger(__name__)


class Gateway:
    """Serves one region's REST API where its custom domain would stand: paths without the stage."""

    def __init__(self, load: Callable[[], RestApi], *, endpoint: str) -> None:
        """Serve what ``load`` finds, now and after each reload; functions are invoked at ``endpoint``."""
        self._load = load
        self._endpoint = endpoint
        self._api = load()
        self._session: aiohttp.ClientSession
        self._watching: asyncio.Task[None]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        """One connection event, as ASGI defines it."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            answer = await self._answer(scope, receive)
            headers = [*answer.headers, (b"content-length", str(len(answer.body)).encode())]
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})

    async def _lifespan(self, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        await receive()
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
        skipped = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
        async with aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=skipped,
            trust_env=False,
        ) as self._session:
            self._watch()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self._watching.cancel()
        await send({"type": "lifespan.shutdown.complete"})

    def _watch(self) -> None:
        groups = {group for balancer in self._api.balancers for group in balancer.groups}
        self._watching = asyncio.create_task(watch(groups, self._session))

    async def _answer(self, scope: Any, receive: Any) -> Answer:  # noqa: ANN401 - ASGI
        started = time.perf_counter()
        if scope["path"].startswith("/_anfl/"):
            return await self._control(scope)
        api = self._api
        context = _context(scope, api)
        headers = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in scope["headers"]]
        body = Body(receive, dict(headers))
        try:
            answer = await self._serve(scope, body, api, context, headers)
        except Refused as refused:
            answer = api.responses.render(refused.refusal, context, accept=dict(headers).get("accept", ""))
            if answer.status >= 500:
                _log.error("%s %s: %s", scope["method"], scope["path"], refused)
        except Exception:
            _log.exception("%s %s", scope["method"], scope["path"])
            answer = api.responses.render(Refusal.API_CONFIGURATION_ERROR, context)
        await body.discard()
        answer.headers.append((b"x-amzn-requestid", context["requestId"].encode()))
        if _log.isEnabledFor(logging.INFO):
            milliseconds = (time.perf_counter() - started) * 1000
            extra = {
                "request_id": context["requestId"],
                "method": scope["method"],
                "path": scope["path"],
                "status": answer.status,
                "milliseconds": round(milliseconds, 2),
            }
            _log.info("request", extra=extra)
        return answer

    async def _control(self, scope: Any) -> Answer:  # noqa: ANN401 - ASGI
        if (scope["method"], scope["path"]) == ("POST", RELOAD_PATH):
            self._api = await asyncio.to_thread(self._load)
            self._watching.cancel()
            self._watch()
        elif scope["path"] != HEALTH_PATH:
            return Answer(status=404)
        return Answer(status=204)

    async def _serve(
        self,
        scope: Any,  # noqa: ANN401 - ASGI
        body: Body,
        api: RestApi,
        context: dict[str, Any],
        headers: list[tuple[str, str]],
    ) -> Answer:
        named = dict(headers)
        body.check_length()
        verb, raw_path = scope["method"], _raw_path(scope)
        found = api.router.find(raw_path)
        method = None if found is None else found[0].get(verb) or found[0].get("ANY")
        if found is None or method is None:
            raise Refused(Refusal.MISSING_AUTHENTICATION_TOKEN)
        context["resourcePath"] = method.path
        functions = Functions(self._session, endpoint=self._endpoint, region=api.region)
        if method.authorizer is not None:
            arn = api.method_arn(verb, raw_path)
            context["authorizer"] = await method.authorizer.authorize(functions, named, arn)
        request = Incoming(
            method=verb,
            raw_path=raw_path,
            query=scope["query_string"].decode("latin-1"),
            headers=headers,
            path_parameters=found[1],
            body=await body.read(),
            context=context,
        )
        return await self._integrate(method, functions, request, api)

    async def _integrate(self, method: Method, functions: Functions, request: Incoming, api: RestApi) -> Answer:
        if isinstance(method.integration, HttpProxy):
            answer = await call_service(method.integration, self._session, request, stage=api.stage)
        else:
            answer = await call_function(method.integration, functions, request)
        return Answer(status=answer.status, headers=list(answer.headers), body=answer.body)


def _raw_path(scope: Any) -> str:  # noqa: ANN401 - ASGI
    """The path as it was sent, percent-encoded: decoded, it may hold what no header can."""
    raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw_path.decode("latin-1")


def _context(scope: Any, api: RestApi) -> dict[str, Any]:  # noqa: ANN401 - ASGI
    """The ``$context`` variables that are known before routing."""
    request_id = str(uuid.uuid4())
    now = time.time()
    names = dict(scope["headers"])
    return {
        "accountId": api.account,
        "apiId": api.api_id,
        "domainName": names.get(b"host", b"").decode("latin-1"),
        "extendedRequestId": request_id,
        "httpMethod": scope["method"],
        "identity": {
            "sourceIp": (scope.get("client") or ("127.0.0.1",))[0],
            "userAgent": names.get(b"user-agent", b"").decode("latin-1"),
        },
        "path": _raw_path(scope),
        "protocol": f"HTTP/{scope['http_version']}",
        "requestId": request_id,
        "requestTime": datetime.fromtimestamp(now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "requestTimeEpoch": int(now * 1000),
        "stage": api.stage,
    }
