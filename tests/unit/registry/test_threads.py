"""The service's threads: no tenant has all of them, whatever it asks for."""

import asyncio
import threading
from typing import Any

import httpx
import pytest
from starlette.types import Message

from anfl.registry.registry import Registry
from services.model_registry.app import THREADS, assemble
from tests.unit.registry.test_protocol import API, TenantInToken


def test_a_tenant_that_keeps_threads_busy_keeps_nobody_else_waiting(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor whoever asks whether the process is ready."""
    registry.models.create("other", "bert", by="ana")
    opened = threading.Event()
    really = type(registry.models).get

    def get(self: Any, tenant: str, name: str) -> Any:
        if tenant == "acme":
            opened.wait(20)
        return really(self, tenant, name)

    monkeypatch.setattr(type(registry.models), "get", get)
    service = assemble(registry, verifier=TenantInToken())

    async def run() -> None:
        events = asyncio.Queue[Message]()
        sent = asyncio.Queue[Message]()
        events.put_nowait({"type": "lifespan.startup"})
        living = asyncio.create_task(service({"type": "lifespan"}, events.get, sent.put))
        assert (await sent.get())["type"] == "lifespan.startup.complete"
        transport = httpx.ASGITransport(service)
        async with httpx.AsyncClient(transport=transport, base_url="http://registry.test") as client:

            async def asks(tenant: str) -> int:
                headers = {"authorization": f"Bearer {tenant}.admin"}
                return (await client.get(f"{API}/registered-models/get?name=bert", headers=headers)).status_code

            busy = [asyncio.create_task(asks("acme")) for _ in range(2 * THREADS)]
            await asyncio.sleep(0.2)
            async with asyncio.timeout(10):
                assert await asks("other") == 200
                assert (await client.get("/health/ready")).status_code == 200
            assert not any(each.done() for each in busy)
            opened.set()
            assert set(await asyncio.gather(*busy)) == {404}
        events.put_nowait({"type": "lifespan.shutdown"})
        await living

    asyncio.run(run())
