"""The client for programs that wait."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from time import sleep
from typing import Any, TypeVar

import httpx
from numpy.typing import ArrayLike

from anfl.client import calls
from anfl.client.calls import FIRST_SECONDS, LONGEST_SECONDS, Call, PageT, Patch, is_building
from anfl.client.connection import TIMEOUT, Connection, reading
from anfl.client.errors import ApiError, ConflictError, NotFoundError, UnreachableError
from anfl.client.homes import HOPS, Homes
from anfl.client.imports import Imports
from anfl.client.rows import BATCH_ROWS, Match, NewRow, Row, Sent, batches
from anfl.client.session import Session
from anfl.vectors.moving.requests import Moved
from anfl.vectors.naming import Alias, NamedSnapshot
from anfl.vectors.requests import MAX_ROWS, Deletion, Described, Stats, Warmed, Written

T = TypeVar("T")
Progress = Callable[[int], None]
"""Told how many rows are stored."""


class Client(Connection):
    """A connection to the API, and the session that goes with it: reads see what this client wrote before.

    Not for use by several threads at once. All errors are those of `anfl.client.errors`.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        token: str | None = None,
        timeout: httpx.Timeout | float = TIMEOUT,
        ca: str | os.PathLike[str] | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """:param timeout: seconds of silence after which an attempt is given up.

        :param ca: file of certificates to trust beside those that everybody trusts; by default ``ANFL_CA`` names it.
        :raises UnsendableError: ``endpoint`` or ``token`` is none, or ``ca`` holds none.
        """
        super().__init__(endpoint, token=token, timeout=timeout, ca=ca, transport=transport)
        self.session = Session()
        self.homes = Homes(endpoint)
        self.imports = Imports(self)

    def create_collection(
        self,
        name: str,
        *,
        dimension: int,
        metric: str = "cosine",
        fields: Mapping[str, str] | None = None,
        index: Mapping[str, int] | None = None,
        engine: str | None = None,
    ) -> "Collection":
        """Create a collection; no error if it exists with these settings."""
        settings = {"dimension": dimension, "metric": metric, "fields": fields, "index": index, "engine": engine}
        self.run(calls.create(name, settings))
        return self.collection(name)

    def collection(self, name: str) -> "Collection":
        """The collection ``name``; nothing is asked yet."""
        return Collection(self, name)

    def collections(self) -> list[Described]:
        """The tenant's collections by name, of however many pages."""
        return [each for page in self.pages(calls.collections) for each in page.collections]

    def set_alias(self, alias: str, collection: str) -> Alias:
        """Let ``alias`` stand for ``collection`` from now on; nobody finds it standing for nothing in between."""
        made = self.run(calls.set_alias(alias, collection))
        self.forget(alias)
        return made

    def aliases(self) -> list[Alias]:
        """The tenant's aliases by name, of however many pages."""
        return [each for page in self.pages(calls.aliases) for each in page.aliases]

    def delete_alias(self, alias: str) -> None:
        """Let ``alias`` stand for nothing; the collection stays."""
        self.run(calls.delete_alias(alias))
        self.forget(alias)

    def forget(self, name: str) -> None:
        """What was learnt of a collection or an alias: it stands for something else now."""
        self.session.forget(name)
        self.homes.forget(calls.path_of(name))

    def pages(self, of: Callable[[str | None], Call[PageT]]) -> Iterator[PageT]:
        """Page after page.

        :param of: asks for the page at a cursor; at None, for the first one.
        """
        page = self.run(of(None))
        yield page
        while page.cursor is not None:
            page = self.run(of(page.cursor))
            yield page

    def run(self, call: Call[T]) -> T:
        """Carry out ``call``."""
        try:
            response = self._answer(call)
        except ApiError as error:
            if call.if_gone is not None and isinstance(error, NotFoundError) and error.may_be_done:
                return call.if_gone
            if not self.session.starts_anew(call, error):
                raise
            response = self._answer(call)
        with reading(self.endpoint, response):
            self.session.note(call, response.content)
            return call.read(response.content)

    def _sent(
        self, method: str, path: str, given: Mapping[str, Any], *, repeatable: bool, at: str | None = None
    ) -> httpx.Response:
        """As `Connection._sent`; what ``path`` names is asked for where it is written, once a refusal has told that."""
        hops = 0 if isinstance(given["content"], Iterator) else HOPS  # it can be read once
        for _ in range(hops):
            try:
                return super()._sent(method, path, given, repeatable=repeatable, at=at or self.homes.of(path))
            except (ApiError, UnreachableError) as error:
                if not self.homes.learn(path, error):
                    raise
        return super()._sent(method, path, given, repeatable=repeatable, at=at or self.homes.of(path))

    def _answer(self, call: Call[Any]) -> httpx.Response:
        return self.send(
            call.method,
            call.path,
            content=self.session.body(call),
            params=self.session.params(call),
            headers=None if call.body is None else {"content-type": "application/json"},
            repeatable=call.repeatable,
        )


