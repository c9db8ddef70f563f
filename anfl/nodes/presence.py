"""What says that a node is there, and tells the node's processes who else is."""

import logging
import random
import secrets
import signal
import threading
import time
from collections.abc import Callable
from functools import partial

import boto3
import msgspec

from anfl import aws
from anfl.http.serve import Listen
from anfl.nodes.address import is_inside, of_this_task
from anfl.nodes.attendance import Attendance
from anfl.nodes.roll import Roll, RollError
from anfl.nodes.shared import SharedMembers

JITTER = 0.2
"""Of the time between two heartbeats, so that nodes that began together do not stay so."""
_log = logging.getLogger(__name__)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """A service's environment, as far as its nodes know one another."""

    table: str = msgspec.field(name="CATALOGUE_TABLE")
    heartbeat_seconds: float = msgspec.field(default=5.0, name="NODE_HEARTBEAT_SECONDS")
    timeout_seconds: float = msgspec.field(default=15.0, name="NODE_TIMEOUT_SECONDS")
    """A node without a heartbeat for so long is gone; who has not read the roll for so long knows nobody."""
    metadata_url: str | None = msgspec.field(default=None, name="ECS_CONTAINER_METADATA_URI_V4")
    """Where ECS tells a task its address; set by ECS."""


class Presence:
    """One node's."""

    def __init__(
        self,
        roll: Roll,
        members: SharedMembers,
        *,
        address: Callable[[], str],
        settings: Settings,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """:param address: this node's own; may raise OSError, and is asked again then."""
        self._roll = roll
        self._members = members
        self._find_address = address
        self._settings = settings
        self._now = now
        self._own: str | None = None
        self._key = secrets.token_urlsafe(16)
        self._attendance = Attendance(timeout=settings.timeout_seconds)

    def beat(self) -> None:
        """Renew this node's entry, read the others', and publish what is known.

        :raises OSError, RollError: something of it failed; what was published lapses unless a later call succeeds.
        """
        if self._own is None:
            self._own = self._find_address()
        self._roll.renew(self._own, key=self._key)
        asked = self._now()
        entries = self._roll.entries()
        self._attendance.observe({address: entry.beat for address, entry in entries.items()}, asked)
        present = self._attendance.present(asked)
        keys = tuple(entries[address].key for address in present)
        self._members.publish(self._own, present, keys=keys, seconds=self._settings.timeout_seconds)
        for address, beat in self._attendance.forgotten(asked).items():
            self._roll.remove(address, beat=beat)

    def leave(self) -> None:
        """Take this node off the roll, so that the others need not find out.

        :raises RollError: they will have to.
        """
        if self._own is not None:
            self._roll.remove(self._own)

    def run(self, stop: threading.Event) -> None:
        """Beat until ``stop``, then leave."""
        well = True
        while not stop.is_set():
            try:
                self.beat()
                well = True
            except (OSError, RollError) as error:
                if well:  # once, however long it lasts
                    _log.warning("the roll of nodes does not answer", extra={"reason": str(error)})
                well = False
            stop.wait(self._settings.heartbeat_seconds * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311
        try:
            self.leave()
        except RollError as error:
            _log.warning("this node could not leave; the others will miss it", extra={"reason": str(error)})


def run(settings: Settings, listen: Listen, members: SharedMembers) -> None:
    """Be present until SIGTERM. The main thread of a process of its own."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    presence = build(settings, aws.session(), members, address=partial(address_of, settings, listen))
    presence.run(stop)


def build(
    settings: Settings, session: boto3.session.Session, members: SharedMembers, *, address: Callable[[], str]
) -> Presence:
    """A node's presence over the table of ``settings``. No call takes longer than a heartbeat should."""
    roll = Roll(session.resource("dynamodb", config=aws.soon(attempts=2)).Table(settings.table))
    return Presence(roll, members, address=address, settings=settings)


def address_of(settings: Settings, listen: Listen) -> str:
    """Where this node is reached: as ECS tells it, else where it listens if that is one address.

    :raises OSError: neither; the node stays on its own.
    """
    if settings.metadata_url is not None:
        return of_this_task(settings.metadata_url, listen.port)
    own = f"{listen.host}:{listen.port}"
    if not is_inside(own):
        raise OSError(f"{own} is no address under which others reach this node")
    return own
