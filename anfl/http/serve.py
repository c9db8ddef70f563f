"""Serve an ASGI application on all cores until SIGTERM, then drain.

One parent binds the socket and forks the workers, each an event loop over that socket.
"""

import asyncio
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import msgspec
import uvicorn

from anfl import start
from anfl.http.protocol import Protocol
from anfl.http.service import Service
from anfl.processes import Parent, Process, usable_cores
from anfl.telemetry import metrics

DRAIN_SECONDS = 22
"""Longest wait for running requests once nothing is accepted any more; ECS kills a container 30 s after SIGTERM."""
KILL_SECONDS = 26
"""Longest wait for the workers to end; what is behind them (`Behind`) ends after them."""
SWITCH_SECONDS = 0.0005
"""How long the event loop waits for a thread that computes: the interpreter's 5 ms are ten times a query."""
BACKLOG = 2048
KEEP_ALIVE_SECONDS = 75
"""Above the load balancer's 60 s, which may not reuse a closed connection. So long a request's head may take, too."""


class Listen(msgspec.Struct, frozen=True, kw_only=True):
    """Where a service listens, and with how many processes."""

    host: str = msgspec.field(default="0.0.0.0", name="HOST")  # noqa: S104 - a container's own network namespace
    port: int = msgspec.field(default=8080, name="PORT")
    workers: int = msgspec.field(default=0, name="WORKERS")
    """0: one for each processor that the process may use."""
    notice_seconds: float = msgspec.field(default=1.0, name="DRAIN_NOTICE_SECONDS")
    """After SIGTERM, how long connections are still accepted while health says that they should go elsewhere."""


_LOOPBACK = Listen(host="127.0.0.1", port=0)


class Behind:
    """Where the workers reach a process of their own, and nobody outside this machine does."""

    def __init__(self) -> None:
        """:raises SystemExit: no address is free."""
        self._listening = _bind(_LOOPBACK)
        host, port = self._listening.getsockname()
        self.address = f"{host}:{port}"

    def close(self) -> None:
        """Free the address; a running process keeps it."""
        self._listening.close()

    def process(self, name: str, create: Callable[[], Service], *, niceness: int) -> Process:
        """One that serves what ``create`` makes until all workers have ended."""
        return Process(name=name, target=partial(_work, create, self._listening, 0.0), niceness=niceness, last=True)


class _Server(uvicorn.Server):
    """A worker: not ready, then not accepting, then drained."""

    def __init__(self, config: uvicorn.Config, service: Service, notice_seconds: float) -> None:
        super().__init__(config)
        self._service = service
        self._notice = notice_seconds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See `uvicorn.Server.shutdown`."""
        self._service.draining = True
        await asyncio.sleep(self._notice)
        await super().shutdown(sockets)


def serve(create: Callable[[], Service], listen: Listen, *, beside: Sequence[Process] = ()) -> None:
    """Serve what ``create`` makes in each worker, and keep the processes ``beside`` running; returns after the stop.

    :raises SystemExit: the address cannot be bound, or a process cannot be kept alive.
    """
    start.begin()
    metrics.forget()
    listening = _bind(listen)
    workers = [
        Process(name=f"worker-{number}", target=partial(_work, create, listening, listen.notice_seconds))
        for number in range(listen.workers or usable_cores())
    ]
    parent = Parent(
        processes=[*workers, *(replace(each, target=partial(_without, listening, each.target)) for each in beside)],
        grace_seconds=KILL_SECONDS + listen.notice_seconds,
        before_stop=listening.close,
        on_end=metrics.ended,
    )
    if status := parent.run():
        sys.exit(status)


def _without(listening: socket.socket, target: Callable[[], None]) -> None:
    """Run ``target``, in a process that shall not keep the address open when the workers have ended."""
    listening.close()
    target()


def _bind(listen: Listen) -> socket.socket:
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((listen.host, listen.port))
    except OSError as error:
        sys.exit(f"{listen.host}:{listen.port} cannot be bound: {error.strerror}")
    listening.listen(BACKLOG)
    listening.set_inheritable(True)
    return listening


def configuration(service: Service) -> uvicorn.Config:
    """How one event loop serves ``service``."""
    return uvicorn.Config(
        service,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        lifespan="on",
        loop="uvloop",
        http=Protocol,
        ws="none",
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )


def _work(create: Callable[[], Service], listening: socket.socket, notice_seconds: float) -> None:
    sys.setswitchinterval(SWITCH_SECONDS)
    service = create()
    _Server(configuration(service), service, notice_seconds).run(sockets=[listening])
