"""When a request is sent again, and after how long: bounded, with jitter, and only where it is safe."""

import random
from dataclasses import dataclass

import httpx

from anfl.client.errors import ApiError, UnreachableError
from anfl.client.failures import failure_of

ATTEMPTS = 5
FIRST_SECONDS = 0.1
LONGEST_SECONDS = 10.0
"""Of one wait, whatever the server asks for."""
_BUSY = 429
_RETRIED = frozenset({_BUSY, 502, 503, 504})


@dataclass
class Retries:
    """The attempts at one request.

    ``repeatable``: doing it twice is doing it once. Otherwise only what certainly was not done is repeated: a
    connection that was refused, or 429.
    """

    what: str
    repeatable: bool
    made: int = 0
    _may_be_done: bool = False

    def after_error(self, error: httpx.RequestError) -> float:
        """Seconds to wait before the next attempt.

        :raises UnreachableError: there is none.
        """
        self.made += 1
        refused = isinstance(error, httpx.ConnectError)
        if self.made >= ATTEMPTS or not (self.repeatable or refused):
            failure = failure_of(error, repeatable=self.repeatable)
            unreachable = UnreachableError(f"{self.what}: {failure.happened}.")
            unreachable.add_note(failure.advice)
            raise unreachable from error
        self._may_be_done |= not refused
        return self._jitter()

    def after_answer(self, response: httpx.Response) -> float | None:
        """Seconds to wait before the next attempt; None: ``response`` is the answer.

        :raises ApiError: the API refused for good.
        """
        self.made += 1
        if response.is_success:
            return None
        again = response.status_code in _RETRIED and (self.repeatable or response.status_code == _BUSY)
        if self.made >= ATTEMPTS or not again:
            error = ApiError.of(response)
            error.may_be_done = self._may_be_done
            raise error
        self._may_be_done |= response.status_code != _BUSY
        return max(min(_asked(response), LONGEST_SECONDS), self._jitter())

    def _jitter(self) -> float:
        return random.uniform(0, min(LONGEST_SECONDS, FIRST_SECONDS * 2**self.made))  # noqa: S311 - no secret


def _asked(response: httpx.Response) -> float:
    value = response.headers.get("retry-after", "")
    return float(value) if value.isdecimal() else 0.0
