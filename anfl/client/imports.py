"""Imports, for programs that wait."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import httpx

from anfl.client import import_calls as calls
from anfl.client.calls import path_of
from anfl.client.connection import TIMEOUT, options
from anfl.client.errors import ApiError
from anfl.client.import_calls import FIRST_SECONDS, LONGEST_SECONDS, ImportFailedError, Source
from anfl.client.retries import Retries
from anfl.vectors.imports.model import State
from anfl.vectors.imports.requests import Import, Part, Uploads

if TYPE_CHECKING:
    from anfl.client.client import Client

Sent = Callable[[int], None]
"""Told how many bytes of all files are sent by then."""
Watch = Callable[[Import], None]
"""Shown an import each time that it was looked at."""


class Imports:
    """The tenant's imports, through a `Client`."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    def run(
        self, collection: str, paths: Sequence[Path], *, sent: Sent | None = None, watch: Watch | None = None
    ) -> Import:
        """Import files of any number of rows: send them, and wait until every row is stored or refused.

        :param paths: a ``.jsonl``, a ``.jsonl`` and a ``.npy``, or a ``.parquet``.
        :raises ImportFailedError: it did not come to its end.
        :raises ValueError, OSError: a file is none to import, or cannot be read.
        """
        uploads = self.begin(collection, paths)
        self.send(uploads, paths, sent=sent)
        self.start(uploads.id)
        ended = self.wait(uploads.id, watch=watch)
        if ended.state is not State.DONE:
            raise ImportFailedError(ended)
        return ended

    def begin(self, collection: str, paths: Sequence[Path]) -> Uploads:
        """A new import, whose files are not sent yet."""
        uploads = self._client.run(calls.begin(collection, [Source.of(path) for path in paths]))
        self._client.homes.share(calls.path_of_import(uploads.id), of=path_of(collection))
        return uploads

    def missing(self, import_id: str) -> Uploads:
        """What is missing of an import's files, and where to put it."""
        return self._client.run(calls.missing(import_id))

    def send(self, uploads: Uploads, paths: Sequence[Path], *, sent: Sent | None = None) -> None:
        """Send what is missing. It can be interrupted: `missing` tells where to go on."""
        sources, done = calls.sources_for(uploads, paths), calls.sent_bytes(uploads)
        with httpx.Client(**plain(uploads)) as http:
            while any(file.missing for file in uploads.files):
                asked, before = monotonic(), done
                try:
                    for part, source in missing_parts(uploads, sources):
                        if monotonic() - asked > uploads.expires_in / 2:
                            break
                        _put(http, part, source.read(part))
                        done += part.bytes
                        if sent is not None:
                            sent(done)
                except ApiError as error:
                    if error.status != httpx.codes.FORBIDDEN or done == before:  # else the addresses are too old
                        raise
                uploads = self.missing(uploads.id)

    def start(self, import_id: str) -> Import:
        """Have stored what was sent; no effect where that has begun."""
        return self._client.run(calls.start(import_id))

    def show(self, import_id: str) -> Import:
        """How far an import is."""
        return self._client.run(calls.show(import_id))

    def wait(self, import_id: str, *, watch: Watch | None = None) -> Import:
        """Wait while it runs; returns what it is then."""
        pause = FIRST_SECONDS
        while True:
            shown = self.show(import_id)
            if watch is not None:
                watch(shown)
            if shown.state is not State.RUNNING:
                return shown
            sleep(pause)
            pause = min(1.5 * pause, LONGEST_SECONDS)

    def list(self, collection: str | None = None) -> Iterator[Import]:
        """The tenant's imports, the newest first; their errors are left out."""
        cursor: str | None = None
        while True:
            page = self._client.run(calls.page(collection, cursor))
            yield from page.imports
            cursor = page.cursor
            if cursor is None:
                return

    def cancel(self, import_id: str) -> Import:
        """Store nothing more of an import; what is stored stays."""
        return self._client.run(calls.cancel(import_id))

    def redrive(self, import_id: str) -> Import:
        """Try what is not done of an import once more."""
        return self._client.run(calls.redrive(import_id))


def _put(http: httpx.Client, part: Part, data: bytes) -> None:
    retries = Retries(f"part {part.number}", repeatable=True)
    while True:
        try:
            delay = retries.after_answer(http.put(part.url, content=data))
        except httpx.RequestError as error:
            delay = retries.after_error(error)
        if delay is None:
            return
        sleep(delay)


def missing_parts(uploads: Uploads, sources: Sequence[Source]) -> Iterator[tuple[Part, Source]]:
    """Each part that is to be sent, with its file."""
    for file, source in zip(uploads.files, sources, strict=True):
        for part in file.missing:
            yield part, source


def plain(uploads: Uploads) -> dict[str, Any]:
    """Of a client without a token: these addresses are the object store's, and nobody else's business."""
    first = next((part.url for file in uploads.files for part in file.missing), "http://127.0.0.1")
    given = options(first, None, TIMEOUT)
    return {name: given[name] for name in ("timeout", "trust_env")}
