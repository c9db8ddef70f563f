"""MLflow's artefact proxy: list, download, upload and delete, streamed; upload in parts and presigned links."""

import asyncio
import hashlib
import mimetypes
import posixpath
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response as HeadersOnly
from starlette.responses import StreamingResponse

from anfl.auth.principal import Principal
from anfl.http.adapters import StarletteHandler
from anfl.http.answers import Answer, Response, json_response
from anfl.registry.artifact_store import ArtifactStore, Verified
from anfl.registry.artifacts import MAX_PARTS
from anfl.registry.errors import invalid_parameter
from services.model_registry.parameters import LARGEST_BODY_BYTES, Kind, Parameters, read
from services.model_registry.shares import Shares
from services.model_registry.transfers import Passing

_BASES = ("/api/2.0/mlflow-artifacts", "/ajax-api/2.0/mlflow-artifacts")
_CHUNK_BYTES = 1024 * 1024
_MOST_LINKS, _MOST_LINKS_OF_TENANT = 2 * MAX_PARTS, MAX_PARTS
"""That are signed at a time: ten thousand take a processor for seconds, and a request for them a hundred bytes."""
_UPLOAD = {"path": Kind.REQUIRED, "upload_id": Kind.REQUIRED}


class CorruptError(Exception):
    """What S3 gave is not what was recorded; the connection breaks off before the last byte."""


class ArtifactProxy:
    """The proxy over an artefact store."""

    def __init__(self, store: ArtifactStore, transfers: Shares) -> None:
        self._store = store
        self._transfers = transfers
        self._links = Shares("links", most=_MOST_LINKS, most_of_tenant=_MOST_LINKS_OF_TENANT)

    def streams(self) -> dict[tuple[str, str], StarletteHandler]:
        """The routes by which artefacts pass, by (method, path)."""
        routes: dict[tuple[str, str], StarletteHandler] = {}
        for base in _BASES:
            routes["GET", f"{base}/artifacts/{{path+}}"] = self._download
            routes["PUT", f"{base}/artifacts/{{path+}}"] = self._upload
        return routes

    def handlers(self) -> dict[tuple[str, str], StarletteHandler]:
        """The other routes, by (method, path)."""
        routes: dict[tuple[str, str], StarletteHandler] = {}
        for base in _BASES:
            routes["GET", f"{base}/artifacts"] = self._list
            routes["DELETE", f"{base}/artifacts/{{path+}}"] = self._delete
            routes["GET", f"{base}/presigned/{{path+}}"] = self._link
            routes["POST", f"{base}/mpu/create/{{path+}}"] = self._begin_parts
            routes["POST", f"{base}/mpu/complete/{{path+}}"] = self._complete_parts
            routes["POST", f"{base}/mpu/abort/{{path+}}"] = self._abort_parts
        return routes

    async def _list(self, request: Request, principal: Principal) -> Response:
        path = (await read(request, {"path": Kind.TEXT})).optional("path") or ""
        entries = await asyncio.to_thread(self._store.entries, principal.tenant, path)
        files = [
            {"path": entry.name, "is_dir": entry.size is None}
            | ({} if entry.size is None else {"file_size": entry.size})
            for entry in entries
        ]
        return json_response({"files": files} if files else {})

    async def _download(self, request: Request, principal: Principal) -> Response:
        path = request.path_params["path"]
        async with AsyncExitStack() as ending:
            ending.enter_context(self._transfers.taken(principal.tenant))
            verified = await asyncio.to_thread(
                self._store.open, principal.tenant, path, bytes_range=request.headers.get("range")
            )
            # It waits for the thread that reads, if there is one: as long as S3 gives nothing.
            ending.push_async_callback(asyncio.to_thread, verified.opened.body.close)
            status, headers = _head(path, verified)
            media_type = mimetypes.guess_type(posixpath.basename(path))[0] or "application/octet-stream"
            if request.method == "HEAD":  # of which no server sends on what a stream would read to its end
                return HeadersOnly(None, status, headers, media_type)
            return Passing(StreamingResponse(_chunks(verified), status, headers, media_type), ending.pop_all())

    async def _upload(self, request: Request, principal: Principal) -> Response:
        tenant = principal.tenant
        with self._transfers.taken(tenant):
            writer = await asyncio.to_thread(self._store.writer, tenant, request.path_params["path"])
            try:
                async for chunk in request.stream():
                    if writer.wants_flush(chunk):
                        await asyncio.to_thread(writer.flush)
                stored, sha256 = await asyncio.to_thread(writer.finish)
            except ClientDisconnect:
                await asyncio.to_thread(writer.abort)
                return Answer(b"", 499)
            except BaseException:
                await asyncio.shield(asyncio.to_thread(writer.abort))
                raise
        await asyncio.to_thread(self._store.uploaded, tenant, stored, sha256)
        return json_response({})

    async def _delete(self, request: Request, principal: Principal) -> Response:
        await asyncio.to_thread(self._store.delete, principal.tenant, request.path_params["path"])
        return json_response({})

    async def _link(self, request: Request, principal: Principal) -> Response:
        link = await asyncio.to_thread(self._store.link, principal.tenant, request.path_params["path"])
        recorded = {} if link.sha256 is None else {"sha256": link.sha256}
        return json_response({"url": link.url, "headers": {}, "file_size": link.size} | recorded)

    async def _begin_parts(self, request: Request, principal: Principal) -> Response:
        given = await read(request, {"path": Kind.REQUIRED, "num_parts": Kind.INTEGER})
        path, parts = _file(request, given), given.number("num_parts", 1)
        with self._links.taken(principal.tenant, min(max(parts, 0), MAX_PARTS)):
            upload, urls = await asyncio.to_thread(self._store.begin_parts, principal.tenant, path, parts)
        credentials = [{"url": url, "part_number": number, "headers": {}} for number, url in enumerate(urls, 1)]
        return json_response({"upload_id": upload, "credentials": credentials})

    async def _complete_parts(self, request: Request, principal: Principal) -> Response:
        # MLflow's client sends the link of each along, 2 KB.
        given = await read(request, _UPLOAD | {"parts": Kind.PARTS}, most=LARGEST_BODY_BYTES)
        if not given.parts():
            raise invalid_parameter("Missing value for required parameter 'parts'.", field="parts")
        path, upload = _file(request, given), given.text("upload_id")
        await asyncio.to_thread(self._store.complete_parts, principal.tenant, path, upload, given.parts())
        return json_response({})

    async def _abort_parts(self, request: Request, principal: Principal) -> Response:
        given = await read(request, _UPLOAD)
        path, upload = _file(request, given), given.text("upload_id")
        await asyncio.to_thread(self._store.abort_parts, principal.tenant, path, upload)
        return json_response({})


