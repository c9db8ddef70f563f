"""The client's promises: what is repeated, what is not, and what an error says."""

import asyncio
from collections.abc import Callable, Iterator

import httpx
import pytest

from anfl.client import ApiError, AsyncClient, Client, ForeignAnswerError, UnreachableError
from anfl.client.retries import ATTEMPTS

Answer = Callable[[httpx.Request], httpx.Response]


def client_of(answers: list[httpx.Response | Exception], seen: list[httpx.Request] | None = None) -> Client:
    remaining = iter(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        following = next(remaining)
        if isinstance(following, Exception):
            raise following
        return following

    return Client("http://127.0.0.1:1", token="secret", transport=httpx.MockTransport(answer))


@pytest.fixture(name="waited", autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr("anfl.client.connection.sleep", waited.append)
    return waited


def test_the_token_is_sent() -> None:
    seen: list[httpx.Request] = []
    client_of([httpx.Response(200, json={})], seen).json("GET", "/v1/collections")
    assert seen[0].headers["authorization"] == "Bearer secret"


@pytest.mark.parametrize("failure", [httpx.Response(503), httpx.ReadTimeout("late"), httpx.ConnectError("no")])
def test_a_repeatable_request_survives_passing_failures(failure: httpx.Response | Exception) -> None:
    answers = [failure, failure, httpx.Response(200, json={"ok": True})]
    assert client_of(answers).json("GET", "/x") == {"ok": True}


@pytest.mark.parametrize("failure", [httpx.Response(503, json={"code": "busy"}), httpx.ReadTimeout("late")])
def test_a_post_of_unknown_outcome_is_not_repeated(failure: httpx.Response | Exception) -> None:
    seen: list[httpx.Request] = []
    with pytest.raises((ApiError, UnreachableError)):
        client_of([failure, httpx.Response(200, json={})], seen).json("POST", "/x", body={})
    assert len(seen) == 1


def test_throttling_is_repeated_after_the_stated_time(waited: list[float]) -> None:
    answers: list[httpx.Response | Exception] = [
        httpx.Response(429, headers={"retry-after": "3"}),
        httpx.Response(200, json={}),
    ]
    client_of(answers).json("POST", "/x", body={})
    assert 3.0 in waited


def test_attempts_are_bounded() -> None:
    seen: list[httpx.Request] = []
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1"):
        client_of([httpx.ConnectError("no")] * (ATTEMPTS + 1), seen).json("GET", "/x")
    assert len(seen) == ATTEMPTS


def test_a_stream_is_sent_once() -> None:
    def body() -> Iterator[bytes]:
        yield b"x"

    with pytest.raises(ApiError):
        client_of([httpx.Response(503), httpx.Response(200)]).send("PUT", "/x", content=body())


@pytest.mark.parametrize(
    ("response", "code", "detail"),
    [
        (httpx.Response(400, json={"code": "invalid", "detail": "wrong", "field": "k"}), "invalid", "wrong"),
        (
            httpx.Response(404, json={"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "gone"}),
            "RESOURCE_DOES_NOT_EXIST",
            "gone",
        ),
        (httpx.Response(400, text="<html>"), "http_400", "<html>"),
        (httpx.Response(400, json=["odd"]), "http_400", '["odd"]'),
        (httpx.Response(400, html="<html><h1>Bad</h1></html>"), "http_400", "Bad Request"),
    ],
)
def test_every_error_form_is_understood(response: httpx.Response, code: str, detail: str) -> None:
    with pytest.raises(ApiError) as caught:
        client_of([response]).json("GET", "/x")
    assert (caught.value.code, caught.value.detail) == (code, detail)


def test_an_answer_that_is_no_json_is_not_from_the_api() -> None:
    page = httpx.Response(200, text="<html>", headers={"content-type": "text/html"})
    with pytest.raises(ForeignAnswerError, match="text/html"):
        client_of([page]).json("GET", "/v1/collections")


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"<html>", "text/html"), (b"[]", "application/json"), (b'{"sequence": "3", "count": 1}', "application/json")],
)
def test_nor_is_one_that_none_of_its_calls_has(content: bytes, kind: str) -> None:
    """Who is before the API, a login page for example, answers 200 as well."""

    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=content, headers={"content-type": kind})

    with Client("http://127.0.0.1:1", transport=httpx.MockTransport(answer)) as client:
        words = client.collection("words")
        for call in (words.describe, client.collections, lambda: list(words.scroll())):
            with pytest.raises(ForeignAnswerError, match=kind):
                call()

    async def describe() -> None:
        async with AsyncClient("http://127.0.0.1:1", transport=httpx.MockTransport(answer)) as client:
            await client.collection("words").describe()

    with pytest.raises(ForeignAnswerError, match=kind):
        asyncio.run(describe())


def test_what_cannot_be_unpacked_is_a_lost_answer() -> None:
    def garbled() -> httpx.Response:
        headers = {"content-encoding": "gzip"}
        return httpx.Response(200, stream=httpx.ByteStream(b"garbage"), headers=headers)

    assert client_of([garbled(), httpx.Response(200, json={"n": 1})]).json("GET", "/x") == {"n": 1}
    with pytest.raises(UnreachableError, match="POST /x"):
        client_of([garbled()]).json("POST", "/x")
