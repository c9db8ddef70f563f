"""Listens for the gateway: on loopback, plain or with TLS 1.3."""

import asyncio
from pathlib import Path
from typing import Any

import uvicorn

from local.certificates import ServerCertificate, authority


def serve(app: Any, *, name: str, port: int, tls: Path | None) -> None:  # noqa: ANN401 - ASGI
    """Serve ``app`` until SIGTERM.

    :param name: of the server, for its certificate.
    :param tls: folder of the authority that vouches for it; None: no TLS.
    :raises CertificateError: the folder cannot be used.
    """
    certificate = None if tls is None else authority(tls).server(f"{name}.pem")
    server = uvicorn.Server(configuration(app, port=port, certificate=certificate))
    asyncio.run(_serve(server, certificate), loop_factory=server.config.get_loop_factory())


def configuration(app: Any, *, port: int, certificate: ServerCertificate | None) -> uvicorn.Config:  # noqa: ANN401 - ASGI
    """How the gateway listens."""
    return uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        proxy_headers=False,  # a client may not choose its own address
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
        ssl_context_factory=None if certificate is None else lambda *_: certificate.context,
    )


async def _serve(server: uvicorn.Server, certificate: ServerCertificate | None) -> None:
    renewing = None if certificate is None else asyncio.create_task(certificate.keep())
    try:
        await server.serve()
    finally:
        if renewing is not None:
            renewing.cancel()
