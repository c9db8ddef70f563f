"""Approvals under ``/v1/models``."""

import asyncio
from collections.abc import Callable
from functools import partial
from http import HTTPStatus

import msgspec
from starlette.requests import Request

from anfl.auth.principal import Principal
from anfl.http.adapters import StarletteHandler
from anfl.http.answers import Response, json_response
from anfl.registry import rules
from anfl.registry.approvals import MOST_PER_PAGE, Approval, Approvals, ApprovalStatus
from anfl.registry.errors import invalid_parameter
from services.model_registry.parameters import Kind, Schema, read

REQUEST = "/v1/models/{name}/versions/{version}/approvals"
ALL = "/v1/models/{name}/approvals"
ONE = "/v1/models/{name}/approvals/{approval}"
_LIST: Schema = {
    "version": Kind.INTEGER,
    "alias": Kind.TEXT,
    "status": Kind.TEXT,
    "limit": Kind.INTEGER,
    "page_token": Kind.TEXT,
}


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """For which alias, and why."""

    alias: str
    comment: str | None = None


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody says to a decision."""

    comment: str | None = None


class ApprovalApi:
    """Asks for approvals, decides, tells."""

    def __init__(self, approvals: Approvals) -> None:
        self._approvals = approvals

    def handlers(self) -> dict[tuple[str, str], StarletteHandler]:
        """The routes, by (method, path)."""
        steps = {
            "approve": self._approvals.approve,
            "reject": self._approvals.reject,
            "withdraw": self._approvals.withdraw,
        }
        decisions: dict[tuple[str, str], StarletteHandler] = {
            ("POST", f"{ONE}/{step}"): partial(_decide, decide=decide) for step, decide in steps.items()
        }
        return {("POST", REQUEST): self._ask, ("GET", ALL): self._list, ("GET", ONE): self._get, **decisions}

    async def _ask(self, request: Request, principal: Principal) -> Response:
        number = rules.version_number(request.path_params["version"])
        given = await read(request, {"alias": Kind.REQUIRED, "comment": Kind.TEXT})
        ask = partial(
            self._approvals.request,
            principal.tenant,
            request.path_params["name"],
            number,
            by=principal.subject,
            alias=given.text("alias"),
            comment=given.optional("comment"),
        )
        return json_response(await asyncio.to_thread(ask), HTTPStatus.CREATED)

    async def _list(self, request: Request, principal: Principal) -> Response:
        given = await read(request, _LIST)
        alias, status = given.optional("alias"), given.optional("status")
        if status is not None and status not in set(ApprovalStatus):
            raise invalid_parameter(f"'status' must be one of {', '.join(ApprovalStatus)}.", field="status")
        page = partial(
            self._approvals.page,
            principal.tenant,
            request.path_params["name"],
            version=given.optional_number("version"),
            wanted=lambda one: alias in (None, one.alias) and status in (None, one.status),
            after=given.optional("page_token") or None,
            limit=given.number("limit", MOST_PER_PAGE),
        )
        return json_response(await asyncio.to_thread(page))

    async def _get(self, request: Request, principal: Principal) -> Response:
        named = request.path_params
        return json_response(
            await asyncio.to_thread(self._approvals.get, principal.tenant, named["name"], named["approval"])
        )


async def _decide(request: Request, principal: Principal, *, decide: Callable[..., Approval]) -> Response:
    comment = (await read(request, {"comment": Kind.TEXT})).optional("comment")
    named = request.path_params
    decision = partial(
        decide, principal.tenant, named["name"], named["approval"], by=principal.subject, comment=comment
    )
    return json_response(await asyncio.to_thread(decision))
