"""Validation of versions: state and request, under ``/v1/models`` and for registration."""

import asyncio

import msgspec
from starlette.requests import Request

from anfl.auth.principal import Principal
from anfl.http.adapters import StarletteHandler
from anfl.http.answers import Response, json_response
from anfl.registry import locations, rules
from anfl.registry.entities import Verdict
from anfl.registry.registry import Registry
from anfl.registry.verdicts import not_inspectable, pending

PATH = "/v1/models/{name}/versions/{version}/validation"


class Validation:
    """Asks for inspections and tells their outcome."""

    def __init__(self, registry: Registry) -> None:
        self._versions = registry.versions
        self._verdicts = registry.verdicts

    def handlers(self) -> dict[tuple[str, str], StarletteHandler]:
        """The routes, by (method, path)."""
        return {("GET", PATH): self._get, ("POST", PATH): self._post}

    def initial(self, location: str) -> Verdict:
        """The state of a new version: pending, or that its artefacts cannot be inspected where they lie."""
        if locations.artifact_path(location) is not None:
            return pending()
        return not_inspectable()

    async def _get(self, request: Request, principal: Principal) -> Response:
        name, number = _named(request)
        verdict = await asyncio.to_thread(self._verdicts.get, principal.tenant, name, number)
        return json_response(_document(verdict or not_inspectable()))

    async def _post(self, request: Request, principal: Principal) -> Response:
        verdict = await asyncio.to_thread(self._ask, principal, *_named(request))
        return json_response(_document(verdict), 202)

    def _ask(self, caller: Principal, name: str, number: int) -> Verdict:
        found = self._versions.get(caller.tenant, name, number)
        if locations.artifact_path(found.version.location) is None:
            verdict = not_inspectable()
            self._verdicts.put(caller.tenant, found, verdict, by=caller.subject)
            return verdict
        return self._verdicts.request(caller.tenant, found, by=caller.subject)


def _named(request: Request) -> tuple[str, int]:
    return request.path_params["name"], rules.version_number(request.path_params["version"])


def _document(verdict: Verdict) -> object:
    return msgspec.to_builtins(verdict)
