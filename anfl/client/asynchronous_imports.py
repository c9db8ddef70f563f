"""Imports, for programs that do something else meanwhile."""

from asyncio import sleep, to_thread
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import httpx

from anfl.client import import_calls as calls
from anfl.client.calls import path_of
from anfl.client.errors import ApiError
from anfl.client.import_calls import FIRST_SECONDS, LONGEST_SECONDS, ImportFailedError, Source
from anfl.client.imports import Sent, Watch, missing_parts, plain
from anfl.client.retries import Retries
from anfl.vectors.imports.model import State
from anfl.vectors.imports.requests import Import, Part, Uploads

if TYPE_CHECKING:
    from anfl.client.asynchronous import AsyncClient


class AsyncImports:
    """The tenant's imports, through an `AsyncClient`; each method as in `anfl.client.imports.Imports`."""

    def __init__(self, client: "AsyncClient") -> None:
        self._client = client

    async def run(
        self, collection: str, paths: Sequence[Path], *, sent: Sent | None = None, watch: Watch | None = None
    ) -> Import:
        """Import files: send them, and wait until every row is stored or refused."""
        uploads = await self.begin(collection, paths)
        await self.send(uploads, paths, sent=sent)
        await self.start(uploads.id)
        ended = await self.wait(uploads.id, watch=watch)
        if ended.state is not State.DONE:
            raise ImportFailedError(ended)
        return ended

    async def begin(self, collection: str, paths: Sequence[Path]) -> Uploads:
        """A new import, whose files are not sent yet."""
        uploads = await self._client.run(calls.begin(collection, [Source.of(path) for path in paths]))
        self._client.homes.share(calls.path_of_import(uploads.id), of=path_of(collection))
        return uploads

    async def missing(self, import_id: str) -> Uploads:
        """What is missing of an import's files, and where to put it."""
        return await self._client.run(calls.missing(import_id))

    async def send(self, uploads: Uploads, paths: Sequence[Path], *, sent: Sent | None = None) -> None:
        """Send what is missing."""
        sources, done = calls.sources_for(uploads, paths), calls.sent_bytes(uploads)
        async with httpx.AsyncClient(**plain(uploads)) as http:
            while any(file.missing for file in uploads.files):
                asked, before = monotonic(), done
                try:
                    for part, source in missing_parts(uploads, sources):
                        if monotonic() - asked > uploads.expires_in / 2:
                            break
                        await _put(http, part, await to_thread(source.read, part))
                        done += part.bytes
                        if sent is not None:
                            sent(done)
                except ApiError as error:
                    if error.status != httpx.codes.FORBIDDEN or done == before:
                        raise
                uploads = await self.missing(uploads.id)

    async def start(self, import_id: str) -> Import:
        """Have stored what was sent."""
        return await self._client.run(calls.start(import_id))

    async def show(self, import_id: str) -> Import:
        """How far an import is."""
        return await self._client.run(calls.show(import_id))

    async def wait(self, import_id: str, *, watch: Watch | None = None) -> Import:
        """Wait while it runs; returns what it is then."""
        pause = FIRST_SECONDS
        while True:
            shown = await self.show(import_id)
            if watch is not None:
                watch(shown)
            if shown.state is not State.RUNNING:
                return shown
            await sleep(pause)
            pause = min(1.5 * pause, LONGEST_SECONDS)

    async def list(self, collection: str | None = None) -> AsyncIterator[Import]:
        """The tenant's imports, the newest first; their errors are left out."""
        cursor: str | None = None
        while True:
            page = await self._client.run(calls.page(collection, cursor))
            for each in page.imports:
                yield each
            cursor = page.cursor
            if cursor is None:
                return

    async def cancel(self, import_id: str) -> Import:
        """Store nothing more of an import."""
        return await self._client.run(calls.cancel(import_id))

    async def redrive(self, import_id: str) -> Import:
        """Try what is not done of an import once more."""
        return await self._client.run(calls.redrive(import_id))


async def _put(http: httpx.AsyncClient, part: Part, data: bytes) -> None:
    retries = Retries(f"part {part.number}", repeatable=True)
    while True:
        try:
            delay = retries.after_answer(await http.put(part.url, content=data))
        except httpx.RequestError as error:
            delay = retries.after_error(error)
        if delay is None:
            return
        await sleep(delay)
