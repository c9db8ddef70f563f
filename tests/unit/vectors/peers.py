"""What may stand at another node's address: servers that behave as dying, loading or slow nodes do."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import httpx

from local.environment import free_ports

Behaviour = Callable[[bytes, bytes], bytes]
"""Head and body of a request → what is sent before the connection is closed."""
LOADING = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 2\r\n"
    b'content-length: 45\r\n\r\n{"code":"collection_loading","detail":"...."}'
)


class Peer:
    """Notes the requests that came."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.requests: list[bytes] = []

    def serve(self) -> None:
        """Until it is closed."""
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def close(self) -> None:
        """Nobody listens any more."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _answer(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            head = b"".join(iter(stream.readline, b"\r\n"))
            if not head:
                return
            length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            body = stream.read(length)
            self.requests.append(head)
            connection.sendall(self._behaviour(head, body))


@contextlib.contextmanager
def peer(behaviour: Behaviour) -> Iterator[Peer]:
    """A server in threads."""
    made = Peer(behaviour)
    thread = threading.Thread(target=made.serve, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.close()
        thread.join(10)


def dropping(_head: bytes, _body: bytes) -> bytes:
    """Takes the request, and dies."""
    return b""


def loading(_head: bytes, _body: bytes) -> bytes:
    """Does not have the collection yet."""
    return LOADING


def dying_after(node: httpx.Client) -> Behaviour:
    """Has the real ``node`` carry out the request, and dies before it answers."""

    def behave(head: bytes, body: bytes) -> bytes:
        line, *rest = head.decode().strip().split("\r\n")
        method, target, _ = line.split()
        headers = dict(each.split(": ", 1) for each in rest)
        node.request(method, target, content=body, headers=headers).read()
        return b""

    return behave


def nobody() -> str:
    """An address at which nobody listens."""
    return f"127.0.0.1:{free_ports(1)[0]}"
