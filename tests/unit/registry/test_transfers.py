"""How many artefacts and bodies are inside a process at a time, and that each makes room again however it ends."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from botocore.response import StreamingBody
from starlette.types import Message

from anfl.http import answers
from anfl.http.answers import JSON
from anfl.http.service import Service
from anfl.registry.artifacts import Artifacts, Opened
from anfl.registry.registry import Registry
from services.model_registry.app import assemble
from services.model_registry.bodies import all_bodies
from services.model_registry.transfers import transfers
from tests.unit.registry.test_protocol import API, PROXY, Caller, TenantInToken

CREATE = "/api/2.0/mlflow-artifacts/mpu/create"
_END: Message = {"type": "http.request", "body": b"", "more_body": False}
_GONE: Message = {"type": "http.disconnect"}


@pytest.fixture(name="service")
def _service(registry: Registry) -> Service:
    bodies = all_bodies(most=500_000, most_of_tenant=300_000)
    return assemble(registry, verifier=TenantInToken(), passing=transfers(most=3, most_of_tenant=2), bodies=bodies)


class Client:
    """One request to a service, whose body comes and whose answer is taken as the test says."""

    def __init__(
        self,
        service: Service,
        method: str,
        *,
        tenant: str = "acme",
        path: str = "m/weights",
        base: str = PROXY,
        declares: tuple[bytes, bytes] | None = None,
    ) -> None:
        self._come = asyncio.Queue[Message]()
        self.takes = asyncio.Event()
        self.takes.set()
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        target = f"{base}/{path}"
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "method": method,
            "path": target,
            "raw_path": target.encode(),
            "query_string": b"",
            "headers": [(b"authorization", f"Bearer {tenant}.admin".encode()), *([declares] if declares else [])],
        }
        self.task = asyncio.get_running_loop().create_task(service(scope, self._come.get, self._send))

    def sends(self, *messages: Message) -> None:
        for message in messages:
            self._come.put_nowait(message)

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], dict(message["headers"])
        else:
            await self.takes.wait()
            self.body += message.get("body", b"")

    async def ended(self) -> None:
        with suppress(asyncio.CancelledError):
            await self.task


def _upload(service: Service, *, tenant: str = "acme", path: str = "m/weights") -> Client:
    client = Client(service, "PUT", tenant=tenant, path=path)
    client.sends({"type": "http.request", "body": b"1", "more_body": True})
    return client


async def _settled(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def _refused(service: Service, *, tenant: str = "acme", method: str = "PUT") -> tuple[int, bytes, bytes]:
    client = Client(service, method, tenant=tenant, path="m/other")
    client.sends(_END)
    await client.ended()
    return client.status, client.headers.get(b"retry-after", b""), client.body


def test_a_tenant_has_so_many_at_a_time_and_all_have_so_many(service: Service) -> None:
    async def run() -> None:
        mine = [_upload(service, path=f"m/{number}") for number in range(2)]
        await asyncio.sleep(0.2)
        for method in ("PUT", "GET", "HEAD"):
            status, retry, body = await _refused(service, method=method)
            assert (status, retry) == (429, b"2")
            assert method == "HEAD" or b'"error_code":"REQUEST_LIMIT_EXCEEDED"' in body
        other = _upload(service, tenant="other")
        await asyncio.sleep(0.2)
        status, retry, body = await _refused(service, tenant="third")
        assert (status, retry) == (503, b"2")
        assert b'"error_code":"TEMPORARILY_UNAVAILABLE"' in body
        for client in (*mine, other):
            client.sends(_END)
            await client.ended()
            assert client.status == 200
        assert (await _refused(service))[0] == 200

    asyncio.run(run())


async def _finish(client: Client) -> None:
    client.sends(_END)


async def _disconnect(client: Client) -> None:
    client.sends(_GONE)


async def _cancel(client: Client) -> None:
    client.task.cancel()


@pytest.mark.parametrize("end", [_finish, _disconnect, _cancel])
def test_an_upload_gives_its_place_back(service: Service, end: Callable[[Client], Awaitable[None]]) -> None:
    async def run() -> None:
        for _ in range(5):
            client = _upload(service)
            await asyncio.sleep(0.1)
            await end(client)
            await client.ended()

    asyncio.run(run())
    assert Caller(service)("PUT", f"{PROXY}/m/weights", content=b"1").status_code == 200


def test_who_sends_nothing_gives_its_place_back(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anfl.http.requests.SILENCE_SECONDS", 0.1)

    async def run() -> None:
        clients = [_upload(service) for _ in range(2)]
        for client in clients:
            await client.ended()
            assert client.status == 408

    asyncio.run(run())
    assert Caller(service)("PUT", f"{PROXY}/m/weights", content=b"1").status_code == 200


def test_a_body_that_comes_bit_by_bit_gives_its_place_back(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part comes in time, and never the last one."""
    monkeypatch.setattr("services.model_registry.parameters.BODY_SECONDS", 0.3)
    service = assemble(registry, verifier=TenantInToken())

    async def run() -> None:
        client = Client(service, "POST", base=API, path="registered-models/create", declares=(b"content-type", JSON))
        for _ in range(10):
            client.sends({"type": "http.request", "body": b" ", "more_body": True})
            await asyncio.sleep(0.1)
        await client.ended()
        assert client.status == 408

    asyncio.run(run())