class Collection:
    """One collection, through a `Client`."""

    def __init__(self, client: Client, name: str) -> None:
        self.name = name
        self._client = client
        self._calls = calls.CollectionCalls(name)

    def describe(self) -> Described:
        """Its settings."""
        return self._client.run(self._calls.describe())

    def update(self, *, ef_search: int | None = None, fields: Mapping[str, str] | None = None) -> Described:
        """Change settings; ``fields`` are all that are declared from now on. See also `wait`."""
        return self._client.run(self._calls.update(ef_search=ef_search, fields=fields))

    def wait(self) -> Described:
        """Wait while fields are being built, so that filters can name them; returns its settings then."""
        pause = FIRST_SECONDS
        while is_building(described := self.describe()):
            sleep(pause)
            pause = min(1.5 * pause, LONGEST_SECONDS)
        return described

    def delete_collection(self) -> None:
        """Delete it with everything in it."""
        self._client.run(self._calls.delete_collection())
        self._client.forget(self.name)

    def upsert(self, rows: Iterable[NewRow | Sent], *, request_id: str | None = None, atomic: bool = True) -> Written:
        """Add or replace up to 1,000 rows, all or none.

        :param atomic: False allows the engine ``dynamodb`` to store more than 100 rows, in parts.
        """
        return self._client.run(self._calls.upsert(rows, request_id, atomic=atomic))

    def load(
        self, rows: Iterable[NewRow | Sent], *, batch_rows: int = BATCH_ROWS, progress: Progress | None = None
    ) -> int:
        """Add or replace any number of rows, in requests of at most ``batch_rows`` and 8 MB; returns how many.

        :param progress: told after each request how many are stored by then.
        """
        done = 0
        for batch in batches(rows, size=batch_rows):
            self._client.run(self._calls.upsert(batch, None, atomic=False))
            done += len(batch)
            if progress is not None:
                progress(done)
        return done

    def patch(self, rows: Iterable[Patch], *, request_id: str | None = None, atomic: bool = True) -> Written:
        """Merge metadata into rows; ``atomic`` as for `upsert`."""
        return self._client.run(self._calls.patch(rows, request_id, atomic=atomic))

    def delete(
        self,
        ids: Sequence[str] | None = None,
        *,
        where: Mapping[str, Any] | None = None,
        request_id: str | None = None,
        atomic: bool = True,
    ) -> Written | Deletion:
        """Delete rows by ids, ``atomic`` as for `upsert`, or by filter, which the engine ``dynamodb`` does later."""
        return self._client.run(self._calls.delete(ids, where, request_id, atomic=atomic))

    def deletion(self, deletion_id: str) -> Deletion:
        """How far a deletion by filter is that `delete` has begun."""
        return self._client.run(self._calls.deletion(deletion_id))

    def query(
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
        return self._client.run(self._calls.query(calls.target_of(vector, id), shown))

    def query_many(
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
        return self._client.run(self._calls.query_many(vectors, shown))

    def fetch(self, ids: Sequence[str], **options: object) -> list[Row]:
        """Rows by id, with values and metadata; absent ones are left out."""
        return self._client.run(self._calls.fetch(ids, options))

    def count(self, where: Mapping[str, Any] | None = None, **options: object) -> int:
        """How many rows match."""
        return self._client.run(self._calls.count(where, options))

    def scroll(
        self,
        *,
        where: Mapping[str, Any] | None = None,
        include: Sequence[str] = ("metadata",),
        limit: int = 100,
        **options: object,
    ) -> Iterator[Row]:
        """Rows in id order, asked for ``limit`` at a time."""
        cursor: str | None = None
        while True:
            shown = {"filter": where, "include": list(include), **options}
            page = self._client.run(self._calls.scroll(limit, cursor, shown))
            yield from page.rows
            cursor = page.cursor
            if cursor is None:
                return

    def export(
        self, *, where: Mapping[str, Any] | None = None, include: Sequence[str] = ("values", "metadata")
    ) -> Iterator[Row]:
        """Every row in id order, as `scroll` in the largest pages."""
        return self.scroll(where=where, include=include, limit=MAX_ROWS)

    def stats(self) -> Stats:
        """Sizes and position."""
        return self._client.run(self._calls.stats())

    def warm(self) -> Warmed:
        """Bring it into memory."""
        return self._client.run(self._calls.warm())

    def move(self, engine: str, *, to: str | None = None, watch: Callable[[Moved], object] | None = None) -> Moved:
        """Move what this alias stands for to another engine, or go on with that; returns when it is done.

        :param to: name of the new collection.
        :param watch: told after each step how far it is.
        """
        while True:
            try:
                moved = self._client.run(self._calls.move(engine, to))
            except ConflictError as error:
                sleep(calls.pause_after(error))
                continue
            if watch is not None:
                watch(moved)
            pause = calls.pause_of(moved)
            if pause is None:
                self._client.forget(self.name)
                return moved
            sleep(pause)

    def undo_move(self) -> Described:
        """Give up a move that has not switched yet; returns the collection."""
        return self._client.run(self._calls.undo_move())

    def create_snapshot(self, snapshot: str) -> NamedSnapshot:
        """Keep the present state under a name."""
        return self._client.run(self._calls.create_snapshot(snapshot))

    def snapshots(self) -> list[NamedSnapshot]:
        """Its named snapshots by name, of however many pages."""
        return [each for page in self._client.pages(self._calls.snapshots) for each in page.snapshots]

    def delete_snapshot(self, snapshot: str) -> None:
        """Forget a named snapshot."""
        self._client.run(self._calls.delete_snapshot(snapshot))

    def restore(self, snapshot: str, into: str) -> "Collection":
        """Make the new collection ``into`` from a named snapshot: as a whole, or not at all."""
        self._client.run(self._calls.restore(snapshot, into))
        return self._client.collection(into)
