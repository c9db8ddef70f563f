"""What Vault has agreed to a moment ago: remembered by this process, and by all of the region where there is a cache.

Kept is a digest of the token and nothing about its bearer: what a token says, whoever presents it has to prove anew. A
forged mark therefore spares Vault a question, and grants nothing.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from anfl import elapsed

DECISION_SECONDS = 60.0
"""How long Vault's answer for a token is used again; also how long such a token works while Vault is away."""
PREFIX = "decision:"
"""Of keys in the cache; the functions' user of the cache may touch no others."""
_REMEMBERED = 1024


class Marks(Protocol):
    """See `anfl.cache.SharedMarks`."""

    def seconds_left(self, key: str) -> float: ...

    def put(self, key: str, *, seconds: float) -> None: ...


class Decisions:
    """Safe for threads."""

    def __init__(self, marks: Marks | None, *, clock: Callable[[], float] = elapsed.seconds) -> None:
        """:param marks: shared by all processes; None: this one remembers alone."""
        self._marks = marks
        self._clock = clock
        self._until: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def stands(self, token: str) -> bool:
        """Whether Vault agreed to ``token`` less than `DECISION_SECONDS` ago, as far as anybody remembers."""
        key = _key(token)
        with self._lock:
            until = self._until.get(key, float("-inf"))
        if self._clock() < until:
            return True
        if self._marks is None:
            return False
        asked = self._clock()
        left = min(self._marks.seconds_left(key), DECISION_SECONDS)
        if left > 0:
            self._remember(key, asked + left)
        return left > 0

    def note(self, token: str, *, asked: float, seconds: float) -> None:
        """Vault agreed. :param asked: when it was asked, by this object's clock.

        :param seconds: what is left of the token's own life.
        """
        key = _key(token)
        until = asked + min(DECISION_SECONDS, seconds)
        self._remember(key, until)
        if self._marks is not None:
            self._marks.put(key, seconds=until - self._clock())

    def _remember(self, key: str, until: float) -> None:
        with self._lock:
            self._until[key] = until
            self._until.move_to_end(key)
            if len(self._until) > _REMEMBERED:
                self._until.popitem(last=False)


def _key(token: str) -> str:
    return PREFIX + hashlib.sha256(token.encode()).hexdigest()
