"""Run an ASGI service until SIGTERM, then drain."""

from collections.abc import Callable

import msgspec
import uvicorn

from anfl.http.service import Service
from anfl.telemetry import logs, metrics

DRAIN_SECONDS = 25
"""Longest wait for running requests after SIGTERM; ECS kills a container after 30."""


class Listen(msgspec.Struct, frozen=True, kw_only=True):
    """Where a service listens."""

    host: str = msgspec.field(default="0.0.0.0", name="HOST")  # noqa: S104 - a container's own network namespace
    port: int = msgspec.field(default=8080, name="PORT")


def serve(create: Callable[[], Service], listen: Listen) -> None:
    """Serve what ``create`` makes; returns after a drained stop."""
    logs.configure()
    metrics.forget()
    uvicorn.run(
        create(),
        host=listen.host,
        port=listen.port,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        lifespan="on",
        timeout_keep_alive=75,  # above the load balancer's 60 s, which may not reuse a closed connection
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
