"""The authorizer from its bundle, in a process of its own, beside a development Vault and an embedded auth table."""

import json
import logging
import statistics
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import msgspec
from moto.server import ThreadedMotoServer

from anfl.auth.issuer import TokenIssuer
from anfl.auth.principal import Role
from anfl.auth.table import AuthTable
from anfl.auth.vault import StaticToken, VaultClient
from anfl.auth.vault_setup import VaultSetup
from anfl.resources import Function
from bundling.functions import bundle_for
from local.tables import create_table
from local.vault.build import build_open
from local.vault.http import serve
from tests.benchmarks.errors import BenchmarkError
from tests.benchmarks.progress import Report

WARM_LIMIT_MS = 2.0
"""Median of a call whose token was decided a moment ago."""
CALLS_LIMIT = 3
"""Calls of Vault for one that was not."""
RUNS = 3
_WARM, _MISSES = 2_000, 100
_TIMEOUT_SECONDS = 120
_REGION, _TABLE, _ISSUER, _AUDIENCE, _ROOT = "us-west-1", "auth", "https://bench.example.test", "bench", "root"
_CHILD = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
given = json.load(sys.stdin)
started = time.perf_counter()
import handler
imported = time.perf_counter() - started
assert handler.__file__.startswith(sys.argv[1]), handler.__file__
from anfl.auth import vault
calls, send = 0, vault._Bounded.send
def counted(*given, **options):
    global calls
    calls += 1
    return send(*given, **options)
vault._Bounded.send = counted
out, sys.stdout = sys.stdout, open("/dev/null", "w")
arn = "arn:aws:execute-api:us-west-1:123456789012:abcdef1234/live/GET/v1/collections"
def call(token):
    started = time.perf_counter()
    answer = handler.handler({"type": "TOKEN", "authorizationToken": "Bearer " + token, "methodArn": arn}, None)
    took = time.perf_counter() - started
    assert answer["policyDocument"]["Statement"][0]["Effect"] == "Allow"
    return took * 1000
first, *others = given["tokens"]
cold = call(first)
warm = [call(first) for _ in range(given["warm"])]
before, most, misses = calls, 0, []
for token in others:
    at = calls
    misses.append(call(token))
    most = max(most, calls - at)
json.dump({"imported": imported * 1000, "cold": cold, "warm": warm, "misses": misses, "most": most}, out)
"""


class AuthorizerFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Times in milliseconds, the median of `RUNS` processes, of which each gives the median of its calls."""

    imported: float
    """The handler's import, without a bytecode cache."""
    first: float
    """The first call: clients made, keys and deny-list read, Vault asked."""
    warm: float
    warm_p99: float
    miss: float
    vault_calls: int
    """The most for one token that was not decided."""

    @property
    def passed(self) -> bool:
        """Whether it stays within the limits."""
        return self.warm <= WARM_LIMIT_MS and self.vault_calls <= CALLS_LIMIT


def measure(report: Report) -> AuthorizerFigures:
    """Measure.

    :raises BundleMissingError: the bundle is not built from the present sources.
    :raises BenchmarkError: the function does not answer.
    """
    archive = bundle_for(Function.AUTHORIZER).require()
    step = "authorizer"
    report(step, 0)
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary, _system() as (environment, issue):
        folder = Path(temporary).resolve() / "task"
        with zipfile.ZipFile(archive) as content:
            content.extractall(folder)
        for done in range(RUNS):
            tokens = [issue() for _ in range(1 + _MISSES)]
            runs.append(_run(folder, environment, tokens))
            report(step, (done + 1) / RUNS)
    return AuthorizerFigures(
        imported=statistics.median(run["imported"] for run in runs),
        first=statistics.median(run["cold"] for run in runs),
        warm=statistics.median(statistics.median(run["warm"]) for run in runs),
        warm_p99=statistics.median(statistics.quantiles(run["warm"], n=100)[98] for run in runs),
        miss=statistics.median(statistics.median(run["misses"]) for run in runs),
        vault_calls=max(run["most"] for run in runs),
    )


def _run(folder: Path, environment: dict[str, str], tokens: list[str]) -> dict[str, Any]:
    try:
        child = subprocess.run(
            [sys.executable, "-I", "-S", "-B", "-c", _CHILD, str(folder)],
            input=json.dumps({"tokens": tokens, "warm": _WARM}),
            capture_output=True,
            text=True,
            env=environment,
            cwd=folder,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"the authorizer did not finish within {_TIMEOUT_SECONDS} s.") from error
    if child.returncode:
        reason = (child.stderr.strip().splitlines() or [f"exit code {child.returncode}"])[-1]
        raise BenchmarkError(f"the authorizer failed: {reason}")
    found: dict[str, Any] = json.loads(child.stdout)
    return found


@contextmanager
def _system() -> Iterator[tuple[dict[str, str], Any]]:
    """What the function needs around it: its environment, and what issues tokens."""
    logging.getLogger("werkzeug").setLevel("WARNING")
    aws = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    aws.start()
    vault = serve(build_open(root_token=_ROOT))
    thread = threading.Thread(target=vault.serve_forever, daemon=True)
    thread.start()
    try:
        host, port = aws.get_host_and_port()
        endpoint, address = f"http://{host}:{port}", f"http://127.0.0.1:{vault.server_address[1]}"
        yield _environment(endpoint, address), _issuing(endpoint, address)
    finally:
        vault.shutdown()
        vault.server_close()
        aws.stop()


def _environment(endpoint: str, address: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_REGION": _REGION,
        "AWS_DEFAULT_REGION": _REGION,
        "AUTH_TABLE": _TABLE,
        "VAULT_ADDR": address,
        "TOKEN_ISSUER": _ISSUER,
        "TOKEN_AUDIENCE": _AUDIENCE,
    }


def _issuing(endpoint: str, address: str) -> Any:
    session = boto3.session.Session(aws_access_key_id="bench", aws_secret_access_key="bench", region_name=_REGION)
    client = session.client("dynamodb", endpoint_url=endpoint)
    create_table(client, _TABLE)
    table = AuthTable(name=_TABLE, client=client)
    vault = VaultClient(address=address, credentials=StaticToken(_ROOT))
    setup = VaultSetup(
        vault,
        environment="dev",
        region=_REGION,
        auth_table=table,
        issuer=_ISSUER,
        audience=_AUDIENCE,
        sts_endpoint=endpoint,
    )
    setup.reconcile(iam_roles={})
    credentials = setup.ensure_client("reader", tenant="bench", roles=[Role.READER])
    issuer = TokenIssuer(
        vault,
        published_keys=table.published_keys,
        region=_REGION,
        issuer=_ISSUER,
        audience=_AUDIENCE,
        lifetime=3600,
        session=3600,
    )

    def issue() -> str:
        return issuer.exchange_approle(role_id=credentials.role_id, secret_id=credentials.secret_id).access_token

    return issue
