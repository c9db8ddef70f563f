"""After a rotation: the keys of the registry's secrets move to the active version; what stood in clear gets sealed.

Like `anfl.vectors.rewrapping`, whose files are items here: Vault moves a key without showing it, and it replaces the
very item that was read. May be killed anywhere, repeated, and done by several at once, in several regions too: of two
writes to one item both are the same key.
"""

import logging
from collections.abc import Callable, Iterator

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from anfl.crypto.rewrapped import Outcome, Rewrapped, Tally
from anfl.crypto.transit import Transit, Versions, active_version, version_of
from anfl.crypto.trouble import TamperedError, key_unavailable
from anfl.problems import Problem, invalid
from anfl.registry import keys
from anfl.registry.table import Condition, Item, LostRaceError, Put, Table
from anfl.registry.webhooks import Webhooks
from anfl.resources import PARTITION_KEY, SORT_KEY

BY = "anfl"
"""Whom the audit names for what was sealed afterwards."""
_ATTEMPTS = 3
_log = logging.getLogger(__name__)


class SecretRewrapping:
    """Of the registry's table."""

    def __init__(self, table: Table, webhooks: Webhooks, transit: Transit, versions: Versions) -> None:
        self._table = table
        self._webhooks = webhooks
        self._transit = transit
        self._versions = versions

    def wrapped_keys(self, *, enough: Callable[[], bool] = bool) -> Rewrapped:
        """Go through all wrapped keys: one for each tenant and region. Once there is ``enough``, the rest remain.

        :raises Problem: 503, the table or Vault does not answer; what was done stays done.
        """
        tally = Tally(active=active_version(self._versions))
        for place, wrapped in self._standing():
            if self._is_current(wrapped, tally.active):
                tally.add(place, Outcome.KEPT)
            else:
                tally.add(place, Outcome.REMAINING if enough() else self._move(place, tally.active))
        return tally.report(after=None)

    def turn(self, *, after: str = "", enough: Callable[[], bool] = bool) -> Rewrapped:
        """As `wrapped_keys`, and then through the whole table for secrets in clear, until there is ``enough``.

        :param after: what the turn before this one said, which then goes on there.
        :raises Problem: as `wrapped_keys`; 400, nobody said that.
        """
        moved = (
            Tally(active=active_version(self._versions)).report(after=None)
            if after
            else self.wrapped_keys(enough=enough)
        )
        sealed = 0
        for found, next_page in self._in_clear(after):
            sealed += sum(map(self._seal, found))
            if next_page is None or enough():
                rest = None if next_page is None else msgspec.json.encode(next_page).decode()
                return msgspec.structs.replace(moved, sealed=sealed, after=rest)
        raise AssertionError("the last page is no page")

    def _standing(self) -> list[tuple[str, str]]:
        """Each place and what stands there."""
        try:
            return [(item[SORT_KEY], str(item.get("wrapped"))) for item in self._table.query(keys.DATA_KEYS)]
        except (BotoCoreError, ClientError) as error:
            raise _unanswered() from error

    def _is_current(self, wrapped: str, active: int) -> bool:
        try:
            return version_of(wrapped) >= active
        except TamperedError:
            return False  # as `_move` will tell

    def _in_clear(self, after: str) -> Iterator[tuple[list[keys.Key], keys.Key | None]]:
        """Webhooks that have a secret, page by page."""
        try:
            yield from self._table.holding("secret", after=_begin(after) if after else None)
        except (BotoCoreError, ClientError) as error:
            raise _unanswered() from error

    def _seal(self, key: keys.Key) -> bool:
        tenant = keys.tenant_of_webhooks(key[PARTITION_KEY])
        if tenant is None:
            return False
        try:
            return self._webhooks.seal(tenant, key[SORT_KEY], by=BY)
        except Problem as problem:
            if problem.code != "resource_does_not_exist":  # it was deleted meanwhile
                raise
            return False

    def _move(self, place: str, active: int) -> Outcome:
        for _ in range(_ATTEMPTS):
            try:
                item = self._table.get(keys.data_key(place))
                if item is None:
                    return Outcome.GONE
                return self._moved(place, item, active)
            except TamperedError as error:
                _log.error("damaged wrapped key", extra={"key": place, "reason": str(error)})
                return Outcome.DAMAGED
            except LostRaceError:
                continue
            except (BotoCoreError, ClientError) as error:
                raise _unanswered() from error
        return Outcome.REMAINING

    def _moved(self, place: str, item: Item, active: int) -> Outcome:
        if version_of(item["wrapped"]) >= active:
            return Outcome.KEPT
        moved = self._transit.rewrap(item["wrapped"], place, version=active)
        revision = item["revision"]
        put = Put(
            key=keys.data_key(place),
            item={"wrapped": moved, "revision": revision + 1},
            condition=Condition(revision=revision),
        )
        self._table.write(put)
        return Outcome.MOVED


def _begin(after: str) -> keys.Key:
    try:
        return msgspec.json.decode(after, type=keys.Key)
    except msgspec.DecodeError:
        raise invalid("Give what the answer before said.", field="after") from None


def _unanswered() -> Problem:
    return key_unavailable("the registry's table does not answer")
