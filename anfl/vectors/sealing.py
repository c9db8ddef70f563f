"""Objects of a collection under data keys of its own: one for each epoch and day.

``{tenant}/{collection}/{incarnation}/keys/{epoch}/{day}`` holds a key as Vault has wrapped it, with that very place as
the context, so that it opens for no other collection and no other day. It is written once, if absent (by the home
alone, so nobody elsewhere makes another one of that name), and only ever replaced by the same key under a newer version
of the wrapping key. A region that is not the collection's home seals what an owner has it keep, a named snapshot, under
keys of its own (``keys/{epoch}/{day}-{region}``). What is sealed names its key in its header. A day that begins while
Vault is away is sealed by the key of the day before, for as long as a process has that in memory
(`anfl.crypto.data_keys`).

Whether a collection is sealed stands in the catalogue, from its creation on (`Collection.sealed`). In one that is,
format 1 is damage: nobody gets an object in by leaving the seal off.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from anfl.crypto import sealed
from anfl.crypto.data_keys import DataKeys
from anfl.crypto.transit import Transit
from anfl.crypto.trouble import TamperedError, key_unavailable
from anfl.vectors.envelope import Checksummed, DamagedError, Envelope
from anfl.vectors.homes import is_home
from anfl.vectors.model import Collection
from anfl.vectors.objects import AlreadyExistsError, ObjectStore, answering
from anfl.vectors.repair import Repairs
from anfl.vectors.trouble import CorruptLogError

KEYS = "keys/"
"""Of a collection's keys, below its prefix."""
_DAY = 86_400.0
_NAME = re.compile(r"[0-9]{8,20}/[0-9]{4}-[0-9]{2}-[0-9]{2}(?:-[a-z0-9-]{1,30})?")


class Envelopes(Protocol):
    """Which envelope a collection's objects have."""

    @property
    def seals(self) -> bool:
        """Whether collections that are made from now on are sealed."""

    def of(self, collection: Collection) -> Envelope:
        """The envelope of a collection's objects."""


class Unsealed:
    """Seals nothing, and opens nothing that is."""

    seals = False

    def of(self, collection: Collection) -> Envelope:
        """See `Envelopes.of`.

        :raises Problem: 503 ``key_unavailable``, the collection is sealed.
        """
        if collection.sealed:
            raise key_unavailable("this process has no Vault")
        return Checksummed()


class Sealing:
    """Seals what is made from now on, and opens what was sealed."""

    def __init__(self, keys: DataKeys, *, seals: bool = True, here: str | None = None) -> None:
        """:param here: this region; None: there is no other."""
        self._keys = keys
        self._here = here
        self.seals = seals

    def of(self, collection: Collection) -> Envelope:
        """See `Envelopes.of`."""
        if not collection.sealed:
            return Checksummed()
        own = "" if is_home(collection, here=self._here) else f"-{self._here}"
        return Sealed(collection, self._keys, own=own)


class Sealed:
    """The `Envelope` of one sealed collection."""

    def __init__(self, collection: Collection, keys: DataKeys, *, own: str = "") -> None:
        """:param own: what the names of keys that are made here end in."""
        self._own = own
        self._place = f"{collection.prefix}{KEYS}"
        self._epoch = collection.epoch
        self._keys = keys

    def seal(self, key: str, body: bytes, *, identity: str, at: float) -> bytearray:
        """See `Envelope.seal`.

        :raises CorruptLogError: the key of that day is damaged.
        """
        name, data_key = self._to_seal(at)
        return sealed.seal(body, key=data_key, key_name=name, place=key, identity=identity)

    def open(self, key: str, data: bytes) -> bytes:
        """See `Envelope.open`."""
        with _damage():
            return sealed.unseal(data, key_of=self._to_open, place=key)

    def seal_part(self, key: str, body: bytes | bytearray, *, identity: str, at: float) -> bytearray:
        """See `Envelope.seal_part`.

        :raises CorruptLogError: the key of that day is damaged.
        """
        name, data_key = self._to_seal(at)
        return sealed.seal_framed(body, key=data_key, key_name=name, place=key, identity=identity)

    def open_part(self, key: str, data: bytes) -> Iterator[memoryview]:
        """See `Envelope.open_part`."""
        with _damage():
            yield from sealed.unseal_framed(data, key_of=self._to_open, place=key)

    def _name(self, at: float) -> str:
        return f"{self._epoch:08d}/{time.strftime('%Y-%m-%d', time.gmtime(at))}{self._own}"

    def _to_seal(self, at: float) -> tuple[str, bytes]:
        """Name and key of the day; of the day before while Vault is away, as long as that one is in memory: what is
        sealed names its key, so whoever opens it need not know."""
        today, yesterday = (self._place + self._name(moment) for moment in (at, at - _DAY))
        try:
            place, key = self._keys.to_seal_meanwhile(today, yesterday)
        except TamperedError as error:
            raise CorruptLogError(today, str(error)) from error
        return place.removeprefix(self._place), key

    def _to_open(self, name: str) -> bytes:
        if not _NAME.fullmatch(name):
            raise TamperedError("no key's name")
        return self._keys.to_open(self._place + name)


class ObjectKeys:
    """`anfl.crypto.data_keys.WrappedKeys` in the object store. Their own envelope notices damage; Vault, forgery."""

    def __init__(self, objects: ObjectStore, repairs: Repairs) -> None:
        self._objects = objects
        self._repairs = repairs

    def read(self, place: str, unwrap: Callable[[str], bytes], *, expected: bool) -> bytes | None:
        """See `WrappedKeys.read`. One that is gone comes back if the store has it still, or another region does: what
        was sealed under it must not meet a new key of that name."""
        with answering():
            data = self._objects.get(place)
            reason = "missing"
            if data is not None:
                try:
                    return unwrap(unpacked(place, data))
                except TamperedError as error:
                    reason = str(error)

            def opened(copy: bytes) -> bytes | None:
                try:
                    return unwrap(unpacked(place, copy))
                except TamperedError:
                    return None

            # Of its versions the newest that is whole: Vault may not open those under retired versions any more.
            key = self._repairs.repair(
                place,
                opened,
                absent=data is None,
                expected=expected or data is not None,
                newest_first=True,
            )
        if key is None and data is not None:
            raise TamperedError(f"{place}: {reason}")
        return key

    def put_if_absent(self, place: str, wrapped: str) -> bool:
        """See `WrappedKeys.put_if_absent`."""
        try:
            with answering():
                self._objects.put_if_absent(place, packed(place, wrapped))
        except AlreadyExistsError:
            return False
        return True


def sealing(
    objects: ObjectStore,
    transit: Transit,
    *,
    repairs: Repairs,
    monotonic: Callable[[], float],
    here: str | None = None,
) -> Sealing:
    """Seals the objects of one store, that of the region ``here``, by keys that ``transit`` wraps."""
    return Sealing(DataKeys(transit, ObjectKeys(objects, repairs), monotonic=monotonic), here=here)


def packed(place: str, wrapped: str) -> bytes:
    """The object that holds a wrapped key."""
    return Checksummed().seal(place, wrapped.encode())


def unpacked(place: str, data: bytes) -> str:
    """The wrapped key that an object holds.

    :raises TamperedError: it holds none.
    """
    try:
        return Checksummed().open(place, data).decode()
    except (DamagedError, UnicodeDecodeError) as error:
        raise TamperedError(f"wrapped key: {error}") from error


@contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except TamperedError as error:
        raise DamagedError(str(error)) from error
