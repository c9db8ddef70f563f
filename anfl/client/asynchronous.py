"""The same client for programs that do something else meanwhile."""

import os
from asyncio import CancelledError, Semaphore, Task, create_task, gather, shield, sleep
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, Self, TypeVar

import httpx
from numpy.typing import ArrayLike

from anfl.client import calls
from anfl.client.asynchronous_imports import AsyncImports
from anfl.client.calls import FIRST_SECONDS, LONGEST_SECONDS, Call, PageT, Patch, is_building
from anfl.client.client import Progress
from anfl.client.connection import TIMEOUT, built, options, reading
from anfl.client.errors import ApiError, ConflictError, NotFoundError, UnreachableError
from anfl.client.homes import HOPS, Homes
from anfl.client.retries import Retries
from anfl.client.rows import BATCH_ROWS, Match, NewRow, Row, Sent, batches
from anfl.client.session import Session
from anfl.vectors.moving.requests import Moved
from anfl.vectors.naming import Alias, NamedSnapshot
from anfl.vectors.requests import MAX_ROWS, Deletion, Described, Stats, Warmed, Written

CONNECTIONS = 100
"""At a time; other calls wait."""
T = TypeVar("T")


class AsyncClient:
    """A connection to the API, and the session that goes with it: reads see what this client wrote before.

    For one event loop; any number of calls may be under way. All errors are those of `anfl.client.errors`.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        token: str | None = None,
        timeout: httpx.Timeout | float = TIMEOUT,
        ca: str | os.PathLike[str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """:param timeout: seconds of silence after which an attempt is given up.

        :param ca: file of certificates to trust beside those that everybody trusts; by default ``ANFL_CA`` names it.
        :raises UnsendableError: ``endpoint`` or ``token`` is none, or ``ca`` holds none.
        """
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=20)
        self._http = httpx.AsyncClient(transport=transport, limits=limits, **options(endpoint, token, timeout, ca))
        self.endpoint = endpoint
        self.session = Session()
        self.homes = Homes(endpoint)
        self.imports = AsyncImports(self)
        self._connections = Semaphore(CONNECTIONS)
        self._abandoned: set[Task[httpx.Response]] = set()
        """Attempts whose callers were cancelled."""

    async def __aenter__(self) -> Self:
        """Use as a context manager to close the connections."""
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Close the connections."""
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        abandoned = tuple(self._abandoned)
        for attempt in abandoned:
            attempt.cancel()
        await gather(*abandoned, return_exceptions=True)
        await self._http.aclose()

    async def create_collection(
        self,
        name: str,
        *,
        dimension: int,
        metric: str = "cosine",
        fields: Mapping[str, str] | None = None,
        index: Mapping[str, int] | None = None,
        engine: str | None = None,
    ) -> "AsyncCollection":
        """Create a collection; no error if it exists with these settings."""
        settings = {"dimension": dimension, "metric": metric, "fields": fields, "index": index, "engine": engine}
        await self.run(calls.create(name, settings))
        return self.collection(name)

    def collection(self, name: str) -> "AsyncCollection":
        """The collection ``name``; nothing is asked yet."""
        return AsyncCollection(self, name)

    async def collections(self) -> list[Described]:
        """The tenant's collections by name, of however many pages."""
        return [each async for page in self.pages(calls.collections) for each in page.collections]

    async def set_alias(self, alias: str, collection: str) -> Alias:
        """Let ``alias`` stand for ``collection`` from now on; nobody finds it standing for nothing in between."""
        made = await self.run(calls.set_alias(alias, collection))
        self.forget(alias)
        return made

    async def aliases(self) -> list[Alias]:
        """The tenant's aliases by name, of however many pages."""
        return [each async for page in self.pages(calls.aliases) for each in page.aliases]

    async def delete_alias(self, alias: str) -> None:
        """Let ``alias`` stand for nothing; the collection stays."""
        await self.run(calls.delete_alias(alias))
        self.forget(alias)

    def forget(self, name: str) -> None:
        """What was learnt of a collection or an alias: it stands for something else now."""
        self.session.forget(name)
        self.homes.forget(calls.path_of(name))

    async def pages(self, of: Callable[[str | None], Call[PageT]]) -> AsyncIterator[PageT]:
        """Page after page.

        :param of: asks for the page at a cursor; at None, for the first one.
        """
        page = await self.run(of(None))
        yield page
        while page.cursor is not None:
            page = await self.run(of(page.cursor))
            yield page

    async def run(self, call: Call[T]) -> T:
        """Carry out ``call``."""
        try:
            response = await self._answer(call)
        except ApiError as error:
            if call.if_gone is not None and isinstance(error, NotFoundError) and error.may_be_done:
                return call.if_gone
            if not self.session.starts_anew(call, error):
                raise
            response = await self._answer(call)
        with reading(self.endpoint, response):
            self.session.note(call, response.content)
            return call.read(response.content)

    async def _answer(self, call: Call[Any]) -> httpx.Response:
        for _ in range(HOPS):
            try:
                return await self._answer_there(call)
            except (ApiError, UnreachableError) as error:
                if not self.homes.learn(call.path, error):
                    raise
        return await self._answer_there(call)

    async def _answer_there(self, call: Call[Any]) -> httpx.Response:
        at = self.homes.of(call.path)
        retries = Retries(f"{call.method} {call.path} at {at or self.endpoint}", repeatable=call.repeatable)
        while True:
            given = {
                "content": self.session.body(call),
                "params": self.session.params(call),
                "headers": None if call.body is None else {"content-type": "application/json"},
            }
            request = built(self._http, call.method, f"{at or ''}{call.path}", given)
            try:
                response = await self._sent(request)
            except httpx.RequestError as error:
                delay = retries.after_error(error)
            else:
                again = retries.after_answer(response)
                if again is None:
                    return response
                delay = again
            await sleep(delay)

    async def _sent(self, request: httpx.Request) -> httpx.Response:
        """The answer.

        What is under way comes to its end though its caller is cancelled, and what is not has no connection: of what is
        cancelled httpcore 1.0 keeps some for good (https://github.com/encode/httpcore/issues/1093), until none is left.
        """
        await self._connections.acquire()
        attempt = create_task(self._http.send(request))
        attempt.add_done_callback(lambda _: self._connections.release())
        try:
            return await shield(attempt)
        except CancelledError:
            if not attempt.done():
                self._abandoned.add(attempt)
                attempt.add_done_callback(self._abandoned.discard)
            raise


