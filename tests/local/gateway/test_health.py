"""The gateway asks the targets how they are."""

import asyncio
import time
from collections.abc import Callable

import aiohttp
from aiohttp import web

from local.gateway.health import watch
from local.gateway.targets import Group, HealthCheck
from tests.local.gateway.conftest import Loop, listen

CHECK = HealthCheck(path="/health/ready", interval=0.05, timeout=0.2, healthy=2, unhealthy=2)


class Service:
    """Answers its checks with ``status``, or not at all where that is None."""

    def __init__(self) -> None:
        self.status: int | None = 200
        self.asked: list[str] = []

    async def serve(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if self.status is None:
            await asyncio.sleep(5)
        return web.Response(status=self.status or 200)


async def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def turns(group: Group) -> set[str]:
    taken = set()
    for _ in range(4):
        with group.take() as target:
            taken.add(target.url)
    return taken


def test_a_target_that_drains_or_hangs_gets_no_requests_until_it_answers_again(loop: Loop) -> None:
    async def scenario() -> None:
        services = [Service(), Service()]
        runners, urls = [], []
        for service in services:
            app = web.Application()
            app.router.add_get("/{path:.*}", service.serve)
            runner, port = await listen(app)
            runners.append(runner)
            urls.append(f"http://127.0.0.1:{port}")
        group = Group(urls, CHECK)
        async with aiohttp.ClientSession(trust_env=False) as session:
            watching = asyncio.create_task(watch([group], session))
            for trouble in (503, None):
                services[0].status = trouble
                await until(lambda: turns(group) == {urls[1]})
                services[0].status = 200
                await until(lambda: turns(group) == set(urls))
            watching.cancel()
        assert set(services[1].asked) == {CHECK.path}
        for runner in runners:
            await runner.cleanup()

    loop.run(scenario())
