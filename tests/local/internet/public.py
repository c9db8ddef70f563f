"""The public address of the network that a run has for itself."""

import time
from collections.abc import Callable
from pathlib import Path

from tests.local.end_to_end.running import Run, operator

ADDRESS = "192.88.99.1"


def told(run: Run, function: str, *, certificate: Path, **variables: str) -> None:
    """Have ``function`` trust ``certificate``, and know ``variables``."""
    functions, name = operator(run, "lambda"), f"anfl-{run.document['environment']}-{function}"
    known = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    more = {"SSL_CERT_FILE": str(certificate), **variables}
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": known | more})


def eventually(condition: Callable[[], bool], *, seconds: float) -> None:
    """Wait for ``condition``, and fail where it takes longer than ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)
