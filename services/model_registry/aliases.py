"""Aliases under ``/v1/models``: as MLflow's calls set and remove them, with problem documents."""

import asyncio

import msgspec
from starlette.requests import Request

from anfl.auth.principal import Principal
from anfl.http.adapters import StarletteHandler
from anfl.http.answers import Answer, Response, json_response
from anfl.registry.aliases import Aliases
from services.model_registry.parameters import Kind, read

PATH = "/v1/models/{name}/aliases/{alias}"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Which version an alias shall name."""

    version: int


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """Which version an alias names."""

    name: str
    alias: str
    version: int


class AliasApi:
    """Sets and removes aliases."""

    def __init__(self, aliases: Aliases) -> None:
        self._aliases = aliases

    def handlers(self) -> dict[tuple[str, str], StarletteHandler]:
        """The routes, by (method, path)."""
        return {("PUT", PATH): self._put, ("DELETE", PATH): self._delete}

    async def _put(self, request: Request, principal: Principal) -> Response:
        name, alias = request.path_params["name"], request.path_params["alias"]
        number = (await read(request, {"version": Kind.INTEGER}, needed=("version",))).number("version", 0)
        await asyncio.to_thread(self._aliases.set, principal.tenant, name, alias, number, by=principal.subject)
        return json_response(Alias(name=name, alias=alias, version=number))

    async def _delete(self, request: Request, principal: Principal) -> Response:
        name, alias = request.path_params["name"], request.path_params["alias"]
        await asyncio.to_thread(self._aliases.delete, principal.tenant, name, alias, by=principal.subject)
        return Answer(b"", 204)
