"""The second phase of the distribution of wrapping keys, for one region (`anfl.crypto.leader` has the whole of it)."""

import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Protocol

from botocore.exceptions import BotoCoreError, ClientError

from anfl.crypto.errors import BusyError, DistributionError, UnknownOutcomeError
from anfl.crypto.leader import Clock
from anfl.crypto.material import Material
from anfl.crypto.transit_key import Held, fingerprint
from anfl.crypto.wrapping_versions import State, WrappingVersion, WrappingVersions

LEASE_SECONDS = 180
"""An import that was sent has been done or is lost after this: Vault ends what takes longer than 90 seconds."""
_LAST_RUN_SECONDS = 60.0
_PAUSE_SECONDS = 5.0
_LONGEST_PROBLEM = 500
_log = logging.getLogger(__name__)


class Key(Protocol):
    """A region's key in Vault; see `anfl.crypto.transit_key.TransitKey`."""

    def held(self) -> Held: ...

    def add(self, secret: bytearray, *, first: bool) -> None: ...

    def opens(self, number: int, secret: bytearray) -> bool: ...


class Agent:
    """Brings one region's Vault to hold every version that there is."""

    def __init__(
        self, *, region: str, versions: WrappingVersions, material: Material, key: Key, clock: Clock = time.time
    ) -> None:
        """:param versions: by the table's replica in ``region``. :param key: of the Vault in ``region``."""
        self._region = region
        self._versions = versions
        self._material = material
        self._key = key
        self._clock = clock
        self._holder = uuid.uuid4().hex

    def run(self) -> State:
        """Take part; import what is missing; acknowledge.

        :raises DistributionError: Vault's versions are not those of the table.
        :raises BusyError: another run imports.
        :raises UnknownOutcomeError: Vault did not answer an import.
        """
        self._versions.register(self._region, now=self._now())
        try:
            self._pull()
        except BusyError:
            raise
        except Exception as error:
            with contextlib.suppress(BotoCoreError, ClientError):
                problem = f"{type(error).__name__}: {error}"[:_LONGEST_PROBLEM]
                self._versions.complain(self._region, problem, now=self._now())
            raise
        return self._versions.state()

    def _pull(self) -> None:
        held, state = self._look()
        newest = state.complete
        if not newest:
            return
        if held.latest < newest:
            with self._alone():
                newest, check = self._catch_up()
        else:
            check = self._prove(state.versions[newest], held)
        if not self._versions.acknowledge(self._region, held=newest, check=check, now=self._now()):
            _log.info("another run has acknowledged more", extra={"version": newest})

    def _look(self) -> tuple[Held, State]:
        """Vault first: what stands there came from the table, which only grows."""
        held = self._key.held()
        state = self._versions.state()
        if held.latest > state.complete:
            raise self._mismatch(f"it holds version {held.latest}, and the table knows {state.complete}")
        return held, state

    def _catch_up(self) -> tuple[int, str]:
        """The newest version and its fingerprint, when Vault holds all of them."""
        held, state = self._look()  # again: whoever had the lease before may have imported
        check = ""
        for number in range(1, state.complete + 1):
            version = state.versions[number]
            if number > held.latest:
                self._import(version)
            check = self._prove(version, held)
        return state.complete, check

    def _import(self, version: WrappingVersion) -> None:
        with self._material.opened(version) as secret:
            self._lease()  # anew: this request, too, must have come to its end when somebody else begins
            self._key.add(secret, first=version.number == 1)
        if self._key.held().latest != version.number:
            raise self._mismatch(f"version {version.number} was imported as another one")
        _log.info("a version was imported", extra={"version": version.number})

    def _prove(self, version: WrappingVersion, held: Held) -> str:
        """The version's fingerprint, if Vault's is the same key. Those that were retired there prove nothing."""
        with self._material.opened(version) as secret:
            if version.number >= held.least and not self._key.opens(version.number, secret):
                raise self._mismatch(f"its version {version.number} is another key than the table's")
            return fingerprint(secret)

    def _mismatch(self, what: str) -> DistributionError:
        return DistributionError(
            f"the Vault of {self._region} does not fit the auth table: {what}. Nothing was acknowledged; no version "
            "becomes active until it is mended (docs/security_architecture.md, 'Wrapping keys')"
        )

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One import at a time: Vault has no condition for it, and who asks twice gets two versions.

        After an import of unknown outcome, or a death, nobody imports until the lease is over.
        """
        self._lease()
        try:
            yield
        except UnknownOutcomeError:
            raise
        except Exception:
            self._versions.release(self._region, holder=self._holder)
            raise
        self._versions.release(self._region, holder=self._holder)

    def _lease(self) -> None:
        if not self._versions.lease(self._region, holder=self._holder, now=self._now(), seconds=LEASE_SECONDS):
            raise BusyError(f"another run imports into the Vault of {self._region}, for at most {LEASE_SECONDS} s")

    def _now(self) -> int:
        return int(self._clock())


def patiently(run: Callable[[], State], *, seconds: float, pause: Callable[[float], None] = time.sleep) -> State:
    """``run``, again while another run imports, as far as the time allows.

    :param seconds: that are left to this process; some are kept for the last run.
    """
    until = time.monotonic() + seconds - _LAST_RUN_SECONDS
    while True:
        try:
            return run()
        except BusyError:
            if time.monotonic() + _PAUSE_SECONDS > until:
                raise
            pause(_PAUSE_SECONDS)
