"""The judge of strange requests sees what it has to see."""

import random

import pytest

from anfl.auth.principal import Role
from tests.fuzz.judge import fault
from tests.fuzz.requests import Attempt, any_attempt


def attempt(method: str, target: str, role: Role | None = None) -> Attempt:
    return Attempt(role=role, method=method, target=target, headers=())


@pytest.mark.parametrize(
    ("asked", "status", "wrong"),
    [
        (attempt("GET", "/v1/collections"), 200, True),
        (attempt("GET", "/v1/collections"), 401, False),
        (attempt("GET", "/v1/collections"), 302, True),
        (attempt("GET", "/v1/collections"), 500, True),
        (attempt("GET", "/v1/collections"), 503, True),
        (attempt("GET", "/v1/collections"), None, False),
        (attempt("GET", "/v1/openapi.json"), 200, False),
        (attempt("GET", "/live/v1/openapi.json/"), 200, False),
        (attempt("POST", "/v1/openapi.json"), 200, True),
        (attempt("OPTIONS", "/v1/collections"), 204, False),
        (attempt("OPTIONS", "/v1/collections"), 200, True),
        (attempt("GET", "http://evil/v1/coll%65ctions?x", Role.READER), 200, False),
        (attempt("HEAD", "/v1/collections", Role.READER), 200, False),
        (attempt("GET", "/v1/coll%2565ctions", Role.READER), 200, True),
        (attempt("DELETE", "/v1/collections/x", Role.READER), 200, True),
        (attempt("get", "/v1/collections", Role.READER), 200, True),
        (attempt("GET", "/v1/openapi.json/../collections", None), 200, True),
    ],
)
def test_what_an_answer_may_not_be(asked: Attempt, status: int | None, wrong: bool) -> None:
    assert (fault(asked, status) is not None) is wrong


def test_a_seed_makes_the_same_requests_again() -> None:
    def requests() -> list[bytes]:
        chance = random.Random(7)
        return [any_attempt(chance, tokens={Role.READER: "a.b.c"}, names=["n"]).raw() for _ in range(50)]

    assert requests() == requests()
    assert len(set(requests())) > 40
