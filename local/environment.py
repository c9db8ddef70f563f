"""What child processes are given instead of the user's environment, and loopback ports for them."""

import os
import socket
import sys
from pathlib import Path

from local.state import REPOSITORY

_KEPT = ("LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TERM", "COLUMNS", "NO_COLOR", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
HOME = REPOSITORY / ".anfl" / "home"


def isolated() -> dict[str, str]:
    """An environment without the user's AWS profile, credentials, endpoints, proxies and dot files.

    The credentials in it are dummies that only the embedded AWS accepts.
    """
    HOME.mkdir(parents=True, exist_ok=True)
    interpreter = str(Path(sys.executable).parent)  # its node and cdk come before any other
    binaries = str(REPOSITORY / "node_modules" / ".bin")
    return {
        **{name: os.environ[name] for name in _KEPT if name in os.environ},
        "PATH": os.pathsep.join([interpreter, binaries, os.environ.get("PATH", os.defpath)]),
        "HOME": str(HOME),
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": "*",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "CDK_DISABLE_CLI_TELEMETRY": "true",
    }


def isolate() -> None:
    """Give this process the isolated environment too."""
    environment = isolated()
    os.environ.clear()
    os.environ.update(environment)


def free_ports(count: int) -> list[int]:
    """Ports on which nothing listens now."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def is_free(port: int) -> bool:
    """Whether ``port`` can be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
