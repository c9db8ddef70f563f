"""One-off work of a start that can be abandoned at any moment."""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from local.state import REPOSITORY

T = TypeVar("T")
LAST_LINES = 12


class TaskError(RuntimeError):
    """A command failed. The message has its last lines and the place of its log."""


async def output_of(
    title: str, command: Sequence[str], *, variables: Mapping[str, str], log: Path, given: bytes = b""
) -> bytes:
    """Run ``command`` with exactly these environment variables and return what it wrote to standard output.

    :param log: where its standard error goes.
    :raises TaskError: it ended with another code than 0.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=REPOSITORY,
            env=dict(variables),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=file,
            start_new_session=True,
        )
        try:
            output, _ = await process.communicate(given)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # itself, and what it started, when we are interrupted
            await process.wait()
    if process.returncode != 0:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        words = "\n".join(f"  {line}" for line in lines[-LAST_LINES:])
        raise TaskError(f"{title} failed (exit code {process.returncode}):\n{words}\nLog: {log}")
    return output


@contextlib.asynccontextmanager
async def meanwhile(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """Run ``work`` beside the body, which awaits the yielded task; abandoned where the body fails."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def in_thread(work: Callable[[], T]) -> T:
    """Run ``work`` in a daemon thread: unlike an executor's, it never delays the end of this process."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)  # type: ignore[arg-type]
        else:
            future.set_exception(error)

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except Exception as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, daemon=True).start()
    return await future
