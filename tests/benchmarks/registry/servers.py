"""The two servers, each with its own entry point, on loopback."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from local.environment import free_ports, isolated
from tests.benchmarks.errors import BenchmarkError
from tests.benchmarks.http.node import ENVIRONMENT, REGION, REGISTRY, Aws, processor_seconds, pss, started, until

REPOSITORY = Path(__file__).resolve().parents[3]
PYTHON = REPOSITORY / ".venv-mlflow-server" / "bin" / "python"


@dataclass(frozen=True, kw_only=True)
class Server:
    """A registry that runs."""

    url: str
    process: "subprocess.Popen[bytes]"
    headers: dict[str, str] = field(default_factory=dict, hash=False)

    def of(self, token: str) -> "Server":
        """The same, for another caller."""
        return replace(self, headers={"Authorization": f"Bearer {token}"})

    def pss(self) -> int:
        """Bytes of memory of all its processes."""
        return pss(self.process.pid)

    def processor_seconds(self) -> float:
        """Processor time of all its processes so far."""
        return processor_seconds(self.process.pid)

    def store_seconds(self) -> float:
        """Time in calls of AWS so far, as its metrics tell (of one worker: its metrics are one process's)."""
        lines = httpx.get(f"{self.url}/metrics", trust_env=False).text.splitlines()
        sums = [line for line in lines if line.startswith("anfl_store_call_seconds_sum")]
        if not sums:
            return 0.0
        return sum(float(line.rsplit(" ", 1)[1]) for line in sums)


@contextlib.contextmanager
def service(aws: Aws, folder: Path, *, workers: int) -> Iterator[Server]:
    """Start the model registry as its container does."""
    port, *_ = free_ports(1)
    queue = aws.session.client("sqs", endpoint_url=aws.endpoint).create_queue(QueueName="bench")["QueueUrl"]
    environment = {
        **aws.environment,
        **REGISTRY,
        "ANFL_ENVIRONMENT": ENVIRONMENT,
        "REGISTRY_HOME": REGION,
        "AUTH_TABLE": "auth",
        "TOKEN_ISSUER": "https://bench",
        "TOKEN_AUDIENCE": "bench",
        "VALIDATION_QUEUE_URL": queue,
        "WEBHOOKS_QUEUE_URL": queue,
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "WORKERS": str(workers),
        "DRAIN_NOTICE_SECONDS": "0",
        "THROTTLE_RATE": "1000000",
        "THROTTLE_BURST": "1000000",
    }
    command = (str(REPOSITORY / ".venv" / "bin" / "python"), "-m", "services.model_registry")
    with started(command, environment, folder / f"service-{workers}.log") as process:
        url = f"http://127.0.0.1:{port}"
        until(lambda: httpx.get(f"{url}/health/ready", trust_env=False).is_success, "the service", process)
        yield Server(url=url, process=process, headers={"Authorization": f"Bearer {aws.token}"})


@contextlib.contextmanager
def in_memory(models: int, folder: Path) -> Iterator[Server]:
    """Start the model registry over a store in its own memory, filled."""
    port, *_ = free_ports(1)
    command = (str(REPOSITORY / ".venv" / "bin" / "python"), "-m", "tests.benchmarks.registry.in_memory")
    with started((*command, str(port), str(models)), isolated(), folder / "in-memory.log") as process:
        url = f"http://127.0.0.1:{port}"
        until(lambda: httpx.get(f"{url}/health/ready", trust_env=False).is_success, "the service", process, seconds=180)
        yield Server(url=url, process=process, headers={"Authorization": "Bearer bench"})


@contextlib.contextmanager
def mlflow(database: Path, folder: Path, *, workers: int) -> Iterator[Server]:
    """Start MLflow's server over a SQLite file.

    :raises BenchmarkError: it is not installed, or does not start.
    """
    port, *_ = free_ports(1)
    command = (
        str(PYTHON), "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", str(workers),
        "--backend-store-uri", f"sqlite:///{database}", "--artifacts-destination", str(folder / "artifacts"),
    )  # fmt: skip
    with started(command, environment(), folder / f"mlflow-{workers}.log") as process:
        url = f"http://127.0.0.1:{port}"
        until(lambda: httpx.get(f"{url}/health", trust_env=False).is_success, "MLflow's server", process, seconds=180)
        yield Server(url=url, process=process)


def environment() -> dict[str, str]:
    """MLflow's: nothing of the user's, and no word to its makers."""
    found = isolated() | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    return {name: value for name, value in found.items() if not name.startswith("PYTHON")}


def version() -> str:
    """MLflow's version.

    :raises BenchmarkError: it is not installed.
    """
    if not os.access(PYTHON, os.X_OK):
        raise BenchmarkError("MLflow's server is not installed: make .venv-mlflow-server/.ready.")
    program = "import importlib.metadata; print(importlib.metadata.version('mlflow'))"
    return subprocess.run([PYTHON, "-c", program], check=True, capture_output=True, text=True).stdout.strip()
