"""MLflow's webhook calls."""

import asyncio
import base64
import binascii
import re
from functools import partial
from typing import Any

from starlette.requests import Request

from anfl.auth.principal import Principal
from anfl.http.adapters import StarletteHandler
from anfl.http.answers import Response, json_response
from anfl.registry import webhook_rules
from anfl.registry.deliveries import Delivered, Deliveries
from anfl.registry.errors import invalid_parameter
from anfl.registry.webhooks import Webhook, Webhooks
from services.model_registry.mlflow_api import BASES
from services.model_registry.parameters import Kind, Parameters, read

_PER_PAGE = 100
_MOST_PER_PAGE = 1000
_FIELDS = {
    "name": Kind.TEXT,
    "url": Kind.TEXT,
    "events": Kind.EVENTS,
    "description": Kind.TEXT,
    "secret": Kind.TEXT,
    "status": Kind.TEXT,
}


class WebhookApi:
    """The calls over webhooks and what sends their requests."""

    def __init__(self, webhooks: Webhooks, deliveries: Deliveries) -> None:
        self._webhooks = webhooks
        self._deliveries = deliveries

    def handlers(self) -> dict[tuple[str, str], StarletteHandler]:
        """Every call under both bases, by (method, path)."""
        routes: dict[tuple[str, str], StarletteHandler] = {}
        for base in BASES:
            routes["POST", f"{base}/webhooks"] = self._create
            routes["GET", f"{base}/webhooks"] = self._list
            routes["GET", f"{base}/webhooks/{{webhook_id}}"] = self._get
            routes["PATCH", f"{base}/webhooks/{{webhook_id}}"] = self._update
            routes["DELETE", f"{base}/webhooks/{{webhook_id}}"] = self._delete
            routes["POST", f"{base}/webhooks/{{webhook_id}}/test"] = self._test
        return routes

    async def _create(self, request: Request, principal: Principal) -> Response:
        given = await read(request, _FIELDS, needed=("name", "url"))
        create = partial(
            self._webhooks.create,
            principal.tenant,
            name=given.text("name"),
            url=given.text("url"),
            events=given.events() or [],
            by=principal.subject,
        )
        return _answer(await asyncio.to_thread(create, **_others(given)))

    async def _list(self, request: Request, principal: Principal) -> Response:
        given = await read(request, {"max_results": Kind.INTEGER, "page_token": Kind.TEXT})
        limit = given.number("max_results", _PER_PAGE)
        if not 1 <= limit <= _MOST_PER_PAGE:
            message = f"max_results must be between 1 and {_MOST_PER_PAGE}."
            raise invalid_parameter(message, field="max_results")
        offset = _offset(given.optional("page_token"))
        found = await asyncio.to_thread(self._webhooks.all, principal.tenant)
        answer: dict[str, Any] = {}
        if page := found[offset : offset + limit]:
            answer["webhooks"] = [_document(webhook) for webhook in page]
        if len(found) > offset + limit:
            answer["next_page_token"] = base64.b64encode(b'{"offset": %d}' % (offset + limit)).decode()
        return json_response(answer)

    async def _get(self, request: Request, principal: Principal) -> Response:
        return _answer(await asyncio.to_thread(self._webhooks.get, principal.tenant, request.path_params["webhook_id"]))

    async def _update(self, request: Request, principal: Principal) -> Response:
        given = await read(request, _FIELDS)
        update = partial(
            self._webhooks.update,
            principal.tenant,
            request.path_params["webhook_id"],
            name=given.optional("name"),
            url=given.optional("url") or None,
            events=given.events() or None,
            by=principal.subject,
        )
        return _answer(await asyncio.to_thread(update, **_others(given)))

    async def _delete(self, request: Request, principal: Principal) -> Response:
        await asyncio.to_thread(
            self._webhooks.delete, principal.tenant, request.path_params["webhook_id"], by=principal.subject
        )
        return json_response({})

    async def _test(self, request: Request, principal: Principal) -> Response:
        given = await read(request, {"event": Kind.EVENT})
        event = given.event()
        chosen = None if event is None else webhook_rules.events([event])[0]
        webhook = await asyncio.to_thread(self._webhooks.get, principal.tenant, request.path_params["webhook_id"])
        tested = await asyncio.to_thread(self._deliveries.test, principal.tenant, webhook, chosen)
        return json_response({"result": _result(tested)})


def _others(given: Parameters) -> dict[str, str | None]:
    return {name: given.optional(name) or None for name in ("description", "secret", "status")}


def _offset(token: str | None) -> int:
    if not token:
        return 0
    try:
        decoded = base64.b64decode(token, validate=True)
    except (binascii.Error, ValueError):
        raise invalid_parameter("Invalid page token, could not base64-decode", field="page_token") from None
    match = re.fullmatch(rb'\{"offset": (\d{1,9})\}', decoded)
    if match is None:
        raise invalid_parameter(f"Invalid page token, decoded value={decoded!r}", field="page_token")
    return int(match[1])


def _answer(webhook: Webhook) -> Response:
    return json_response({"webhook": _document(webhook)})


def _document(webhook: Webhook) -> dict[str, Any]:
    """``Webhook``: all but the secret."""
    pairs = [event.split(".") for event in webhook.events]
    document = {
        "webhook_id": webhook.id,
        "name": webhook.name,
        "url": webhook.url,
        "events": [{"entity": entity, "action": action} for entity, action in pairs],
        "status": webhook.status,
        "creation_timestamp": webhook.created_at,
        "last_updated_timestamp": webhook.updated_at,
    }
    return document if webhook.description is None else document | {"description": webhook.description}


def _result(delivered: Delivered) -> dict[str, Any]:
    """``WebhookTestResult``."""
    if delivered.error is not None:
        return {"success": False, "error_message": f"Failed to test webhook: {delivered.error}"}
    return {
        "success": delivered.success,
        "response_status": delivered.status,
        "response_body": delivered.body,
    }
