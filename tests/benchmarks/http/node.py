"""A node of the vector service on loopback: its own S3 and DynamoDB, the real entry point, a token for it."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import boto3
import httpx
import jwt
import psutil
from botocore.exceptions import BotoCoreError
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from anfl.auth.table import AuthTable, PublishedKey
from local.environment import free_ports, isolated
from local.tables import create_table
from tests.benchmarks.errors import BenchmarkError

ENVIRONMENT, REGION = "dev", "us-east-1"
_KID = f"{REGION}.1"
NAMES = {"CATALOGUE_TABLE": "catalogue", "AUTH_TABLE": "auth", "VECTORS_BUCKET": "vectors"}
REGISTRY = {"REGISTRY_TABLE": "registry", "ARTIFACTS_BUCKET": "artifacts", "VAULT_ADDR": "http://127.0.0.1:9"}
"""Names of what the model registry's service needs, beside the table for tokens."""
_START_SECONDS = 30
_STOP_SECONDS = 40


@dataclass(frozen=True, kw_only=True)
class Aws:
    """The storage of a node; what is in it outlives the node's processes."""

    environment: Mapping[str, str]
    token: str
    session: boto3.session.Session
    endpoint: str


@dataclass(frozen=True, kw_only=True)
class Node:
    """A running service."""

    url: str
    token: str
    process: "subprocess.Popen[bytes]"

    def pss(self) -> int:
        """Bytes of memory of all its processes, shared pages divided among those that share them."""
        return pss(self.process.pid)

    def processor_seconds(self) -> float:
        """Processor time of all its processes so far."""
        return processor_seconds(self.process.pid)

    def workers(self) -> int:
        """Its processes but the parent."""
        return len(psutil.Process(self.process.pid).children(recursive=True))


def pss(pid: int) -> int:
    """Bytes of memory of a process and all below it, shared pages divided among those that share them."""
    return sum(each.memory_full_info().pss for each in _family(pid))


def processor_seconds(pid: int) -> float:
    """Processor time of a process and all below it so far."""
    times = [each.cpu_times() for each in _family(pid)]
    return sum(each.user + each.system for each in times)


def _family(pid: int) -> tuple[psutil.Process, ...]:
    parent = psutil.Process(pid)
    return (parent, *parent.children(recursive=True))


@contextlib.contextmanager
def aws(folder: Path) -> Iterator[Aws]:
    """Start the storage, with the tables and bucket that the service needs, and one key for tokens."""
    port, *_ = free_ports(1)
    endpoint = f"http://127.0.0.1:{port}"
    environment = {
        **isolated(),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
    }
    with started((sys.executable, "-m", "tests.benchmarks.http.aws", str(port)), environment, folder / "aws.log"):
        session = boto3.session.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name=REGION)
        until(lambda: httpx.get(f"{endpoint}/_anfl/health", trust_env=False).is_success, "the storage")
        try:
            _create(session, endpoint)
            token = _token(session, endpoint)
        except BotoCoreError as error:
            raise BenchmarkError(f"the storage cannot be set up: {error}") from error
        yield Aws(environment=environment, token=token, session=session, endpoint=endpoint)


@contextlib.contextmanager
def node(aws: Aws, folder: Path, *, workers: int) -> Iterator[Node]:
    """Start the service as its container does."""
    port, *_ = free_ports(1)
    environment = {
        **aws.environment,
        **NAMES,
        "ANFL_ENVIRONMENT": ENVIRONMENT,
        "TOKEN_ISSUER": "https://bench",
        "TOKEN_AUDIENCE": "bench",
        "JOBS_QUEUE_URL": "http://127.0.0.1:1/none",
        "CHUNKS_QUEUE_URL": "http://127.0.0.1:1/none",
        "CHUNKS_MEMORY_MIB": "1024",
        "ECS_CLUSTER": "bench",
        "ECS_SERVICE": "bench",
        "JOBS_PER_TASK": "1",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "WORKERS": str(workers),
        "DRAIN_NOTICE_SECONDS": "0",
        "THROTTLE_RATE": "1000000",
        "THROTTLE_BURST": "1000000",
    }
    command = (sys.executable, "-m", "services.vector_store")
    with started(command, environment, folder / f"node-{workers}.log") as process:
        url = f"http://127.0.0.1:{port}"
        until(lambda: httpx.get(f"{url}/health/ready", trust_env=False).is_success, "the service", process)
        yield Node(url=url, token=aws.token, process=process)


@contextlib.contextmanager
def bare(index: Path, folder: Path, *, dimension: int, rows: int) -> Iterator[str]:
    """Start the bare handler over a saved index, and yield its address."""
    port, *_ = free_ports(1)
    command = (sys.executable, "-m", "tests.benchmarks.http.bare", str(index), str(dimension), str(rows), str(port))
    with started(command, isolated() | {"OPENBLAS_NUM_THREADS": "1"}, folder / "bare.log") as process:
        url = f"http://127.0.0.1:{port}"
        until(lambda: httpx.get(url, trust_env=False).status_code > 0, "the bare handler", process)
        yield url


@contextlib.contextmanager
def started(command: tuple[str, ...], environment: Mapping[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program of this repository's, or one that ends with this process all the same."""
    leash = Path(__file__).resolve().parents[3] / "local" / "leash.py"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(leash), str(os.getpid()), *command], env=environment, stdout=output, stderr=output
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def until(
    answers: Callable[[], bool],
    what: str,
    process: "subprocess.Popen[bytes] | None" = None,
    *,
    seconds: float = _START_SECONDS,
) -> None:
    """Wait until ``what`` answers.

    :raises BenchmarkError: it does not, or has ended.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            raise BenchmarkError(f"{what} ended while it started.")
        with contextlib.suppress(httpx.TransportError):
            if answers():
                return
        time.sleep(0.05)
    raise BenchmarkError(f"{what} does not answer.")


def _create(session: boto3.session.Session, endpoint: str) -> None:
    dynamodb = session.client("dynamodb", endpoint_url=endpoint)
    for table in (NAMES["CATALOGUE_TABLE"], NAMES["AUTH_TABLE"], REGISTRY["REGISTRY_TABLE"]):
        create_table(dynamodb, table)
    for bucket in (NAMES["VECTORS_BUCKET"], REGISTRY["ARTIFACTS_BUCKET"]):
        session.client("s3", endpoint_url=endpoint).create_bucket(Bucket=bucket)


def _token(session: boto3.session.Session, endpoint: str) -> str:
    """A token for hours, by a key that the service's table knows."""
    key = ec.generate_private_key(ec.SECP256R1())
    public: dict[str, str] = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    jwk = {name: public[name] for name in ("kty", "crv", "x", "y")} | {"kid": _KID, "alg": "ES256", "use": "sig"}
    table = AuthTable(name=NAMES["AUTH_TABLE"], client=session.client("dynamodb", endpoint_url=endpoint))
    table.publish(PublishedKey(kid=_KID, jwk=jwk, published_at=int(time.time())))
    now = int(time.time())
    claims = {
        "iss": "https://bench",
        "aud": "bench",
        "sub": "bench.admin",
        "tenant": "bench",
        "roles": ["admin"],
        "jti": "bench",
        "iat": now,
        "nbf": now,
        "exp": now + 6 * 3600,
    }
    return jwt.encode(claims, key, "ES256", headers={"kid": _KID})
