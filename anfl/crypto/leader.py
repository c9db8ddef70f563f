"""The wrapping key comes to every region's Vault, in two phases that each region drives for itself.

The *leader*, one function in the home region, has KMS draw the material of a new version and puts it, wrapped, into
the auth table. Each region's *agent* sees it there, opens it with its replica of the KMS key, imports it into its own
Vault, proves that this was done rightly, and acknowledges. When every participant has acknowledged one and the same
key, the leader makes the version the active one, the one to seal with.

Nobody calls another region: all of this goes by the global table, where each item is written in one region only, so
that conditions hold (`wrapping_versions`). A region takes part from the moment that its agent registers. One that is
away keeps a version from becoming active, and nothing else. A run may be interrupted anywhere, and repeated any time.
"""

import logging
import time
from collections.abc import Callable

from anfl.crypto.errors import DistributionError
from anfl.crypto.material import Material
from anfl.crypto.wrapping_versions import State, WrappingVersion, WrappingVersions

Clock = Callable[[], float]
"""Seconds since the epoch."""
_log = logging.getLogger(__name__)


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
