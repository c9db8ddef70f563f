"""Bodies and query strings: read once, within limits, in what they say they are."""

import asyncio
import gzip
from collections.abc import Iterable
from typing import Any

import pytest

from anfl.http import requests as requests_module
from anfl.http.requests import SMALL_BYTES, ClientGoneError, Request
from anfl.problems import Problem

LIMIT = 4 * SMALL_BYTES


def request(
    parts: Iterable[bytes | None] = (), *, headers: dict[bytes, bytes] | None = None, query: bytes = b""
) -> Request:
    """A request whose body comes in ``parts``; None: the client goes away."""
    waiting = list(parts)

    async def receive() -> dict[str, Any]:
        if not waiting:
            await asyncio.Event().wait()
        part = waiting.pop(0)
        if part is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": bool(waiting)}

    scope = {"type": "http", "method": "POST", "headers": list((headers or {}).items()), "query_string": query}
    return Request(scope, receive, path="/", max_body=LIMIT)


def length(size: int) -> dict[bytes, bytes]:
    return {b"content-length": str(size).encode()}


@pytest.mark.parametrize("size", [0, 1, SMALL_BYTES, SMALL_BYTES + 1, LIMIT])
@pytest.mark.parametrize("pieces", [1, 3])
def test_a_body_comes_whole(size: int, pieces: int) -> None:
    content = bytes(index % 251 for index in range(size))
    step = -(-size // pieces) or 1
    parts = [content[start : start + step] for start in range(0, size, step)] or [b""]
    assert asyncio.run(request(parts, headers=length(size)).body()) == content
    assert asyncio.run(request(parts, headers={b"transfer-encoding": b"chunked"}).body()) == content


@pytest.mark.parametrize("headers", [length(5), {b"transfer-encoding": b"chunked"}])
def test_a_body_over_the_limit_is_413_whatever_it_declared(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(Problem) as refused:
        asyncio.run(request([b"x" * LIMIT, b"x"], headers=headers).body())
    assert refused.value.status == 413


def test_a_bomb_is_413_and_what_it_holds_is_claimed_as_it_comes_out() -> None:
    claimed: list[int] = []
    bomb = gzip.compress(bytes(2 * 2**20))
    with pytest.raises(Problem) as refused:
        asyncio.run(request([bomb], headers={b"content-encoding": b"gzip"}).body(claim=claimed.append))
    assert refused.value.status == 413
    packed = gzip.compress(bytes(LIMIT))
    body = asyncio.run(request([packed], headers={b"content-encoding": b"gzip"}).body(claim=claimed.append))
    assert body == bytes(LIMIT)
    assert sum(claimed) == LIMIT


def test_a_body_that_declares_no_length_is_claimed_as_it_comes_and_once() -> None:
    claimed: list[int] = []
    chunked = request([b"ab", b"cde"], headers={b"transfer-encoding": b"chunked"})
    assert chunked.declared_size == 0
    assert asyncio.run(chunked.raw(claim=claimed.append)) == b"abcde"
    assert asyncio.run(chunked.body(claim=claimed.append)) == b"abcde"
    assert (claimed, chunked.declared_size) == ([2, 3], 5)
    asyncio.run(request([b"ab", b"cde"], headers=length(5)).body(claim=claimed.append))
    assert claimed == [2, 3]


@pytest.mark.parametrize("parts", [[None], [b"half", None]])
@pytest.mark.parametrize("headers", [length(100), length(SMALL_BYTES + 1)])
def test_a_client_that_goes_is_noticed(parts: list[bytes | None], headers: dict[bytes, bytes]) -> None:
    with pytest.raises(ClientGoneError):
        asyncio.run(request(parts, headers=headers).body())


def test_the_rest_of_a_body_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests_module, "SILENCE_SECONDS", 0.01)
    waiting = request(headers=length(SMALL_BYTES + 1))
    with pytest.raises(Problem) as refused:
        asyncio.run(waiting.body())
    assert (refused.value.status, refused.value.headers()["connection"]) == (408, "close")


@pytest.mark.parametrize(
    "declared",
    [
        None,
        b"application/json",
        b"application/json; charset=utf-8",
        b'Application/JSON; charset="UTF-8"',
        b"application/merge-patch+json",
        b"application/x-www-form-urlencoded",
    ],
)
def test_json_may_call_itself_so(declared: bytes | None) -> None:
    request(headers={} if declared is None else {b"content-type": declared}).check_json()


@pytest.mark.parametrize(
    "declared",
    [b"text/plain", b"multipart/form-data", b"application/json; charset=latin-1", b"application/json; charset=x"],
)
def test_what_is_no_json_is_415(declared: bytes) -> None:
    with pytest.raises(Problem) as refused:
        request(headers={b"content-type": declared}).check_json()
    assert (refused.value.status, refused.value.field) == (415, "content-type")


def test_a_query_string_is_read_once_decoded() -> None:
    assert request(query=b"a=1&b=%C3%A9+x&c=").query() == {"a": "1", "b": "é x", "c": ""}


@pytest.mark.parametrize("query", [b"a=1&a=2", b"a=%ff", b"a=\xff", b"&".join(b"p%d=1" % n for n in range(40))])
def test_an_ambiguous_or_unreadable_query_string_is_400(query: bytes) -> None:
    with pytest.raises(Problem) as refused:
        request(query=query).query()
    assert refused.value.status == 400
