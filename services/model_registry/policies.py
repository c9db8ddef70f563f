"""Policies of aliases under ``/v1/models-policies``."""

import asyncio
from functools import partial

import msgspec
from starlette.requests import Request

from anfl.auth.principal import Principal
from anfl.http.adapters import StarletteHandler
from anfl.http.answers import Answer, Response, json_response
from anfl.registry.policies import AliasPolicy, Policies, Policy, Requirement
from services.model_registry.parameters import read_as

ALL = "/v1/models-policies"
ONE = "/v1/models-policies/{alias}"


class NewPolicy(Policy, frozen=True, kw_only=True):
    """What a version must have; nothing is asked only where that is said."""

    require: tuple[Requirement, ...]


class PolicyList(msgspec.Struct, frozen=True, kw_only=True):
    """Policies, by alias."""

    policies: list[AliasPolicy]


class PolicyApi:
    """Tells and sets policies."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies

    def handlers(self) -> dict[tuple[str, str], StarletteHandler]:
        """The routes, by (method, path)."""
        return {("GET", ALL): self._list, ("PUT", ONE): self._put, ("DELETE", ONE): self._delete}

    async def _list(self, _request: Request, principal: Principal) -> Response:
        return json_response(PolicyList(policies=await asyncio.to_thread(self._policies.all, principal.tenant)))

    async def _put(self, request: Request, principal: Principal) -> Response:
        policy = await read_as(request, NewPolicy)
        put = partial(
            self._policies.put,
            principal.tenant,
            request.path_params["alias"],
            by=principal.subject,
            require=policy.require,
            approvals=policy.approvals,
        )
        return json_response(await asyncio.to_thread(put))

    async def _delete(self, request: Request, principal: Principal) -> Response:
        alias = request.path_params["alias"]
        await asyncio.to_thread(self._policies.delete, principal.tenant, alias, by=principal.subject)
        return Answer(b"", 204)
