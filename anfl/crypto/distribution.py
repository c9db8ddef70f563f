"""The wrapping key comes to every region's Vault, in two phases that each region drives for itself.

The *leader*, one function in the home region, has KMS draw the material of a new version and puts it, wrapped, into
the auth table. Each region's *agent* sees it there, opens it with its replica of the KMS key, imports it into its own
Vault, proves that this was done rightly, and acknowledges. When every participant has acknowledged one and the same
key, the leader makes the version the active one, the one to seal with.

Nobody calls another region: all of this goes by the global table, where each item is written in one region only, so
that conditions hold (`wrapping_versions`). A region takes part from the moment that its agent registers. One that is
away keeps a version from becoming active, and nothing else. A run may be interrupted anywhere, and repeated any time.
"""

import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Protocol

from botocore.exceptions import BotoCoreError, ClientError

from anfl.crypto.errors import BusyError, DistributionError, UnknownOutcomeError
from anfl.crypto.material import Material
from anfl.crypto.transit_key import Held, fingerprint
from anfl.crypto.wrapping_versions import State, WrappingVersion, WrappingVersions

_log = logging.getLogger(__name__)

LEASE_SECONDS = 180
"""An import that was sent has been done or is lost after this: Vault ends what takes longer than 90 seconds."""
_LONGEST_PROBLEM = 500
Clock = Callable[[], float]


class Key(Protocol):
    """A region's key in Vault; see `anfl.crypto.transit_key.TransitKey`."""

    def held(self) -> Held: ...

    def add(self, secret: bytearray, *, first: bool) -> None: ...

    def opens(self, number: int, secret: bytearray) -> bool: ...


class Leader:
    """Begins versions, and makes those active that every participant holds. In the home region alone.

    Several may run at once: their writes are conditional, against one replica of the table. It sees no key in clear.
    """

    def __init__(
        self, *, versions: WrappingVersions, material: Material, rotation_seconds: float, clock: Clock = time.time
    ) -> None:
        """:param rotation_seconds: how old a version may be before the next one is begun."""
        self._versions = versions
        self._material = material
        self._rotation = rotation_seconds
        self._clock = clock

    def run(self) -> State:
        """Go as far as it goes at the moment.

        :raises DistributionError: regions hold different keys, or the table has lost some.
        """
        state = self._checked()
        newest = state.versions.get(state.complete)
        if newest is None or (state.pending is None and newest.drawn_at + self._rotation <= self._clock()):
            state = self._draw(state)
        return self._activate(state)

    def rotate(self) -> State:
        """Begin a version before its time, unless one is under way.

        :raises DistributionError: see `run`.
        """
        state = self._checked()
        return self._activate(self._draw(state) if state.pending is None else state)

    def _checked(self) -> State:
        state = self._versions.state()
        known = max([state.active or 0, *state.versions, *(one.held for one in state.participants.values())])
        if known > state.complete:
            raise DistributionError(
                f"the auth table has lost versions of the wrapping key: there were {known}, and {state.complete} "
                "stand there in unbroken order. No new one is begun; restore the table to a time at which it had them"
            )
        return state

    def _draw(self, state: State) -> State:
        number = state.complete + 1
        version = WrappingVersion(number=number, material=self._material.draw(number), drawn_at=int(self._clock()))
        if self._versions.add(version):
            _log.info("a version of the wrapping key is begun", extra={"version": number})
        return self._versions.state()

    def _activate(self, state: State) -> State:
        pending = state.pending
        if pending is None or not state.participants:
            return state
        behind = sorted(one.region for one in state.participants.values() if one.held < pending.number)
        if behind:
            _log.info("a version is being distributed", extra={"version": pending.number, "behind": behind})
            return state
        checks = {one.region: one.check for one in state.participants.values()}
        if len(set(checks.values())) != 1:
            raise DistributionError(
                f"regions hold different keys as version {pending.number} of the wrapping key: {checks}. It is not "
                "made active, what was sealed stays readable; find out who wrote to the auth table or to a Vault"
            )
        if self._versions.activate(pending.number, now=int(self._clock())):
            _log.info("a version of the wrapping key is active", extra={"version": pending.number})
        return self._versions.state()


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
