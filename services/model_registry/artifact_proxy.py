"""MLflow's artefact proxy: list, download, upload and delete, streamed."""

import asyncio
import mimetypes
import posixpath
from collections.abc import AsyncIterator
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import StreamingResponse

from anfl.auth.principal import Principal
from anfl.http.adapters import StarletteHandler
from anfl.http.answers import Answer, Response, json_response
from anfl.registry.artifacts import Artifacts, Opened

_BASES = ("/api/2.0/mlflow-artifacts/artifacts", "/ajax-api/2.0/mlflow-artifacts/artifacts")
_CHUNK_BYTES = 1024 * 1024


class ArtifactProxy:
    """The proxy over an artefact store."""

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts

    def handlers(self) -> dict[tuple[str, str], StarletteHandler]:
        """The routes, by (method, path)."""
        routes: dict[tuple[str, str], StarletteHandler] = {}
        for base in _BASES:
            routes["GET", base] = self._list
            routes["GET", f"{base}/{{path+}}"] = self._download
            routes["PUT", f"{base}/{{path+}}"] = self._upload
            routes["DELETE", f"{base}/{{path+}}"] = self._delete
        return routes

    async def _list(self, request: Request, principal: Principal) -> Response:
        path = request.query_params.get("path", "")
        entries = await asyncio.to_thread(self._artifacts.entries, principal.tenant, path)
        files = [
            {"path": entry.name, "is_dir": entry.size is None}
            | ({} if entry.size is None else {"file_size": entry.size})
            for entry in entries
        ]
        return json_response({"files": files} if files else {})

    async def _download(self, request: Request, principal: Principal) -> Response:
        path = request.path_params["path"]
        opened = await asyncio.to_thread(
            self._artifacts.open, principal.tenant, path, bytes_range=request.headers.get("range")
        )
        name = posixpath.basename(path)
        headers = {
            "content-length": str(opened.length),
            "content-disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
            "x-content-type-options": "nosniff",
            "accept-ranges": "bytes",
        }
        if opened.content_range is not None:
            headers["content-range"] = opened.content_range
        return StreamingResponse(
            _chunks(opened),
            206 if opened.content_range is not None else 200,
            headers=headers,
            media_type=mimetypes.guess_type(name)[0] or "application/octet-stream",
        )

    async def _upload(self, request: Request, principal: Principal) -> Response:
        writer = await asyncio.to_thread(self._artifacts.writer, principal.tenant, request.path_params["path"])
        try:
            async for chunk in request.stream():
                if writer.wants_flush(chunk):
                    await asyncio.to_thread(writer.flush)
            await asyncio.to_thread(writer.finish)
        except ClientDisconnect:
            await asyncio.to_thread(writer.abort)
            return Answer(b"", 499)
        except BaseException:
            await asyncio.shield(asyncio.to_thread(writer.abort))
            raise
        return json_response({})

    async def _delete(self, request: Request, principal: Principal) -> Response:
        await asyncio.to_thread(self._artifacts.delete, principal.tenant, request.path_params["path"])
        return json_response({})


async def _chunks(opened: Opened) -> AsyncIterator[bytes]:
    try:
        while chunk := await asyncio.to_thread(opened.body.read, _CHUNK_BYTES):
            yield chunk
    finally:
        opened.body.close()
