"""How much of something is inside one process at a time, and how much of that one tenant may have. Nobody waits for it.

What comes in slowly is held for long: whoever begins very much at once would fill the memory that all tenants share.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from anfl.problems import Problem

RETRY_SECONDS = 2


class Shares:
    """Of one event loop."""

    def __init__(self, what: str, *, most: int, most_of_tenant: int) -> None:
        """:param what: it is, for people. :param most: of all tenants. :param most_of_tenant: of each."""
        self._what = what
        self._most = most
        self._most_of_tenant = most_of_tenant
        self._taken = Counter[str]()

    @contextmanager
    def taken(self, tenant: str, amount: int = 1) -> Iterator[None]:
        """So much more, as long as it lasts.

        :raises Problem: 429, the tenant would have more than it may; 503, all would.
        """
        if self._taken[tenant] + amount > self._most_of_tenant:
            detail = f"More than {self._most_of_tenant} {self._what} of yours would be under way; ask again."
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, "too_many_at_once", detail, retry_after=RETRY_SECONDS)
        if self._taken.total() + amount > self._most:
            detail = f"More than {self._most} {self._what} would be under way; ask again."
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "temporarily_unavailable", detail, retry_after=RETRY_SECONDS)
        self._taken[tenant] += amount
        try:
            yield
        finally:
            self._taken[tenant] -= amount
            if not self._taken[tenant]:
                del self._taken[tenant]
