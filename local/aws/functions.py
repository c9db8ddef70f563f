"""The Lambda service: runs deployed functions in pools of worker processes."""

import base64
import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
import threading
import time
import uuid
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from moto.awslambda.models import LambdaFunction
from moto.awslambda_simple.models import lambda_simple_backends
from moto.core.models import DEFAULT_ACCOUNT_ID

from local.addresses import AddressBook
from local.aws.code_cache import CodeCache
from local.aws.worker import FunctionSpec, Outcome, Worker

MAX_WORKERS = 4
"""Per function; more concurrent callers wait."""
MAX_REQUEST, MAX_EVENT, MAX_RESPONSE = 6 * 1024 * 1024, 1024 * 1024, 6_291_556
"""Bytes: synchronous payload, asynchronous payload, response (Lambda's quotas)."""
RETRY_SECONDS = (60.0, 120.0)
"""Pauses before the two retries of an asynchronous invocation that failed."""


class ServiceError(Exception):
    """An answer of the Lambda API that is no function's."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


@dataclass
class _Pool:
    spec: FunctionSpec
    idle: list[Worker] = field(default_factory=list)
    busy: int = 0


class Functions:
    """Invokes the functions that are deployed to moto. Safe for threads."""

    def __init__(
        self,
        *,
        cache: Path,
        log: Path,
        addresses: AddressBook,
        role_environment: Callable[[str, str, str], dict[str, str]],
        retry_seconds: tuple[float, ...] = RETRY_SECONDS,
        native: bool | None = None,
    ) -> None:
        """
        :param cache: extracted bundles by content, and the runtime's packages.
        :param log: one line an invocation; what handlers write goes into the folder of the same name without suffix.
        :param role_environment: (role ARN, region, session name) → variables with its credentials.
        :param native: whether bundles, built for Linux on x86-64, run here; None looks.
        """
        self._code = CodeCache(cache)
        self._log = log
        self._addresses = addresses
        self._role_environment = role_environment
        self._retry_seconds = retry_seconds
        self._native = (sys.platform, platform.machine()) == ("linux", "x86_64") if native is None else native
        self._pools: dict[str, _Pool] = {}
        self._workers: set[Worker] = set()
        # The kernel ties a leashed child to the thread that started it: one that lives as long as this object.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="worker-starter")
        self._lock = threading.Condition()
        self._scratch = Path(tempfile.mkdtemp(prefix="anfl-functions-"))
        self._started = 0
        self._closed = False
        log.parent.mkdir(parents=True, exist_ok=True)

    def api(self, region: str, name: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        """``Invoke`` of the Lambda API: status, headers, body."""
        kind = headers.get("x-amz-invocation-type", "RequestResponse")
        try:
            function = self.find(region, unquote(name))
            limit = MAX_EVENT if kind == "Event" else MAX_REQUEST
            if len(body) > limit:
                raise ServiceError(413, "RequestEntityTooLargeException", f"{len(body)} byte payload is too large")
            if body:
                try:
                    json.loads(body)
                except ValueError as error:
                    message = f"Could not parse request body into json: {error}"
                    raise ServiceError(400, "InvalidRequestContentException", message) from None
            if kind == "DryRun":
                return 204, {}, b""
            if kind == "Event":
                threading.Thread(target=self._later, args=(function, body or b"{}"), daemon=True).start()
                return 202, {}, b""
            outcome = self.invoke(function, body or b"{}")
        except ServiceError as error:
            text = json.dumps({"Type": "User", "message": str(error), "Message": str(error)})
            return error.status, {"x-amzn-ErrorType": error.kind, "Content-Type": "application/json"}, text.encode()
        answer = {"Content-Type": "application/json", "X-Amz-Executed-Version": "$LATEST"}
        if outcome.error:
            answer["X-Amz-Function-Error"] = "Unhandled"
        if headers.get("x-amz-log-type") == "Tail":
            answer["X-Amz-Log-Result"] = base64.b64encode(outcome.log).decode()
        return 200, answer, outcome.payload

    def find(self, region: str, name: str) -> LambdaFunction:
        """A deployed function by name, partial or full ARN.

        :raises ServiceError: there is none.
        """
        if name.startswith("arn:"):
            region = name.split(":")[3]
        short = name.split(":function:")[-1].split(":")[0]
        for function in lambda_simple_backends[DEFAULT_ACCOUNT_ID][region].list_functions():
            if function.function_name == short:
                return function
        arn = f"arn:aws:lambda:{region}:{DEFAULT_ACCOUNT_ID}:function:{short}"
        raise ServiceError(404, "ResourceNotFoundException", f"Function not found: {arn}")

    def invoke(self, function: LambdaFunction, event: bytes) -> Outcome:
        """Run one event to its end.

        :raises ServiceError: the function may not be started (no concurrency left, no usable code).
        """
        request_id = str(uuid.uuid4())
        began = time.monotonic()
        worker = self._acquire(function)
        try:
            outcome = worker.run(request_id, event)
        except BaseException:
            self._release(worker, keep=False)
            raise
        self._release(worker, keep=outcome.alive)
        if len(outcome.payload) > MAX_RESPONSE:
            message = f"Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE} bytes)."
            text = json.dumps({"errorType": "Function.ResponseSizeTooLarge", "errorMessage": message})
            outcome = Outcome(payload=text.encode(), error=True, log=outcome.log, alive=outcome.alive)
        took = (time.monotonic() - began) * 1000
        what = f"FAILED {outcome.payload[:500].decode(errors='replace')}" if outcome.error else "ok"
        self.note(f"{worker.spec.region} {worker.spec.name} {request_id} {took:.0f} ms pid {worker.pid} {what}")
        return outcome

    def pids(self) -> list[int]:
        """Of every worker."""
        with self._lock:
            return [worker.pid for worker in self._workers]

    def close(self) -> None:
        """End every worker."""
        with self._lock:
            self._closed = True
            workers = list(self._workers)
        for worker in workers:
            worker.stop()
        self._starter.shutdown(cancel_futures=True)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _later(self, function: LambdaFunction, event: bytes) -> None:
        """An asynchronous invocation: tried again after failures, then dropped with a line in the log."""
        for pause in (*self._retry_seconds, None):
            try:
                if not self.invoke(function, event).error:
                    return
            except ServiceError as error:
                self.note(f"{function.function_name}: {error}")
            if pause is not None:
                time.sleep(pause)
        self.note(f"{function.function_name}: asynchronous event dropped after {len(self._retry_seconds)} retries")

    def _acquire(self, function: LambdaFunction) -> Worker:
        spec = _spec(function)
        reserved = None if function.reserved_concurrency is None else int(function.reserved_concurrency)
        limit = MAX_WORKERS if reserved is None else min(MAX_WORKERS, int(reserved))
        with self._lock:
            pool = self._pools.get(spec.arn)
            if pool is None or pool.spec != spec:
                stale = pool.idle if pool else []
                pool = self._pools[spec.arn] = _Pool(spec)
                for worker in stale:
                    self._discard(worker)
            deadline = time.monotonic() + spec.timeout
            while not pool.idle and pool.busy >= limit:
                if self._closed or limit == reserved or time.monotonic() > deadline:
                    raise ServiceError(429, "TooManyRequestsException", "Rate Exceeded.")
                self._lock.wait(1)
            pool.busy += 1
            if pool.idle:
                return pool.idle.pop()
            self._started += 1
            number = self._started
        try:
            worker = self._starter.submit(self._start, spec, function, number).result()
        except BaseException:
            self._free(pool)
            raise
        with self._lock:
            self._workers.add(worker)
        return worker

    def _release(self, worker: Worker, *, keep: bool) -> None:
        with self._lock:
            pool = self._pools[worker.spec.arn]
            if pool.spec == worker.spec:  # else the function was changed meanwhile
                self._free(pool)
                if keep and not self._closed:
                    pool.idle.append(worker)
                    return
        self._discard(worker)

    def _free(self, pool: _Pool) -> None:
        with self._lock:
            pool.busy -= 1
            self._lock.notify()

    def _discard(self, worker: Worker) -> None:
        with self._lock:
            self._workers.discard(worker)
        worker.stop()

    def _start(self, spec: FunctionSpec, function: LambdaFunction, number: int) -> Worker:
        bundle, runtime = self._bundle(spec, function), self._code.runtime()
        path = [str(bundle), str(runtime)] if self._native else [*_sources(spec), *filter(None, sys.path)]
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "TZ": ":UTC",
            "HOME": str(self._scratch / str(number)),
            "TMPDIR": str(self._scratch / str(number)),
            "PYTHONPATH": os.pathsep.join(path),
            "PYTHONDONTWRITEBYTECODE": "1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{spec.runtime}",
            "AWS_LAMBDA_FUNCTION_NAME": spec.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory),
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{spec.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": f"local/[$LATEST]{number:032x}",
            "LAMBDA_TASK_ROOT": str(bundle),
            "LAMBDA_RUNTIME_DIR": str(runtime),
            "_HANDLER": spec.handler,
            **self._role_environment(spec.role, spec.region, spec.name),
            **self._addresses.substitute(dict(spec.environment)),
        }
        if not self._native:
            self.note(f"{spec.name}: this machine is not Linux on x86-64; running the sources, not the bundle")
        return Worker(
            spec=spec,
            command=(sys.executable, "-S", "-m", "awslambdaric", spec.handler),
            directory=bundle,
            environment=environment,
            log=self._log.with_suffix("") / f"{spec.region}-{spec.name}-{number}.log",
            scratch=self._scratch / str(number),
        )

    def _bundle(self, spec: FunctionSpec, function: LambdaFunction) -> Path:
        try:
            return self._code.bundle(spec.code_sha256, function.code_bytes)
        except zipfile.BadZipFile as error:
            raise ServiceError(502, "InvalidZipFileException", f"{spec.name}: {error}") from error

    def note(self, text: str) -> None:
        """Write a line into the log of invocations."""
        with self._log.open("a") as log:
            log.write(f"{time.strftime('%H:%M:%S')} {text}\n")


def _spec(function: LambdaFunction) -> FunctionSpec:
    return FunctionSpec(
        name=str(function.function_name),
        arn=str(function.function_arn),
        region=str(function.region),
        handler=str(function.handler),
        memory=int(function.memory_size),
        timeout=int(function.timeout),
        role=str(function.role),
        storage=int(function.ephemeral_storage),
        runtime=str(function.run_time),
        code_sha256=_digest(function),
        environment=tuple(sorted((str(k), str(v)) for k, v in (function.environment_vars or {}).items())),
    )


def _digest(function: LambdaFunction) -> str:
    """sha256 of the bundle's zip, hexadecimal; moto has it in base64."""
    known = getattr(function, "code_sha_256", "") or ""
    return base64.b64decode(known).hex() if known else hashlib.sha256(function.code_bytes).hexdigest()


def _sources(spec: FunctionSpec) -> list[str]:
    repository = Path(__file__).resolve().parents[2]
    return [str(repository / "lambda_src" / spec.name), str(repository)]
