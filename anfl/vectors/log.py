"""The log of a collection: one object a batch, and the conditional put of that object is the only commit point.

A batch is committed when it stands in slot *n* and its writer has applied 1 … n−1. Batches hold after-images and
resolved ids, never filters or merges, so that replay does not depend on code. Object format (version 1): ``ANFL``, one
byte of format version, SHA-256 of what follows, MessagePack of `Batch`.
"""

import hashlib
import logging
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec

from anfl.problems import Problem, unavailable
from anfl.vectors.model import Collection, Metadata, Row
from anfl.vectors.objects import AlreadyExistsError, ObjectStore, StoreUnavailableError

_MAGIC = b"ANFL"
_FORMAT = 1
_HEADER = len(_MAGIC) + 1 + hashlib.sha256().digest_size
_ATTEMPTS = 5
_READERS = 16
_log = logging.getLogger(__name__)


class AppliedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request id that this batch carries out, with the digest of the request's body and its answer."""

    request_id: str
    digest: bytes
    count: int


class Patch(msgspec.Struct, frozen=True, kw_only=True):
    """The metadata of an existing row after a patch."""

    id: str
    metadata: Metadata


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What one commit changes: rows replaced whole, metadata replaced, ids removed — in this order."""

    batch_id: str
    tenant: str
    collection: str
    incarnation: str
    epoch: int
    sequence: int
    ts: float
    rows: list[Row] = []
    patches: list[Patch] = []
    deleted: list[str] = []
    requests: list[AppliedRequest] = []


class CorruptLogError(Problem):
    """An object of the log that is not what its key says. Readers stop before it; nothing is skipped."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(503, "log_corrupt", "The collection's log is damaged; it must be restored.", retry_after=60)
        _log.error("corrupt log object", extra={"key": key, "reason": reason})


def encode(batch: Batch) -> bytes:
    """The object of ``batch``."""
    body = msgspec.msgpack.encode(batch)
    return _MAGIC + bytes([_FORMAT]) + hashlib.sha256(body).digest() + body


def decode(data: bytes, *, key: str) -> Batch:
    """Read an object.

    :raises CorruptLogError: it is damaged, or of a format this code does not know.
    """
    if data[: len(_MAGIC)] != _MAGIC or len(data) < _HEADER:
        raise CorruptLogError(key, "no log object")
    if data[len(_MAGIC)] != _FORMAT:
        raise CorruptLogError(key, f"format {data[len(_MAGIC)]}")
    body = data[_HEADER:]
    if hashlib.sha256(body).digest() != data[len(_MAGIC) + 1 : _HEADER]:
        raise CorruptLogError(key, "checksum")
    try:
        return msgspec.msgpack.decode(body, type=Batch)
    except msgspec.MsgspecError as error:
        raise CorruptLogError(key, str(error)) from error


class Log:
    """The log of one incarnation of one collection."""

    def __init__(
        self, objects: ObjectStore, collection: Collection, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._objects = objects
        self._collection = collection
        self._sleep = sleep
        self._prefix = f"{collection.prefix}log/{collection.epoch:08d}/"

    def key(self, sequence: int) -> str:
        """The object key of slot ``sequence``."""
        return f"{self._prefix}{sequence:020d}"

    def read(self, sequence: int) -> Batch | None:
        """The batch in slot ``sequence``; None where the slot is free.

        :raises CorruptLogError: the object is not this slot's batch.
        :raises Problem: 503, the store does not answer.
        """
        key = self.key(sequence)
        try:
            data = self._objects.get(key)
        except StoreUnavailableError as error:
            raise _unavailable() from error
        if data is None:
            return None
        batch = decode(data, key=key)
        own = self._collection
        if (batch.tenant, batch.collection, batch.incarnation, batch.epoch, batch.sequence) != (
            own.tenant,
            own.name,
            own.incarnation,
            own.epoch,
            sequence,
        ):
            raise CorruptLogError(key, "belongs elsewhere")
        return batch

    def append(self, batch: Batch) -> Batch:
        """Put ``batch`` into its slot and return what stands there afterwards: ``batch``, or the winner's.

        :raises Problem: 503, the outcome stays unknown. The slot must then be read again before it is passed.
        """
        key = self.key(batch.sequence)
        body = encode(batch)
        for attempt in range(_ATTEMPTS):
            try:
                self._objects.put_if_absent(key, body)
            except AlreadyExistsError:
                winner = self.read(batch.sequence)
                if winner is not None:
                    return batch if winner.batch_id == batch.batch_id else winner
            except StoreUnavailableError:
                # It may have been written all the same; then the next attempt finds it there.
                self._sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311 - jitter
            else:
                return batch
        found = self.read(batch.sequence)
        if found is None:
            raise _unavailable()
        return batch if found.batch_id == batch.batch_id else found

    def replay(self) -> Iterator[Batch]:
        """All committed batches in order, several read at a time.

        :raises CorruptLogError: at a damaged object.
        :raises Problem: 503, the store does not answer.
        """
        sequence, width = 1, 1
        with ThreadPoolExecutor(_READERS, thread_name_prefix="replay") as readers:
            while True:
                for batch in readers.map(self.read, range(sequence, sequence + width)):
                    if batch is None:
                        return
                    yield batch
                sequence, width = sequence + width, min(width * 2, 2 * _READERS)

    def delete(self) -> None:
        """Remove every object of the incarnation; for collections that the catalogue no longer has."""
        try:
            self._objects.delete(self._objects.list(self._collection.prefix))
        except StoreUnavailableError as error:
            raise _unavailable() from error


def _unavailable() -> Problem:
    return unavailable("The object store does not answer; try again.", code="storage_unavailable")
