"""Calls what stands behind a method, and turns its answer into a response."""

import base64
import binascii
import io
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote

import aiohttp
from yarl import URL

from local.gateway.balancer import BAD_GATEWAY, UNAVAILABLE
from local.gateway.body import MAX_PAYLOAD
from local.gateway.declared import HttpProxy, LambdaProxy
from local.gateway.functions import FunctionFailedError, Functions
from local.gateway.responses import Answer, Header, Refusal, Refused, context_value
from local.gateway.targets import Group, Target

_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_NOT_FORWARDED = _HOP | {"host", "content-length", "expect"}
_REMAPPED = frozenset({"www-authenticate", "server", "date"})
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """One admitted request."""

    method: str
    raw_path: str
    """Percent-encoded, without the stage."""
    query: str
    headers: list[tuple[str, str]]
    """Names in lower case, in the order received."""
    path_parameters: Mapping[str, str]
    body: bytes
    context: Mapping[str, Any]
    """``$context``."""


async def call_function(integration: LambdaProxy, functions: Functions, request: Incoming) -> Answer:
    """Lambda proxy integration, format 1.0. Every body is binary (``binaryMediaTypes: */*``), so base64.

    :raises Refused: the function failed (502), took too long, or answered what is no proxy response (502).
    """
    try:
        result = await functions.invoke(integration.arn, proxy_event(request), timeout=integration.timeout)
    except TimeoutError as error:
        raise Refused(Refusal.INTEGRATION_TIMEOUT) from error
    except (FunctionFailedError, aiohttp.ClientError, ValueError) as error:
        raise Refused(Refusal.DEFAULT_5XX, f"{integration.arn}: {error!r}") from error
    return proxy_answer(result)


def proxy_event(request: Incoming) -> dict[str, Any]:
    """The event of a Lambda proxy integration."""
    pairs = parse_qsl(request.query, keep_blank_values=True)
    context = request.context
    return {
        "resource": context["resourcePath"],
        "path": request.raw_path,
        "httpMethod": request.method,
        "headers": dict(request.headers) or None,
        "multiValueHeaders": _grouped(request.headers) or None,
        "queryStringParameters": dict(pairs) or None,
        "multiValueQueryStringParameters": _grouped(pairs) or None,
        "pathParameters": dict(request.path_parameters) or None,
        "stageVariables": None,
        "requestContext": dict(context),
        "body": base64.b64encode(request.body).decode() if request.body else None,
        "isBase64Encoded": bool(request.body),
    }


def proxy_answer(result: Any) -> Answer:  # noqa: ANN401 - whatever the function returned
    """The response that a Lambda proxy result describes.

    :raises Refused: it describes none.
    """
    if not isinstance(result, dict) or not str(result.get("statusCode", "")).isdigit():
        raise Refused(Refusal.DEFAULT_5XX, "Malformed Lambda proxy response: no statusCode")
    headers = [(str(k).lower(), str(v)) for k, v in (result.get("headers") or {}).items()]
    multiple = [
        (str(k).lower(), str(v)) for k, values in (result.get("multiValueHeaders") or {}).items() for v in values
    ]
    replaced = {name for name, _ in multiple}
    body = result.get("body") or ""
    if not isinstance(body, str):
        raise Refused(Refusal.DEFAULT_5XX, "Malformed Lambda proxy response: body is no string")
    try:
        content = base64.b64decode(body, validate=True) if result.get("isBase64Encoded") else body.encode()
    except binascii.Error as error:
        raise Refused(Refusal.DEFAULT_5XX, "Malformed Lambda proxy response: body is no base64") from error
    kept = _returned([*((k, v) for k, v in headers if k not in replaced), *multiple])
    if not any(name == b"content-type" for name, _ in kept):
        kept.append((b"content-type", b"application/json"))
    return Answer(status=int(result["statusCode"]), headers=kept, body=content)


async def call_service(
    integration: HttpProxy, session: aiohttp.ClientSession, request: Incoming, *, stage: str
) -> Answer:
    """HTTP proxy integration through the VPC link: the stage stands before the path.

    :raises Refused: no answer in time, or one that is too large.
    """
    path = f"/{stage}{request.raw_path}"
    group = integration.balancer.choose(request.method, path)
    if isinstance(group, Answer):
        return group
    with group.take() as target:
        return await _call(integration, session, request, path=path, group=group, target=target)


async def _call(
    integration: HttpProxy,
    session: aiohttp.ClientSession,
    request: Incoming,
    *,
    path: str,
    group: Group,
    target: Target,
) -> Answer:
    url = URL(f"{target.url}{path}{f'?{request.query}' if request.query else ''}", encoded=True)
    headers = [(k, v) for k, v in request.headers if k not in _NOT_FORWARDED and not k.startswith("x-forwarded-")]
    headers += [("host", integration.host), *_forwarded(request), *_mapped(integration, request)]
    try:
        async with session.request(
            request.method,
            url,
            data=io.BytesIO(request.body) if request.body else None,
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=integration.timeout),
        ) as response:
            body = await response.read()
            returned = _returned((k.decode("latin-1").lower(), v.decode("latin-1")) for k, v in response.raw_headers)
    except aiohttp.ClientConnectorError as error:
        _log.warning("no target for %s: %s", path, error)
        group.refused(target)
        return UNAVAILABLE
    except TimeoutError as error:
        raise Refused(Refusal.INTEGRATION_TIMEOUT) from error
    except aiohttp.ClientError as error:
        _log.warning("target closed the connection of %s: %r", path, error)
        return BAD_GATEWAY
    if len(body) > MAX_PAYLOAD:
        raise Refused(Refusal.API_CONFIGURATION_ERROR, f"integration response of {len(body)} bytes")
    return Answer(status=response.status, headers=returned, body=body)


def _forwarded(request: Incoming) -> list[tuple[str, str]]:
    source = context_value("context.identity.sourceIp", request.context)
    trace = f"Root=1-{int(time.time()):08x}-{request.context['requestId'].replace('-', '')[:24]}"
    return [
        ("x-forwarded-for", source),
        ("x-forwarded-proto", "http"),
        ("x-amzn-trace-id", trace),
        ("x-amzn-apigateway-api-id", str(request.context["apiId"])),
    ]


def _mapped(integration: HttpProxy, request: Incoming) -> list[tuple[str, str]]:
    """Headers that ``RequestParameters`` adds; path and query parameters are already in the forwarded URL."""
    prefix = "integration.request.header."
    headers = dict(request.headers)
    found = []
    for name, source in integration.parameters.items():
        if not name.startswith(prefix):
            continue
        if source.startswith("'"):
            value = source[1:-1]
        elif source.startswith("context."):
            value = context_value(source, request.context)
        elif source.startswith("method.request.path."):
            value = quote(request.path_parameters.get(source.rsplit(".", 1)[1], ""), safe="")
        else:
            value = headers.get(source.removeprefix("method.request.header.").lower(), "")
        if value:
            found.append((name.removeprefix(prefix), value))
    return found


def _returned(headers: Iterable[tuple[str, str]]) -> list[Header]:
    """Response headers as API Gateway passes them on: its own framing, some names remapped."""
    return [
        ((f"x-amzn-remapped-{name}" if name in _REMAPPED else name).encode("latin-1"), value.encode("latin-1"))
        for name, value in headers
        if name not in _HOP and name != "content-length"
    ]


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return grouped
