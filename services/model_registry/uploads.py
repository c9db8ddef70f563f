"""``/v1/models/{name}/uploads``: where to PUT large files directly, past gateway and service."""

import asyncio
import re

import msgspec
from starlette.requests import Request

from anfl.auth.principal import Principal
from anfl.http.adapters import StarletteHandler
from anfl.http.answers import Response, json_response
from anfl.registry import rules
from anfl.registry.artifact_store import ArtifactStore
from anfl.registry.artifacts import LINK_SECONDS, MAX_PUT_BYTES
from anfl.registry.errors import invalid_parameter
from anfl.registry.folders import folder_of
from services.model_registry.parameters import Kind, read

PATH = "/v1/models/{name}/uploads"
_SHA256 = re.compile(r"[0-9a-f]{64}")


class UploadRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is to be uploaded. ``size`` in bytes, ``sha256`` in hexadecimal."""

    path: str
    """Below the model's folder in the artefact store: ``models/{name}``, with ``_`` for what no path can have."""
    size: int
    sha256: str


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """Where to PUT it, with exactly these headers; any other length or content is refused, and so is a taken path."""

    path: str
    """In the artefact store; ``mlflow-artifacts:/<folder>`` is the source of a version that consists of its files."""
    url: str
    headers: dict[str, str]
    expires_in: int
    """Seconds."""


class Uploads:
    """Gives links for uploads."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    def handlers(self) -> dict[tuple[str, str], StarletteHandler]:
        """The routes, by (method, path)."""
        return {("POST", PATH): self._post}

    async def _post(self, request: Request, principal: Principal) -> Response:
        name = rules.model_name(request.path_params["name"])
        given = await read(request, {"path": Kind.REQUIRED, "size": Kind.INTEGER, "sha256": Kind.REQUIRED})
        size, sha256 = given.number("size", -1), given.text("sha256")
        if not 0 <= size <= MAX_PUT_BYTES:
            raise invalid_parameter(f"'size' must be between 0 and {MAX_PUT_BYTES} bytes.", field="size")
        if _SHA256.fullmatch(sha256) is None:
            raise invalid_parameter("'sha256' must be 64 hexadecimal digits in lower case.", field="sha256")
        path = f"{folder_of(name)}/{given.text('path')}"
        link = await asyncio.to_thread(self._store.upload_link, principal.tenant, path, size=size, sha256=sha256)
        return json_response(Upload(path=path, url=link.url, headers=link.headers, expires_in=LINK_SECONDS), 201)
