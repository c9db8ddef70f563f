"""The audit under ``/v1/models``: entries page by page, and which models have a chain of them."""

import asyncio
from collections.abc import Mapping
from functools import partial

from starlette.requests import Request

from anfl.auth.principal import Principal
from anfl.http.adapters import StarletteHandler
from anfl.http.answers import Response, json_response
from anfl.registry import pages
from anfl.registry.trails import MOST_PER_PAGE, PER_PAGE, Trails
from services.model_registry.parameters import Kind, Parameters, Schema, read

MODEL = "/v1/models/{name}/audit"
TENANT = "/v1/models-audit"
CHAINS = "/v1/models-audit/chains"
PAGED: Mapping[str, str] = {"limit": "integer", "page_token": "string"}
_PAGED: Schema = {"limit": Kind.INTEGER, "page_token": Kind.TEXT}


class AuditApi:
    """Tells what was changed by whom."""

    def __init__(self, trails: Trails) -> None:
        self._trails = trails

    def handlers(self) -> dict[tuple[str, str], StarletteHandler]:
        """The routes, by (method, path)."""
        return {("GET", MODEL): self._of_model, ("GET", TENANT): self._of_tenant, ("GET", CHAINS): self._chains}

    async def _of_model(self, request: Request, principal: Principal) -> Response:
        given = await read(request, {**_PAGED, "model_id": Kind.TEXT})
        page = partial(
            self._trails.of_model,
            principal.tenant,
            request.path_params["name"],
            model_id=given.optional("model_id"),
            after=_after(given),
            limit=given.number("limit", PER_PAGE),
        )
        return json_response(await asyncio.to_thread(page))

    async def _of_tenant(self, request: Request, principal: Principal) -> Response:
        given = await read(request, _PAGED)
        page = partial(
            self._trails.of_tenant, principal.tenant, after=_after(given), limit=given.number("limit", PER_PAGE)
        )
        return json_response(await asyncio.to_thread(page))

    async def _chains(self, request: Request, principal: Principal) -> Response:
        given = await read(request, _PAGED)
        page = partial(
            self._trails.chains,
            principal.tenant,
            after=given.optional("page_token") or None,
            limit=given.number("limit", MOST_PER_PAGE),
        )
        return json_response(await asyncio.to_thread(page))


def _after(given: Parameters) -> int:
    """The entry beyond which the page begins: a token is its number."""
    token = given.optional("page_token") or "0"
    if not (token.isascii() and token.isdigit() and len(token) <= 12):
        raise pages.unknown_token()
    return int(token)