def _file(request: Request, given: Parameters) -> str:
    """The file's place: the folder is in the URL, and of the path on the caller's disk its name counts."""
    return posixpath.join(request.path_params["path"], posixpath.basename(given.text("path")))


def _head(path: str, verified: Verified) -> tuple[int, dict[str, str]]:
    """Status and headers of a download."""
    opened = verified.opened
    headers = {
        "content-length": str(opened.length),
        "content-disposition": f"attachment; filename*=UTF-8''{quote(posixpath.basename(path), safe='')}",
        "accept-ranges": "bytes",
    }
    if verified.sha256 is not None:
        headers["x-anfl-sha256"] = verified.sha256
    if opened.content_range is not None:
        headers["content-range"] = opened.content_range
    return 206 if opened.content_range is not None else 200, headers


async def _chunks(verified: Verified) -> AsyncIterator[bytes]:
    """The bytes; the last of them only once all are known to be the recorded ones (a range cannot be known to be).

    :raises CorruptError: they are not.
    """
    opened = verified.opened
    check = verified.sha256 if opened.content_range is None else None
    digest = hashlib.sha256()
    read_chunk: Callable[[], Awaitable[bytes]] = lambda: asyncio.to_thread(opened.body.read, _CHUNK_BYTES)  # noqa: E731
    chunk = await read_chunk()
    while chunk:
        if check is not None:
            digest.update(chunk)
        following = await read_chunk()
        if not following and check is not None and digest.hexdigest() != check:
            raise CorruptError(f"{opened.version} has not the recorded sha256")
        yield chunk
        chunk = following
