"""The log of a collection: one object a batch, and the conditional put of that object is the only commit point.

A batch is committed when it stands in slot *n* and its writer has applied 1 … n−1. An object is the MessagePack of a
`Batch` in an `anfl.vectors.envelope`.
"""

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import msgspec

from anfl.problems import unavailable
from anfl.vectors.batch import Batch
from anfl.vectors.envelope import DamagedError, Envelope
from anfl.vectors.listing import key_of, taken, windows
from anfl.vectors.model import Collection, Position
from anfl.vectors.objects import AlreadyExistsError, ObjectStore, StoreUnavailableError, answering
from anfl.vectors.repair import Repairs
from anfl.vectors.slot_cache import NoCache, SlotCache
from anfl.vectors.trouble import CorruptLogError, LogGapError

_ATTEMPTS = 5
READERS = 16
"""Objects that a replay reads at a time."""
_log = logging.getLogger(__name__)


class Log:
    """The log of one incarnation of one collection."""

    def __init__(
        self,
        objects: ObjectStore,
        collection: Collection,
        *,
        envelope: Envelope,
        cache: SlotCache | None = None,
        repairs: Repairs | None = None,
        readers: int = READERS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """:param readers: objects that `tail` reads at a time; 1 starts no thread."""
        self.collection = collection
        self._objects = objects
        self._envelope = envelope
        self._cache: SlotCache = cache or NoCache()
        self._repairs = repairs or Repairs(objects)
        self._readers = readers
        self._sleep = sleep

    def key(self, sequence: int) -> str:
        """The object key of slot ``sequence``."""
        return key_of(self.collection, sequence)

    def read(self, sequence: int) -> Batch | None:
        """The batch in slot ``sequence``; None where the slot is free.

        :raises CorruptLogError: the object is not this slot's batch, and no whole copy of it is to be found.
        :raises Problem: 503, the store does not answer.
        """
        cached = self.read_cached(sequence)
        if cached is not None:
            return cached
        key = self.key(sequence)
        with answering():
            data = self._objects.get(key)
        if data is None:
            return None
        try:
            batch = self._decode(data, sequence)
        except CorruptLogError as damage:
            return self._recover(sequence, damage)
        self._cache.keep(self.collection.position(sequence), data)
        return batch

    def read_cached(self, sequence: int) -> Batch | None:
        """The batch in slot ``sequence`` if this node has it; asks no store."""
        position = self.collection.position(sequence)
        data = self._cache.get(position)
        if data is None:
            return None
        try:
            return self._decode(data, sequence)
        except CorruptLogError:
            self._cache.forget(position)
            return None

    def append(self, batch: Batch) -> Batch:
        """Put ``batch`` into its slot and return what stands there afterwards: ``batch``, or the winner's.

        :raises CorruptLogError: the key to seal it by is damaged; nothing was written.
        :raises Problem: 503, the outcome stays unknown. The slot must then be read again before it is passed.
        """
        key = self.key(batch.sequence)
        data = self.encode(batch)
        for attempt in range(_ATTEMPTS):
            try:
                self._objects.put_if_absent(key, data)
            except AlreadyExistsError:
                winner = self.read(batch.sequence)
                if winner is not None:
                    return self._standing(batch, winner, data)
            except StoreUnavailableError:
                # It may have been written all the same; then the next attempt finds it there.
                self._sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311 - jitter
            else:
                return self._standing(batch, batch, data)
        found = self.read(batch.sequence)
        if found is None:
            detail = "The object store does not say whether it has written; try again."
            raise unavailable(detail, code="storage_unavailable")
        return self._standing(batch, found, data)

    def encode(self, batch: Batch) -> bytes | bytearray:
        """The object of ``batch``.

        :raises Problem: 503.
        """
        body = msgspec.msgpack.encode(batch)
        return self._envelope.seal(self.key(batch.sequence), body, identity=batch.batch_id, at=batch.ts)

    def modified(self, sequence: int) -> float | None:
        """When slot ``sequence`` was written, by the store's time; None where it is free.

        :raises Problem: 503, the store does not answer.
        """
        key = self.key(sequence)
        with answering():
            return next((entry.modified for entry in self._objects.list(key) if entry.key == key), None)

    def tail(self, sequence: int) -> Iterator[Batch]:
        """All batches behind ``sequence`` that a listing shows, in order, several read at a time.

        :raises CorruptLogError: at a damaged object.
        :raises LogGapError: where a slot is missing before others.
        :raises Problem: 503, the store does not answer.
        """
        following = sequence + 1
        for window in windows(taken(self._objects, self.collection, sequence), most=2 * self._readers):
            for slot, batch in zip(window, self._read_all(window), strict=True):
                if slot != following or batch is None:
                    raise LogGapError(self.key(following))
                yield batch
                following += 1

    def _read_all(self, slots: Sequence[int]) -> Iterator[Batch | None]:
        if self._readers == 1 or len(slots) < 2:
            yield from map(self.read, slots)
            return
        with ThreadPoolExecutor(self._readers, thread_name_prefix="replay") as readers:
            yield from readers.map(self.read, slots)

    def _standing(self, batch: Batch, found: Batch, data: bytes | bytearray) -> Batch:
        if found.batch_id != batch.batch_id:
            return found
        self._cache.keep(self.collection.position(batch.sequence), data)
        return batch

    def _recover(self, sequence: int, damage: CorruptLogError) -> Batch:
        """The batch of a damaged object, which is put right."""

        def opened(data: bytes) -> Batch | None:
            with suppress(CorruptLogError):
                return self._decode(data, sequence)
            return None

        with answering():
            batch = self._repairs.repair(damage.key, opened)
        if batch is None:
            _log.error("corrupt log object", extra={"key": damage.key, "reason": damage.reason})
            raise damage
        return batch

    def _decode(self, data: bytes, sequence: int) -> Batch:
        key = self.key(sequence)
        try:
            batch = msgspec.msgpack.decode(self._envelope.open(key, data), type=Batch)
        except (DamagedError, msgspec.MsgspecError) as error:
            raise CorruptLogError(key, str(error)) from error
        own = self.collection
        if (batch.tenant, batch.collection, batch.incarnation, Position(batch.epoch, batch.sequence)) != (
            own.tenant,
            own.name,
            own.incarnation,
            own.position(sequence),
        ):
            raise CorruptLogError(key, "belongs elsewhere")
        return batch


def delete_all(objects: ObjectStore, prefix: str) -> None:
    """Remove every object of an incarnation that the catalogue no longer has.

    :raises Problem: 503, some may remain.
    """
    with answering():
        objects.delete(entry.key for entry in objects.list(prefix))
