"""The service on loopback: the real protocol, over whatever store a test has."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import uvicorn

from anfl.auth.principal import Principal, Role
from anfl.http.serve import configuration
from anfl.http.service import Service
from anfl.problems import Problem


class PlainTokens:
    """Believes ``<tenant>.<role>``."""

    def cached(self, token: str) -> Principal | None:
        """The principal that the token names."""
        tenant, _, role = token.partition(".")
        if role not in set(Role):
            return None
        return Principal(subject="me", tenant=tenant, roles=frozenset({Role(role)}), token_id="1", expires_at=0)

    def verify(self, token: str) -> Principal:
        """Refuses all others."""
        raise Problem(401, "token_malformed", f"{len(token)} characters that are no token")

    def is_revoked(self, principal: Principal) -> bool:  # noqa: ARG002 - one that is can say so
        """Nobody is."""
        return False


@contextlib.contextmanager
def served(service: Service) -> Iterator[str]:
    """Serve in a thread; yields the address."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(configuration(service))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=30)
