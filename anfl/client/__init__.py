"""HTTP client of ANFL's API, sync and async. ``docs/client.md`` shows how it is used."""

from anfl.client.asynchronous import AsyncClient, AsyncCollection
from anfl.client.calls import Patch
from anfl.client.client import Client, Collection
from anfl.client.connection import CA_VARIABLE
from anfl.client.errors import (
    ApiError,
    BusyError,
    ConflictError,
    ForeignAnswerError,
    NotFoundError,
    UnreachableError,
    UnsendableError,
)
from anfl.client.import_calls import ImportFailedError
from anfl.client.rows import Match, NewRow, Row, new_rows
from anfl.start import settle

__all__ = [
    "CA_VARIABLE",
    "ApiError",
    "AsyncClient",
    "AsyncCollection",
    "BusyError",
    "Client",
    "Collection",
    "ConflictError",
    "ForeignAnswerError",
    "ImportFailedError",
    "Match",
    "NewRow",
    "NotFoundError",
    "Patch",
    "Row",
    "UnreachableError",
    "UnsendableError",
    "new_rows",
]

settle()  # programs use clients in threads
