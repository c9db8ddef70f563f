"""Initialisation and unsealing. Shares are random and compared one by one: nothing is encrypted at rest here."""

import hashlib
import secrets


class Seal:
    """Whether the server is initialised and open."""

    def __init__(self, *, auto: bool = False) -> None:
        """:param auto: opens by itself once initialised, as with a key of KMS; the shares are recovery keys then."""
        self.auto = auto
        self.initialised = False
        self.sealed = True
        self.threshold = 0
        self.shares: frozenset[str] = frozenset()
        self._progress: set[str] = set()

    @property
    def progress(self) -> int:
        """Shares given so far."""
        return len(self._progress)

    def initialise(self, *, shares: int, threshold: int) -> list[bytes]:
        """Draw the shares; they are told this once."""
        drawn = [secrets.token_bytes(33) for _ in range(shares)]
        self.initialised, self.sealed, self.threshold = True, not self.auto, threshold
        self.shares = frozenset(_digest(share) for share in drawn)
        return drawn

    def open(self) -> None:
        """Unseal without shares (development mode)."""
        self.initialised, self.sealed = True, False

    def close(self) -> None:
        """Seal."""
        self.sealed = True
        self._progress.clear()

    def reset(self) -> None:
        """Forget the shares given so far."""
        self._progress.clear()

    def offer(self, share: bytes) -> bool:
        """One share towards unsealing; False where the threshold is met and one of them is wrong."""
        self._progress.add(_digest(share))
        if len(self._progress) < self.threshold:
            return True
        right = self._progress <= self.shares
        self._progress.clear()
        self.sealed = not right
        return right


def _digest(share: bytes) -> str:
    return hashlib.sha256(share).hexdigest()
