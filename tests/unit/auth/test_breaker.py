"""An outage is found out by one, and not outlasted by anybody's call."""

from collections.abc import Callable
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from anfl.auth.breaker import OPEN_SECONDS, Breaker, Deadline
from anfl.auth.vault import VaultClient
from anfl.problems import Problem


class Time:
    """Stands still unless told."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_after_a_failure_one_asks_at_a_time_until_there_is_an_answer() -> None:
    time = Time()
    closed = Breaker(clock=time)
    assert all(closed.lets_pass() for _ in range(3))
    closed.failed()
    assert not closed.lets_pass()
    time.now += OPEN_SECONDS
    assert [closed.lets_pass() for _ in range(3)] == [True, False, False]
    time.now += OPEN_SECONDS
    assert closed.lets_pass(), "who was to find out may have died"
    closed.answered()
    assert all(closed.lets_pass() for _ in range(3))


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets time go by."""
    time = Time()
    monkeypatch.setattr("anfl.auth.breaker.time.monotonic", time)

    def go_by(seconds: float) -> None:
        time.now += seconds

    return go_by


def test_connecting_and_reading_fit_into_what_is_left(passes: Callable[[float], None]) -> None:
    deadline = Deadline(1.8)
    assert deadline.shorten((0.5, 1.0)) == (0.5, 1.0)
    assert deadline.shorten((0.5, 60)) == pytest.approx((0.5, 1.3))
    passes(1.0)
    assert deadline.shorten((0.5, 1.3)) == pytest.approx((0.5, 0.3))
    passes(5.0)
    assert sum(deadline.shorten((0.5, 1.3))) <= 0.1


def test_a_vault_that_hangs_is_told_within_two_seconds_even_where_it_would_ask_sts(
    monkeypatch: pytest.MonkeyPatch, passes: Callable[[float], None]
) -> None:
    """Logins by IAM role may be waited for longer, which an outage must not use."""
    waited: list[float] = []

    def hanging(_adapter: HTTPAdapter, _request: Any, **options: Any) -> Any:
        _, read = options["timeout"]
        waited.append(read)
        passes(read)
        raise requests.ReadTimeout

    monkeypatch.setattr(HTTPAdapter, "send", hanging)
    client = VaultClient(address="http://127.0.0.1:9")
    with pytest.raises(Problem, match="vault_unavailable"):
        client.login_client_iam(role="somebody", request={"iam_request_headers": "e30="})
    assert 0 < sum(waited) < 2
