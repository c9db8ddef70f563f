"""Changes and what must be sent because of them: written in one transaction, so that no letter is lost or made up.

The process that made a change sends its letters at once and takes them out of the table. Letters that stay there, as
their process died or could not reach a queue, are sent by whichever process finds them old. Every letter is thus sent
at least once, and now and then again, under the same id.
"""

import contextlib
import itertools
import logging
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from anfl.registry import keys
from anfl.registry.clock import Clock, now
from anfl.registry.letters import Letter, as_text, bounded
from anfl.registry.table import ABSENT, Action, Condition, Delete, Item, LostRaceError, Put, Table
from anfl.resources import SORT_KEY

GRACE_MS = 30_000
"""A letter that is older was forgotten by its process."""
LEASE_MS = 60_000
"""How long one process alone sends what is old. Two at once would only send twice."""
_BATCH = 25
_REMEMBERED = 10_000
"""Letters that wait in memory; more are left to `Outbox.sweep`."""
_log = logging.getLogger(__name__)


class Courier(Protocol):
    """Brings letters to where they are read."""

    def wants(self, letter: Letter) -> bool:
        """Whether anybody does; may read the table, and raises botocore's errors."""

    def send(self, letter: Letter) -> None:
        """Bring it there.

        :raises botocore.exceptions.ClientError: this letter was refused.
        :raises botocore.exceptions.BotoCoreError: nothing can be brought there now.
        """


class Outbox:
    """Letters of all tenants."""

    def __init__(self, table: Table, courier: Courier | None = None, *, clock: Clock = now) -> None:
        """:param courier: None: nobody gets letters, so none are written."""
        self._table = table
        self._courier = courier
        self._clock = clock
        self._waiting: deque[Letter] = deque(maxlen=_REMEMBERED)
        self._arrived = threading.Event()

    def commit(self, *actions: Action, letters: Iterable[Letter] = ()) -> None:
        """Carry out ``actions`` and promise ``letters``, or neither.

        :raises LostRaceError: a condition does not hold.
        """
        courier = self._courier
        promised = [] if courier is None else [bounded(letter) for letter in letters if courier.wants(letter)]
        self._table.write(*actions, *map(_put, promised))
        if promised:
            self._waiting.extend(promised)
            self._arrived.set()

    def wait(self, seconds: float) -> None:
        """Until there is something to deliver, or `wake` was called, but no longer than ``seconds``."""
        self._arrived.wait(seconds)
        self._arrived.clear()

    def wake(self) -> None:
        """End a `wait`."""
        self._arrived.set()

    def deliver(self) -> None:
        """Send what this process has promised; what cannot be sent now is left to `sweep`.

        :raises botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError: nothing can be sent or removed.
        """
        try:
            while batch := [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]:
                self._send(batch)
        except BotoCoreError:
            self._waiting.clear()
            raise

    def sweep(self) -> int:
        """Send what processes have left behind, and say how much that was; nothing while another process does it.

        :raises botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError: as `deliver`.
        """
        if self._courier is None or not self._old():
            return 0
        lease = self._lease()
        if lease is None:
            return 0
        sent, after, until = 0, "", self._clock() + LEASE_MS // 2
        while self._clock() <= until and (found := self._old(after=after)):
            sent += self._send(list(filter(None, map(_letter, found))))
            after = found[-1][SORT_KEY]
        with contextlib.suppress(LostRaceError):  # it ran out, and another process took it
            self._table.write(Delete(key=keys.sweeper(), condition=lease))
        return sent

    def _old(self, *, after: str = "") -> list[Item]:
        edge = keys.letter(self._clock() - GRACE_MS, "")[SORT_KEY]
        items = itertools.islice(self._table.query(keys.OUTBOX, after=after or None, limit=_BATCH), _BATCH)
        return list(itertools.takewhile(lambda item: item[SORT_KEY] < edge, items))

    def _lease(self) -> Condition | None:
        """What holds for the lease that this process now has; None where another one has it."""
        item, moment = self._table.get(keys.sweeper()), self._clock()
        if item is not None and item["until"] > moment:
            return None
        revision = 1 if item is None else item["revision"] + 1
        condition = ABSENT if item is None else Condition(revision=item["revision"])
        try:
            lease = {"until": moment + LEASE_MS, "revision": revision}
            self._table.write(Put(key=keys.sweeper(), item=lease, condition=condition))
        except LostRaceError:
            return None
        return Condition(revision=revision)

    def _send(self, letters: Sequence[Letter]) -> int:
        assert self._courier is not None  # noqa: S101 - without one there are no letters
        sent: list[Letter] = []
        trouble: BotoCoreError | None = None
        for letter in letters:
            try:
                self._courier.send(letter)
            except ClientError:  # others may fare better
                _log.exception("letter not sent", extra={"letter": letter.id})
            except BotoCoreError as error:
                trouble = error
                break
            else:
                sent.append(letter)
        self._table.remove(keys.letter(letter.at, letter.id) for letter in sent)
        if trouble is not None:
            raise trouble
        return len(sent)


def _put(letter: Letter) -> Put:
    return Put(key=keys.letter(letter.at, letter.id), item={"letter": as_text(letter)})


def _letter(item: Item) -> Letter | None:
    try:
        letter: Letter = msgspec.json.decode(item["letter"], type=Letter)
    except (msgspec.DecodeError, KeyError):  # of a later release: that one will send it
        _log.exception("letter not read", extra={"letter": item[SORT_KEY]})
        return None
    return letter
