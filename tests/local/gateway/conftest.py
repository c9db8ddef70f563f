"""A gateway on loopback in front of a fake Lambda API and a fake service, all in one background event loop."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from typing import Any

import httpx
import pytest
import uvicorn
from aiohttp import web

from local.gateway.app import Gateway
from local.gateway.declared import build_api
from local.resolved import Resources
from tests.local.gateway.fakes import REGION, Backends, declared_api


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture(scope="module")
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


async def listen(app: web.Application) -> tuple[web.AppRunner, int]:
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, runner.addresses[0][1]


@pytest.fixture
def backends() -> Backends:
    return Backends()


@pytest.fixture
def gateway(loop: Loop, backends: Backends) -> Iterator[httpx.Client]:
    """A client of a gateway that serves `declared_api`."""
    lambdas = web.Application()
    lambdas.router.add_post("/2015-03-31/functions/{name:.+}/invocations", backends.invoke)
    service = web.Application(client_max_size=32 * 1024 * 1024)
    service.router.add_route("*", "/{path:.*}", backends.serve)
    lambda_runner, lambda_port = loop.run(listen(lambdas))
    service_runner, service_port = loop.run(listen(service))
    services = {"vector-store": [f"http://127.0.0.1:{service_port}"]}
    resources = Resources(declared_api(), region=REGION)
    app = Gateway(lambda: build_api(resources, services), endpoint=f"http://127.0.0.1:{lambda_port}")
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, lifespan="on"))

    async def start() -> tuple[asyncio.Task[None], int]:
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        return task, server.servers[0].sockets[0].getsockname()[1]

    async def stop(task: asyncio.Task[None]) -> None:
        server.should_exit = True
        await task

    task, port = loop.run(start())
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False) as client:
        yield client
    loop.run(stop(task))
    loop.run(service_runner.cleanup())
    loop.run(lambda_runner.cleanup())
