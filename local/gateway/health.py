"""Asks the targets how they are, as a load balancer does."""

import asyncio
import logging
from collections.abc import Iterable

import aiohttp

from local.gateway.targets import Group, Target

_log = logging.getLogger(__name__)


async def watch(groups: Iterable[Group], session: aiohttp.ClientSession) -> None:
    """Check every target of every group at the interval of its group, until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        for group in groups:
            for target in group.targets:
                tasks.create_task(_watch(group, target, session))


async def _watch(group: Group, target: Target, session: aiohttp.ClientSession) -> None:
    while True:
        await asyncio.sleep(group.check.interval)
        well = await _is_well(group, target, session)
        if target.checked(well=well):
            _log.warning("target %s is %s", target.url, "well again" if well else "unhealthy")


async def _is_well(group: Group, target: Target, session: aiohttp.ClientSession) -> bool:
    """200 within the time of the check."""
    timeout = aiohttp.ClientTimeout(total=group.check.timeout)
    try:
        async with session.get(f"{target.url}{group.check.path}", timeout=timeout, allow_redirects=False) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
