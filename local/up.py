"""``anfl up``: everything that ``make run`` starts, in the foreground, until Ctrl-C or ``anfl down``."""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import psutil

from anfl.auth.principal import Role
from anfl.resources import Service, Variable
from local import accounts, sample
from local.addresses import AddressBook
from local.aws.deploy import deploy
from local.cache.declared import cache_in
from local.cache.declared import program as cache_program
from local.certificates import CERTIFICATE, CertificateError, authority, trusted_with
from local.environment import free_ports, is_free, isolate, isolated
from local.iam.credentials import role_environment
from local.process import Program, ProgramFailedError, Supervisor
from local.region import Region, TokenError
from local.report import Reporter
from local.resolved import DeclarationError, Resource, Resources, fetch
from local.services import container_names, service_programs
from local.state import DEFAULT_DIRECTORY, REPOSITORY, AlreadyRunningError, StateDirectory, UnusableStateError
from local.tasks import TaskError, in_thread, meanwhile, output_of
from operations.errors import OperationError
from operations.synth import synthesize
from stacks import settings

DEFAULT_PORT = 8420
DEFAULT_TENANT = "demo"
LAST_PORT = 65_535
INTERRUPTED = 130
RENEW_AT = 0.5
"""Part of a token's life after which the published tokens are replaced."""
FAILURE_SECONDS = 0.5
"""How long a failed step waits for the news that a program has ended."""


class StartError(RuntimeError):
    """The run cannot start; the message says what to do."""


