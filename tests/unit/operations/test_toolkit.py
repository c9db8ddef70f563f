"""The CDK CLI is a child that does not outlive whoever waits for it."""

import asyncio
import contextlib
import gc
import os
from pathlib import Path

import psutil
import pytest

from operations import toolkit


def test_where_the_cli_is_missing_it_is_said_what_brings_it(tmp_path: Path) -> None:
    """`make bundle` does not."""
    run = toolkit.run(("deploy",), variables={}, log=tmp_path / "log", timeout=1, cdk=tmp_path / "absent")
    with pytest.raises(toolkit.ToolkitFailedError, match=r"'make node_modules/\.ready' brings it, 'make run' all"):
        asyncio.run(run)


def test_an_abandoned_run_takes_the_cli_with_it_and_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, program, complaints = tmp_path / "log", tmp_path / "cdk", list[object]()
    program.write_text('#!/bin/sh\necho "$$"\nexec sleep 60\n')
    program.chmod(0o755)
    monkeypatch.setattr("sys.unraisablehook", complaints.append)

    async def interrupted() -> int:
        work = asyncio.create_task(toolkit.run(("deploy",), variables=os.environ, log=log, timeout=60, cdk=program))
        while not (log.exists() and log.read_text()):
            await asyncio.sleep(0.01)
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        return int(log.read_text())

    pid = asyncio.run(interrupted())
    gc.collect()
    assert complaints == []
    assert not psutil.pid_exists(pid)
