"""A whole run in a network of its own, in which a public address leads to what a test puts there.

Nothing of the system is another one than it is elsewhere. Its functions are told of the certificate there as an
operator tells any function of one, by a variable of its environment.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.end_to_end import running
from tests.local.end_to_end.running import Run
from tests.local.internet.public import ADDRESS
from tests.unit.certificates import self_signed


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@pytest.fixture(name="certificate", scope="session")
def _certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("certificate"), ADDRESS)


@pytest.fixture(name="run", scope="session")
def _run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    _ip("link", "set", "lo", "up")
    _ip("address", "add", f"{ADDRESS}/32", "dev", "lo")
    run = running.start(tmp_path_factory.mktemp("run"))
    yield run
    running.end(run)
