"""What the calls about a collection ask of its engine. Names, settings, aliases, routing are none of its business."""

from collections.abc import Mapping
from typing import Protocol

from anfl.problems import invalid
from anfl.vectors.changes import Change
from anfl.vectors.model import Collection, FieldType
from anfl.vectors.requests import Answer, Count, Counted, Fetch, Query, Results, Rows, Scroll, Stats, Written


class Engine(Protocol):
    """Keeps the rows of collections and answers about them. Safe for threads.

    ``collection`` is what the catalogue has, not older than the request allows. Every method raises `Problem`.
    """

    def write(self, collection: Collection, change: Change) -> Written:
        """Upsert, patch, or delete by ids or by filter: all or nothing. When this returns, it is there for good."""

    def query(self, collection: Collection, request: Query) -> Answer | Results:
        """The nearest rows to one vector, several, or a row."""

    def fetch(self, collection: Collection, request: Fetch) -> Rows:
        """Rows by id."""

    def scroll(self, collection: Collection, request: Scroll) -> Rows:
        """A page of rows in id order."""

    def count(self, collection: Collection, request: Count) -> Counted:
        """How many rows match."""

    def stats(self, collection: Collection) -> Stats:
        """Sizes and position."""

    def at_once(self, collection: Collection, request: Query | Fetch) -> Answer | Results | Rows | None:
        """As `query` or `fetch`, for an event loop; None where that would wait for anything, or compute for long."""

    def warm(self, collection: Collection) -> bool:
        """Begin to make it fast; returns whether it is."""

    def check_fields(self, collection: Collection, fields: Mapping[str, FieldType]) -> None:
        """Refuse declarations that rows contradict: 409 ``field_contradicted``."""

    def build_fields(self, collection: Collection) -> Collection:
        """Take the pending fields as far as it goes now; returns the collection as it is in the catalogue then.

        Can be repeated, by any process; see `anfl.vectors.backfill`.
        """

    def drop(self, collection: Collection) -> None:
        """It has gone from the catalogue: let no write begin any more, and remove everything of it."""


class Engines:
    """Those there are, by the name that a collection's settings say."""

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self._engines = engines

    def of(self, collection: Collection) -> Engine:
        """The engine of a collection."""
        return self._engines[collection.settings.engine]

    def check(self, name: str) -> None:
        """Refuse what is none.

        :raises Problem: 400 naming those there are.
        """
        if name not in self._engines:
            raise invalid(f"There is no engine {name}; there are: {', '.join(self._engines)}.", field="engine")
