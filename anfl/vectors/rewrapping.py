"""After a rotation: wrapped keys move to the active version of the wrapping key. Data is neither opened nor touched.

Vault does it (``transit/rewrap``), so that no key is seen here, and an object is replaced only by the same key: by a
conditional put in the place of the very object that was read. So it may be killed anywhere, repeated, and done by
several at once. Once nothing remains under a version, in no region, ``min_decryption_version`` may be raised beyond it.
"""

import logging
from collections.abc import Callable
from contextlib import suppress

from anfl.crypto.rewrapped import Outcome, Rewrapped, Tally
from anfl.crypto.transit import Transit, Versions, active_version, version_of
from anfl.crypto.trouble import TamperedError
from anfl.vectors.listing import incarnations
from anfl.vectors.objects import ChangedError, ObjectStore, answering
from anfl.vectors.sealing import KEYS, packed, unpacked

_log = logging.getLogger(__name__)
_ATTEMPTS = 3


class Rewrapping:
    """Of one region's bucket."""

    def __init__(self, objects: ObjectStore, transit: Transit, versions: Versions) -> None:
        self._objects = objects
        self._transit = transit
        self._versions = versions

    def turn(self, *, after: str = "", enough: Callable[[], bool] = bool) -> Rewrapped:
        """Go through the keys of one incarnation after the other, of one at least, until there is ``enough``.

        :param after: what the turn before this one said.
        :raises Problem: 503, the store or Vault does not answer; what was done stays done.
        """
        active = active_version(self._versions)
        tally = Tally(active=active)
        last: str | None = None
        for tenant, name, incarnation in incarnations(self._objects, after=after):
            if last is not None and enough():
                break
            last = f"{tenant}/{name}/{incarnation}/"
            for place in self._places(last):
                tally.add(place, self._move(place, active))
        else:
            last = None
        return tally.report(after=last)

    def _places(self, prefix: str) -> list[str]:
        with answering():
            return [entry.key for entry in self._objects.list(f"{prefix}{KEYS}")]

    def _move(self, place: str, active: int) -> Outcome:
        for _ in range(_ATTEMPTS):
            with answering():
                found = self._objects.get_tagged(place)
            if found is None:  # the collection was deleted meanwhile
                return Outcome.GONE
            data, tag = found
            try:
                wrapped = unpacked(place, data)
                if version_of(wrapped) >= active:
                    return Outcome.KEPT
                moved = self._transit.rewrap(wrapped, place, version=active)
            except TamperedError as error:
                _log.error("damaged wrapped key", extra={"key": place, "reason": str(error)})
                return Outcome.DAMAGED
            with answering(), suppress(ChangedError):
                self._objects.put_if_same(place, packed(place, moved), tag)
                return Outcome.MOVED
        return Outcome.REMAINING
