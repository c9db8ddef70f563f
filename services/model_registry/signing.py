"""Signatures of versions, and the keys that are believed, under ``/v1``."""

import asyncio
from functools import partial
from http import HTTPStatus

import msgspec
from starlette.requests import Request

from anfl.auth.principal import Principal
from anfl.http.adapters import StarletteHandler
from anfl.http.answers import Answer, Response, json_response
from anfl.registry import rules
from anfl.registry.signatures import Signatures, VersionSignature
from anfl.registry.signing_keys import SigningKey, SigningKeys
from services.model_registry.parameters import Kind, read

SIGNATURES = "/v1/models/{name}/versions/{version}/signatures"
KEYS = "/v1/models-keys"
KEY = "/v1/models-keys/{key}"


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """A signature: the text of the file that `model-signing` wrote."""

    bundle: str


class SignatureList(msgspec.Struct, frozen=True, kw_only=True):
    """A version's signatures."""

    signatures: list[VersionSignature]


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key in PEM, and whose it is."""

    name: str
    public_key: str


class KeyList(msgspec.Struct, frozen=True, kw_only=True):
    """Keys, the oldest first."""

    keys: list[SigningKey]


class SigningApi:
    """Takes signatures and keys, and tells them."""

    def __init__(self, signatures: Signatures, keys: SigningKeys) -> None:
        self._signatures = signatures
        self._keys = keys

    def handlers(self) -> dict[tuple[str, str], StarletteHandler]:
        """The routes, by (method, path)."""
        return {
            ("GET", SIGNATURES): self._list,
            ("POST", SIGNATURES): self._add,
            ("GET", KEYS): self._list_keys,
            ("POST", KEYS): self._add_key,
            ("DELETE", KEY): self._remove_key,
        }

    async def _list(self, request: Request, principal: Principal) -> Response:
        found = await asyncio.to_thread(self._signatures.all, principal.tenant, *_named(request))
        return json_response(SignatureList(signatures=found))

    async def _add(self, request: Request, principal: Principal) -> Response:
        bundle = (await read(request, {"bundle": Kind.REQUIRED})).text("bundle")
        add = partial(self._signatures.add, principal.tenant, *_named(request), by=principal.subject, bundle=bundle)
        return json_response(await asyncio.to_thread(add), HTTPStatus.CREATED)

    async def _list_keys(self, _request: Request, principal: Principal) -> Response:
        return json_response(KeyList(keys=await asyncio.to_thread(self._keys.all, principal.tenant)))

    async def _add_key(self, request: Request, principal: Principal) -> Response:
        given = await read(request, {"name": Kind.REQUIRED, "public_key": Kind.REQUIRED})
        add = partial(
            self._keys.add,
            principal.tenant,
            by=principal.subject,
            name=given.text("name"),
            pem=given.text("public_key"),
        )
        return json_response(await asyncio.to_thread(add), HTTPStatus.CREATED)

    async def _remove_key(self, request: Request, principal: Principal) -> Response:
        key = request.path_params["key"]
        await asyncio.to_thread(self._keys.remove, principal.tenant, key, by=principal.subject)
        return Answer(b"", HTTPStatus.NO_CONTENT)


def _named(request: Request) -> tuple[str, int]:
    return request.path_params["name"], rules.version_number(request.path_params["version"])