async def _go(client: Client) -> None:
    client.takes.clear()
    await _settled(lambda: client.status == 200)
    client.sends(_GONE)


async def _break_off(client: Client) -> None:
    client.takes.clear()
    await _settled(lambda: client.status == 200)
    client.task.cancel()


async def _stall(client: Client) -> None:
    client.takes.clear()


async def _read(_: Client) -> None:
    """Takes all."""


@pytest.mark.parametrize("end", [_read, _go, _break_off, _stall])
def test_a_download_gives_its_place_and_what_it_reads_back(
    service: Service,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[Client], Awaitable[None]],
) -> None:
    monkeypatch.setattr(answers, "STALLED_SECONDS", 0.5)
    Caller(service)("PUT", f"{PROXY}/m/weights", content=b"x" * 3_000_000)
    opened: list[Any] = []
    really = registry.artifacts.open

    def note(_: Artifacts, *given: Any, **more: Any) -> Any:
        found = really(*given, **more)
        opened.append(found)
        return found

    monkeypatch.setattr(Artifacts, "open", note)

    async def run() -> None:
        for _ in range(5):
            client = Client(service, "GET")
            client.sends(_END)
            await end(client)
            async with asyncio.timeout(10):
                await client.ended()

    asyncio.run(run())
    assert len(opened) == 5
    assert all(each.body._raw_stream.closed for each in opened)
    answer = Caller(service)("GET", f"{PROXY}/m/weights")
    assert (answer.status_code, len(answer.content)) == (200, 3_000_000)


def test_who_goes_while_the_store_gives_nothing_stops_nobody(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """To close what a thread reads waits for that thread: whoever runs the event loop must not."""
    ours, the_stores = socket.socketpair()
    arriving = ours.makefile("rb")
    opened = Opened(body=StreamingBody(arriving, 2), length=2, content_range=None, version=None)
    monkeypatch.setattr(Artifacts, "open", lambda *_, **__: opened)
    gave_up = threading.Event()

    def give_up() -> None:
        gave_up.set()
        the_stores.close()

    patience = threading.Timer(5, give_up)
    patience.start()

    async def run() -> None:
        client = Client(service, "GET")
        client.sends(_END)
        await _settled(lambda: client.status == 200)
        client.sends(_GONE)
        async with asyncio.timeout(4):
            answer = await asyncio.to_thread(Caller(service), "GET", f"{API}/registered-models/search")
        assert answer.status_code == 200
        assert not gave_up.is_set()
        the_stores.close()
        await client.ended()

    with ours, the_stores:
        try:
            asyncio.run(run())
        finally:
            patience.cancel()
    assert arriving.closed
    assert not gave_up.is_set()


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_who_is_refused_gives_its_place_back(service: Service, method: str) -> None:
    call = Caller(service)
    for _ in range(5):
        path, status = ("absent", 404) if method == "GET" else ("../x", 400)
        assert call(method, f"{PROXY}/{path}".replace("../", "%2E%2E/")).status_code == status


def _body(service: Service, size: int | None, *, tenant: str = "acme") -> Client:
    """What will be a body of so many bytes; None: it does not say of how many."""
    declares = (b"transfer-encoding", b"chunked") if size is None else (b"content-length", b"%d" % size)
    return Client(service, "POST", tenant=tenant, base=API, path="registered-models/create", declares=declares)


def test_a_tenant_sends_so_many_bytes_at_a_time_and_all_send_so_many(service: Service) -> None:
    async def run() -> None:
        slow = [_body(service, 200_000), _body(service, 200_000, tenant="other")]
        await asyncio.sleep(0.1)
        for size, tenant, status in ((200_000, "acme", 429), (None, "acme", 429), (150_000, "third", 503)):
            refused = _body(service, size, tenant=tenant)
            await refused.ended()
            assert (refused.status, refused.headers[b"retry-after"]) == (status, b"2")
        for tenant in ("acme", "third"):  # what is small is let in
            client = _body(service, 1000, tenant=tenant)
            client.sends(_END)
            await client.ended()
            assert client.status == 400
        for client in slow:
            client.sends(_GONE)
            await client.ended()
        again = _body(service, 250_000)
        again.sends(_END)
        await again.ended()
        assert again.status == 400

    asyncio.run(run())


def test_no_more_links_of_parts_are_signed_at_a_time_than_one_file_may_have(
    service: Service, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = threading.Event()
    really = registry.artifacts.begin_parts

    def begin(_: Artifacts, *given: Any) -> Any:
        opened.wait(10)
        return really(*given)

    monkeypatch.setattr(Artifacts, "begin_parts", begin)

    def asks(parts: int, *, tenant: str = "acme") -> Client:
        client = Client(service, "POST", tenant=tenant, base=CREATE, path="m", declares=(b"content-type", JSON))
        body = b'{"path": "w", "num_parts": %d}' % parts
        client.sends({"type": "http.request", "body": body, "more_body": False})
        return client

    async def run() -> None:
        first, last = asks(10), asks(1, tenant="other")
        await asyncio.sleep(0.2)
        refused = asks(9_995)
        await refused.ended()
        assert refused.status == 429
        opened.set()
        for client in (first, last):
            await client.ended()
            assert client.status == 200
        for parts, status in ((0, 400), (-1, 400), (10_001, 400), (10, 200)):
            again = asks(parts)
            await again.ended()
            assert again.status == status

    asyncio.run(run())
