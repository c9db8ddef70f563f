"""What goes to the internet, from a run in a network of its own (Linux, where a user may make one)."""

import shutil
import subprocess
import sys

import pytest

from local.state import REPOSITORY
from tests.local.internet.deliveries import CLIENT

FILES = [f"tests/local/internet/{name}.py" for name in ("logins", "deliveries")]
ALONE = ["unshare", "--map-root-user", "--net"]


def _is_possible() -> bool:
    tools = all(map(shutil.which, (ALONE[0], "ip")))
    return tools and subprocess.run([*ALONE, "true"], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not _is_possible(), reason="nobody may make a network of his own here")
@pytest.mark.skipif(not CLIENT.exists(), reason="MLflow's client is not installed: make .venv-mlflow/.ready")
def test_webhooks_arrive_and_issuers_are_believed() -> None:
    inside = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [*ALONE, *inside, *FILES],
        cwd=REPOSITORY,
        check=False,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
