"""What verification looks up in the auth table, cached: public keys, and the deny-list of revoked tokens.

Both keep serving their last answer while the table cannot be read; with none yet they answer 503.
"""

import logging
from collections.abc import Callable, Mapping

import jwt

from anfl import elapsed
from anfl.auth import jwk
from anfl.auth.cached import Cached, Clock
from anfl.auth.principal import Principal
from anfl.auth.table import PublishedKey
from anfl.problems import unavailable

KEYS_REFRESH_SECONDS = 300.0
"""A withdrawn key is refused after this long at the latest."""
UNKNOWN_KEY_REFRESH_SECONDS = 5.0
"""Unknown kids make a process read the table at most this often."""
REVOCATION_LAG_SECONDS = 15.0
"""A revoked token is refused after this long at the latest, by every function and service, while the table can be read
within `PATIENCE_SECONDS`.

Another region's revocation comes later by what the global table takes to replicate, about a second.
"""
PATIENCE_SECONDS = 1.0
"""How long a request waits for the deny-list that another one is reading, before it goes by the older one."""
DENY_LIST_MAX_AGE_SECONDS = 3600.0
"""How long an unreadable table is bridged by the last deny-list; after that verification fails closed."""

_log = logging.getLogger(__name__)


class KeySet:
    """Public keys by kid, of every region."""

    def __init__(self, load: Callable[[], tuple[PublishedKey, ...]], *, clock: Clock = elapsed.seconds) -> None:
        """:param load: reads the published keys, usually `AuthTable.published_keys`."""
        self._cached: Cached[Mapping[str, jwt.PyJWK]] = Cached(lambda: _parse(load()), clock=clock)

    def find(self, kid: str) -> jwt.PyJWK | None:
        """The key named ``kid``; None where no region has published it.

        :raises Problem: 503 ``auth_unavailable`` where no key set could be read yet.
        """
        keys, _ = self._cached.get(max_age=KEYS_REFRESH_SECONDS)
        if kid not in keys:
            keys, _ = self._cached.get(max_age=UNKNOWN_KEY_REFRESH_SECONDS)
        return keys.get(kid)

    def still_names(self, kid: str, key: jwt.PyJWK) -> bool:
        """Whether ``kid`` names this very key, without reading the table: no where it was read too long ago to tell."""
        found = self._cached.peek()
        if found is None or found[1] > KEYS_REFRESH_SECONDS:
            return False
        known = found[0].get(kid)
        return known is key or (known is not None and bool(known.key == key.key))


class DenyList:
    """Revoked logins, as `anfl.auth.principal.deny_entry` names them."""

    def __init__(self, load: Callable[[], frozenset[str]], *, clock: Clock = elapsed.seconds) -> None:
        """:param load: reads the entries, usually `AuthTable.revoked`."""
        self._cached = Cached(load, clock=clock)

    def contains(self, principal: Principal) -> bool:
        """Whether the principal's login is revoked; may read the table.

        :raises Problem: 503 ``auth_unavailable`` where the list could not be read for too long.
        """
        revoked, age = self._cached.get(max_age=REVOCATION_LAG_SECONDS, patience=PATIENCE_SECONDS)
        if age > DENY_LIST_MAX_AGE_SECONDS:
            raise unavailable("revoked tokens cannot be told apart at the moment; try again", code="auth_unavailable")
        return principal.deny_entry in revoked

    def contains_cached(self, principal: Principal) -> bool | None:
        """As `contains` without reading the table: None where the cached list is too old to tell."""
        found = self._cached.peek()
        if found is None or found[1] > REVOCATION_LAG_SECONDS:
            return None
        return principal.deny_entry in found[0]


def _parse(keys: tuple[PublishedKey, ...]) -> dict[str, jwt.PyJWK]:
    """Usable keys by kid."""
    return {key.kid: found for key in keys if (found := usable(key)) is not None}


def usable(key: PublishedKey) -> jwt.PyJWK | None:
    """The key; None for one that cannot be read, which must not take the others with it."""
    try:
        return jwk.read(key.jwk)
    except jwk.UnreadableKeyError as error:
        _log.error("published key is not usable", extra={"kid": key.kid, "error": str(error)})
        return None
