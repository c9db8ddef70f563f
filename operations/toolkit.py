"""The CDK CLI as a child process: it synthesizes, deploys and destroys."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from operations.errors import OperationError

REPOSITORY = Path(__file__).resolve().parents[1]
CDK = REPOSITORY / "node_modules" / ".bin" / "cdk"
Progress = Callable[[str, int, int], None]
"""(stack, its number, number of stacks), as each stack begins to deploy or to go."""
_LAST_LINES = 12
_WORDS = 5
"""Lines behind a cross that say what failed."""
_BEGINS = re.compile(r"^(?P<stack>\S+?)(?: \(\S+\))?: (?:deploying|destroying)\.\.\. \[(?P<number>\d+)/(?P<all>\d+)\]")


class ToolkitFailedError(OperationError):
    """The CLI failed or took too long; the message has its own words and the place of the log."""


def quiet(_stack: str, _number: int, _total: int) -> None:
    """Say nothing."""


def variables() -> dict[str, str]:
    """This process's environment, in which the CLI finds the project's Node first and reports to nobody."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    return {**os.environ, "PATH": path, "CDK_DISABLE_CLI_TELEMETRY": "true"}


async def run(
    arguments: Sequence[str],
    *,
    variables: Mapping[str, str],
    log: Path,
    timeout: float,
    assembly: Path | None = None,
    cdk: Path = CDK,
    progress: Progress = quiet,
) -> None:
    """``cdk <arguments>`` over a synthesized assembly, or over the app.

    Abandoned, it takes the CLI with it; what CloudFormation has begun, it ends by itself.

    :param log: gets everything that the CLI prints.
    :param timeout: seconds for all of it.
    :raises ToolkitFailedError: it failed, or time ran out.
    """
    if not cdk.exists():
        raise ToolkitFailedError(
            "The CDK CLI is not installed: 'make node_modules/.ready' brings it, 'make run' all that 'anfl up' needs."
        )
    log.parent.mkdir(parents=True, exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        str(cdk),
        *arguments,
        *(() if assembly is None else ("--app", str(assembly), "--progress=events")),
        *("--no-notices", "--no-version-reporting", "--ci"),
        cwd=assembly or REPOSITORY,
        env=dict(variables),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        limit=1 << 20,
    )
    said: deque[str] = deque(maxlen=400)
    try:
        async with asyncio.timeout(timeout):
            await _follow(process, log, said, progress)
            code = await process.wait()
    except TimeoutError:
        raise ToolkitFailedError(f"'cdk {arguments[0]}' did not end within {timeout:.0f} s. Log: {log}") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()  # else its pipe outlives the loop of whoever was interrupted
    if code != 0:
        raise ToolkitFailedError(f"'cdk {arguments[0]}' failed: {_reason([line for line in said if line])}\nLog: {log}")


async def _follow(process: asyncio.subprocess.Process, log: Path, said: deque[str], progress: Progress) -> None:
    if process.stdout is None:
        raise AssertionError("started with a pipe")
    with log.open("a") as file:
        async for raw in process.stdout:
            line = re.sub(r"\x1b\[[0-9;]*m", "", raw.decode(errors="replace"))
            file.write(line)
            file.flush()
            said.append(line.strip())
            if found := _BEGINS.match(line):
                progress(found["stack"], int(found["number"]), int(found["all"]))


def _reason(words: Sequence[str]) -> str:
    """The CLI's own words for the failure: what stands behind the cross, else the last things that were said."""
    for number, line in enumerate(words):
        if line.startswith("❌"):
            return " ".join(part.lstrip("❌‣ ") for part in words[number : number + _WORDS])
    return "\n".join(words[-_LAST_LINES:]) if words else "it said nothing"
