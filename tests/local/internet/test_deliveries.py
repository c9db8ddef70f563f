"""Webhooks to a receiver on the internet, from a run in a network of its own (Linux, where a user may make one)."""

import shutil
import subprocess
import sys

import pytest

from local.state import REPOSITORY
from tests.local.internet.deliveries import CLIENT

ALONE = ["unshare", "--map-root-user", "--net"]


def _is_possible() -> bool:
    tools = all(map(shutil.which, (ALONE[0], "ip")))
    return tools and subprocess.run([*ALONE, "true"], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not _is_possible(), reason="nobody may make a network of his own here")
@pytest.mark.skipif(not CLIENT.exists(), reason="MLflow's client is not installed: make .venv-mlflow/.ready")
def test_deliveries_arrive() -> None:
    inside = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [*ALONE, *inside, "tests/local/internet/deliveries.py"],
        cwd=REPOSITORY,
        check=False,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