EXPECTED = (
    AlreadyRunningError,
    CertificateError,
    DeclarationError,
    OperationError,
    ProgramFailedError,
    TaskError,
    TokenError,
    sample.SampleError,
    settings.SettingsError,
    StartError,
    UnusableStateError,
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to start."""

    port: int = DEFAULT_PORT
    """Of the first region's gateway; further regions take the next ports."""
    regions: str | None = None
    """``all``, names joined by commas, or None for the environment's own."""
    environment: str = "dev"
    nodes: int = 1
    """Tasks of the vector store in each region."""
    sample: bool = True
    tls: bool = False
    """The gateways serve TLS 1.3 alone, vouched for by an authority of the state directory's."""
    state: Path = DEFAULT_DIRECTORY
    as_json: bool = False


def run(options: Options) -> int:
    """Start everything and serve until told to stop.

    :returns: 0 after a requested stop, 1 after a failure (already reported), 130 where the start was interrupted.
    """
    reporter = Reporter(as_json=options.as_json)
    try:
        isolate()
        return asyncio.run(_Run(options, reporter).guarded())
    except EXPECTED as error:
        reporter.failed(error)
    except Exception as error:
        log = options.state.resolve() / "logs" / "up.log"
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text("".join(traceback.format_exception(error)))
        except OSError:
            raise error from None  # better untidy than unsaid
        reporter.failed(f"unexpected {type(error).__name__}: {error}. Log: {log}")
    return 1


class _Run:
    def __init__(self, options: Options, reporter: Reporter) -> None:
        self._options = options
        self._report = reporter
        self._state = StateDirectory(options.state)
        self._settings = settings.load(options.environment, regions=options.regions)
        names = self._settings.regions
        self._aws_port, *ports = free_ports(2 * len(names) + 1)
        self._vouched = self._state.path / "tls"
        self._tls = self._vouched if options.tls else None
        self._ca = None if self._tls is None else self._tls / CERTIFICATE
        self._regions = [
            Region(name=name, gateway=options.port + i, vault=ports[2 * i], cache=ports[2 * i + 1], ca=self._ca)
            for i, name in enumerate(names)
        ]
        self._aws = f"http://127.0.0.1:{self._aws_port}"
        self._tenant = self._settings.deployment.default_tenant or DEFAULT_TENANT
        self._root_token = secrets.token_urlsafe(24)
        self._book = AddressBook(
            entries={
                self._settings.vault_address(name): region.vault_url
                for name, region in zip(names, self._regions, strict=True)
            }
        )
        self._variables = isolated()
        self._serving = False

    async def guarded(self) -> int:
        """The run, from claiming the state directory to having ended every process."""
        with self._state.claimed(self._regions[0].api):
            self._supervisor = Supervisor(on_restart=self._restarted)
            work = asyncio.create_task(self._up_until_failure())
            self._stop_on_signal(work)
            try:
                await work
            except asyncio.CancelledError:
                return 0 if self._serving else INTERRUPTED
            finally:
                await self._supervisor.stop()
                _sweep()
        raise AssertionError("a run ends by a request or an error")

    async def _up_until_failure(self) -> None:
        """Start, then wait for the end of what cannot be repaired; its report outranks what it made fail."""
        start, failure = asyncio.create_task(self._up()), asyncio.create_task(self._supervisor.failure())
        try:
            await asyncio.wait({start, failure}, return_when=asyncio.FIRST_COMPLETED)
            if start.done() and start.exception() is not None:
                await asyncio.wait({failure}, timeout=FAILURE_SECONDS)
            await (failure if failure.done() else start)
        finally:
            start.cancel()
            failure.cancel()
            await asyncio.wait({start, failure})

    def _stop_on_signal(self, work: asyncio.Task[None]) -> None:
        """First request: stop in order. Second: at once."""
        asked = False

        def stop(number: int) -> None:
            nonlocal asked
            if asked:
                self._supervisor.kill()
                _sweep()
                self._state.document.unlink(missing_ok=True)
                os._exit(INTERRUPTED)
            asked = True
            self._report.console.print(f"\nStopping everything ({signal.Signals(number).name}) …")
            work.cancel()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, stop, number)

    async def _up(self) -> None:
        self._check_ports()
        self._trusted = trusted_with(authority(self._vouched))
        shutil.rmtree(self._state.logs, ignore_errors=True)
        context = {"env": self._options.environment}
        if self._options.regions:
            context["regions"] = self._options.regions
        async with meanwhile(self._start_platform()) as platform:
            with self._report.step("Synthesize the stacks") as step:
                new = await synthesize(
                    self._state.cdk_out,
                    context=context,
                    variables=self._variables,
                    log=self._state.logs / "synth.log",
                )
                step.note = "" if new else "nothing has changed"
            with self._report.step("Start the embedded AWS and Vault"):
                await platform
        with self._report.step("Deploy the stacks with the CDK CLI") as step:
            await deploy(self._state.cdk_out, self._aws, log=self._log("deploy"), progress=step.progress)
        resources = await in_thread(lambda: fetch(self._aws))
        with self._report.step("Set up Vault: keys, policies, roles, a client for each role"):
            await self._set_up_vaults()
        with self._report.step("Start the gateway and the services, get a token for each role"):
            lifetime = min(await asyncio.gather(*(self._serve(region, resources) for region in self._regions)))
        if self._options.sample:
            await self._load_sample()
        self._serving = True
        self._state.publish(self._document())
        self._report.started(self._document(), self._state.document, with_sample=self._options.sample)
        while True:
            await asyncio.sleep(lifetime * RENEW_AT)
            with contextlib.suppress(TokenError):  # the old ones are still good for a while
                lifetime = min([await region.get_tokens() for region in self._regions])
                self._state.publish(self._document())

    def _check_ports(self) -> None:
        for region in self._regions:
            if region.gateway > LAST_PORT:
                raise StartError(
                    f"The gateway of {region.name} would need port {region.gateway}, and the last one is {LAST_PORT}; "
                    "choose a lower --port."
                )
            if not is_free(region.gateway):
                raise StartError(
                    f"Port {region.gateway}, for the gateway of {region.name}, is taken by another program; "
                    "choose another with --port."
                )

    async def _start_platform(self) -> None:
        """Both at once: each needs only the other's address."""
        addresses = json.dumps(dict(self._book.entries))
        log = str(self._log("functions"))
        caches = json.dumps({region.name: region.cache for region in self._regions})
        place = ("--caches", caches, "--trust", str(self._trusted))
        command = ("--port", str(self._aws_port), "--log", log, "--addresses", addresses, "--minute", "60", *place)
        aws = self._program(
            "aws", (sys.executable, "-m", "local.aws", *command), health=f"{self._aws}/_anfl/health", restarts=False
        )
        await asyncio.gather(*map(self._supervisor.start, (aws, *map(self._vault, self._regions))))

    def _vault(self, region: Region) -> Program:
        binary = shutil.which("vault", path=self._variables["PATH"])
        listen = f"127.0.0.1:{region.vault}"
        options = ("-dev", f"-dev-listen-address={listen}", "-dev-no-store-token")
        own = (sys.executable, "-m", "local.vault", "--port", str(region.vault), "--sts-endpoint", self._aws)
        return self._program(
            self._named("vault", region),
            (binary, "server", *options) if binary else own,
            health=f"{region.vault_url}/v1/sys/health",
            restarts=False,
            variables={"VAULT_DEV_ROOT_TOKEN_ID": self._root_token},
        )

    async def _set_up_vaults(self) -> None:
        request = accounts.Request(
            endpoint=self._aws,
            root_token=self._root_token,
            vaults={region.name: region.vault_url for region in self._regions},
            tenant=self._tenant,
        )
        answer = await output_of(
            "The set-up of Vault",
            (sys.executable, "-m", "local.accounts"),
            variables=self._variables,
            log=self._log("vault-setup"),
            given=msgspec.json.encode(request),
        )
        clients = msgspec.json.decode(answer, type=dict[str, dict[str, dict[str, str]]])
        for region in self._regions:
            region.clients = clients[region.name]

    async def _serve(self, region: Region, deployed: list[Resource]) -> int:
        """Start a region's programs; how many seconds its tokens last."""
        resources = Resources(deployed, region=region.name)
        names = container_names(resources)
        tasks = {name: self._options.nodes if name == Service.VECTOR_STORE else 1 for name in names}
        free = iter(free_ports(sum(tasks.values())))
        region.ports = {name: list(islice(free, count)) for name, count in tasks.items()}
        programs = service_programs(
            resources,
            ports=region.ports,
            environment={
                **self._variables,
                "AWS_ENDPOINT_URL": self._aws,
                "AWS_REGION": region.name,
                "SSL_CERT_FILE": str(self._trusted),
                Variable.REGION_ENDPOINTS: json.dumps({each.name: each.api for each in self._regions}),
            },
            role_environment=lambda role: role_environment(self._aws, role, region.name),
            substitute=self._book.translate,
            logs=self._state.logs,
        )
        renamed = [replace(program, name=self._named(program.name, region)) for program in programs]
        arguments = ("--aws", self._aws, "--region", region.name, "--services", json.dumps(region.targets))
        tls = () if self._tls is None else ("--tls", str(self._tls))
        gateway = self._program(
            self._named("gateway", region),
            (sys.executable, "-m", "local.gateway", "--port", str(region.gateway), *arguments, *tls),
            health=f"{region.api}/_anfl/health",
            restarts=True,
        )
        await asyncio.gather(
            *map(self._supervisor.start, (replace(gateway, ca=self._ca), *self._caches(region, resources)))
        )
        # The functions behind the first token start cold, which takes about as long as the services do.
        async with meanwhile(region.get_tokens()) as lifetime:
            await asyncio.gather(*map(self._supervisor.start, renamed))
            return await lifetime

    def _caches(self, region: Region, resources: Resources) -> list[Program]:
        cache = cache_in(resources)
        if cache is None:
            return []
        name = self._named("cache", region)
        [health] = free_ports(1)
        return [
            cache_program(
                cache,
                name=name,
                port=region.cache,
                health=health,
                aws=self._aws,
                tls=self._vouched,
                environment=self._variables,
                log=self._log(name),
            )
        ]

    async def _load_sample(self) -> None:
        first = self._regions[0]
        with self._report.counting("Load the sample glosses", len(sample.rows())) as count:
            await sample.load(first.api, first.tokens[Role.WRITER], count, ca=self._ca)

    def _program(
        self,
        name: str,
        command: tuple[str, ...],
        *,
        health: str,
        restarts: bool,
        variables: Mapping[str, str] | None = None,
    ) -> Program:
        return Program(
            name=name,
            command=command,
            directory=REPOSITORY,
            environment={**self._variables, **(variables or {})},
            log=self._log(name),
            health=health,
            restarts=restarts,
        )

    def _named(self, name: str, region: Region) -> str:
        """Process and log names: plain for the first region."""
        return name if region is self._regions[0] else f"{name}-{region.name}"

    def _log(self, name: str) -> Path:
        return self._state.logs / f"{name}.log"

    def _restarted(self, name: str, what: str) -> None:
        self._report.console.print(f"[yellow]{name} {what} and was started again.[/] Log: {self._log(name)}")
        if self._serving:
            self._state.publish(self._document())

    def _document(self) -> dict[str, Any]:
        """``local.json``."""
        first = self._regions[0].document()
        return {
            "environment": self._options.environment,
            **first,
            "ca": None if self._ca is None else str(self._ca),
            "tenant": self._tenant,
            "vault_token": self._root_token,
            "aws_endpoint": self._aws,
            "regions": {region.name: region.document() for region in self._regions},
            "pids": {"up": os.getpid(), **self._supervisor.pids()},
        }


def _sweep() -> None:
    """End whatever is still below this process, for example a deployment that was interrupted."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            child.kill()