class AsyncCollection:
    """One collection, through an `AsyncClient`."""

    def __init__(self, client: AsyncClient, name: str) -> None:
        self.name = name
        self._client = client
        self._calls = calls.CollectionCalls(name)

    async def describe(self) -> Described:
        """Its settings."""
        return await self._client.run(self._calls.describe())

    async def update(self, *, ef_search: int | None = None, fields: Mapping[str, str] | None = None) -> Described:
        """Change settings; ``fields`` are all that are declared from now on. See also `wait`."""
        return await self._client.run(self._calls.update(ef_search=ef_search, fields=fields))

    async def wait(self) -> Described:
        """Wait while fields are being built, so that filters can name them; returns its settings then."""
        pause = FIRST_SECONDS
        while is_building(described := await self.describe()):
            await sleep(pause)
            pause = min(1.5 * pause, LONGEST_SECONDS)
        return described

    async def delete_collection(self) -> None:
        """Delete it with everything in it."""
        await self._client.run(self._calls.delete_collection())
        self._client.forget(self.name)

    async def upsert(
        self, rows: Iterable[NewRow | Sent], *, request_id: str | None = None, atomic: bool = True
    ) -> Written:
        """Add or replace up to 1,000 rows, all or none.

        :param atomic: False allows the engine ``dynamodb`` to store more than 100 rows, in parts.
        """
        return await self._client.run(self._calls.upsert(rows, request_id, atomic=atomic))

    async def load(
        self, rows: Iterable[NewRow | Sent], *, batch_rows: int = BATCH_ROWS, progress: Progress | None = None
    ) -> int:
        """Add or replace any number of rows, in requests of at most ``batch_rows`` and 8 MB; returns how many.

        :param progress: told after each request how many are stored by then.
        """
        done = 0
        for batch in batches(rows, size=batch_rows):
            await self._client.run(self._calls.upsert(batch, None, atomic=False))
            done += len(batch)
            if progress is not None:
                progress(done)
        return done

    async def patch(self, rows: Iterable[Patch], *, request_id: str | None = None, atomic: bool = True) -> Written:
        """Merge metadata into rows; ``atomic`` as for `upsert`."""
        return await self._client.run(self._calls.patch(rows, request_id, atomic=atomic))

    async def delete(
        self,
        ids: Sequence[str] | None = None,
        *,
        where: Mapping[str, Any] | None = None,
        request_id: str | None = None,
        atomic: bool = True,
    ) -> Written | Deletion:
        """Delete rows by ids, ``atomic`` as for `upsert`, or by filter, which the engine ``dynamodb`` does later."""
        return await self._client.run(self._calls.delete(ids, where, request_id, atomic=atomic))

    async def deletion(self, deletion_id: str) -> Deletion:
        """How far a deletion by filter is that `delete` has begun."""
        return await self._client.run(self._calls.deletion(deletion_id))

    async def query(
        self,
        vector: ArrayLike | None = None,
        *,
        id: str | None = None,  # noqa: A002 - as the API has it
        k: int = 10,
        where: Mapping[str, Any] | None = None,
        include: Sequence[str] = (),
        **options: object,
    ) -> list[Match]:
        """The nearest rows to ``vector`` (dimension,) or to the row ``id``, which is left out.

        :param include: "values", "metadata" or both.
        :param options: ``ef``, ``max_distance``, ``consistency``, ``min_sequence``.
        """
        shown = {"k": k, "filter": where, "include": list(include), **options}
        return await self._client.run(self._calls.query(calls.target_of(vector, id), shown))

    async def query_many(
        self,
        vectors: ArrayLike,
        *,
        k: int = 10,
        where: Mapping[str, Any] | None = None,
        include: Sequence[str] = (),
        **options: object,
    ) -> list[list[Match]]:
        """The nearest rows to each of up to 100 ``vectors`` (n, dimension), in their order; else as `query`."""
        shown = {"k": k, "filter": where, "include": list(include), **options}
        return await self._client.run(self._calls.query_many(vectors, shown))

    async def fetch(self, ids: Sequence[str], **options: object) -> list[Row]:
        """Rows by id, with values and metadata; absent ones are left out."""
        return await self._client.run(self._calls.fetch(ids, options))

    async def count(self, where: Mapping[str, Any] | None = None, **options: object) -> int:
        """How many rows match."""
        return await self._client.run(self._calls.count(where, options))

    async def scroll(
        self,
        *,
        where: Mapping[str, Any] | None = None,
        include: Sequence[str] = ("metadata",),
        limit: int = 100,
        **options: object,
    ) -> AsyncIterator[Row]:
        """Rows in id order, asked for ``limit`` at a time."""
        cursor: str | None = None
        while True:
            shown = {"filter": where, "include": list(include), **options}
            page = await self._client.run(self._calls.scroll(limit, cursor, shown))
            for row in page.rows:
                yield row
            cursor = page.cursor
            if cursor is None:
                return

    def export(
        self, *, where: Mapping[str, Any] | None = None, include: Sequence[str] = ("values", "metadata")
    ) -> AsyncIterator[Row]:
        """Every row in id order, as `scroll` in the largest pages."""
        return self.scroll(where=where, include=include, limit=MAX_ROWS)

    async def stats(self) -> Stats:
        """Sizes and position."""
        return await self._client.run(self._calls.stats())

    async def warm(self) -> Warmed:
        """Bring it into memory."""
        return await self._client.run(self._calls.warm())

    async def move(
        self, engine: str, *, to: str | None = None, watch: Callable[[Moved], object] | None = None
    ) -> Moved:
        """Move what this alias stands for to another engine, or go on with that; returns when it is done.

        :param to: name of the new collection.
        :param watch: told after each step how far it is.
        """
        while True:
            try:
                moved = await self._client.run(self._calls.move(engine, to))
            except ConflictError as error:
                await sleep(calls.pause_after(error))
                continue
            if watch is not None:
                watch(moved)
            pause = calls.pause_of(moved)
            if pause is None:
                self._client.forget(self.name)
                return moved
            await sleep(pause)

    async def undo_move(self) -> Described:
        """Give up a move that has not switched yet; returns the collection."""
        return await self._client.run(self._calls.undo_move())

    async def create_snapshot(self, snapshot: str) -> NamedSnapshot:
        """Keep the present state under a name."""
        return await self._client.run(self._calls.create_snapshot(snapshot))

    async def snapshots(self) -> list[NamedSnapshot]:
        """Its named snapshots by name, of however many pages."""
        return [each async for page in self._client.pages(self._calls.snapshots) for each in page.snapshots]

    async def delete_snapshot(self, snapshot: str) -> None:
        """Forget a named snapshot."""
        await self._client.run(self._calls.delete_snapshot(snapshot))

    async def restore(self, snapshot: str, into: str) -> "AsyncCollection":
        """Make the new collection ``into`` from a named snapshot: as a whole, or not at all."""
        await self._client.run(self._calls.restore(snapshot, into))
        return self._client.collection(into)
