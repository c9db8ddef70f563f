"""Which protocol a server really negotiates."""

import socket
import ssl
from enum import StrEnum

_TIMEOUT = 8.0


class Handshake(StrEnum):
    """How an attempt ended."""

    DONE = "done"
    REFUSED = "refused"
    """By the server, before any certificate was looked at."""


class UnreachableError(Exception):
    """No connection, or no answer in time."""


class DistrustedError(Exception):
    """The server's certificate does not prove its name."""


def attempt(
    host: str,
    version: ssl.TLSVersion,
    *,
    port: int = 443,
    address: str | None = None,
    trust: str | None = None,
) -> Handshake:
    """Shake hands with ``version`` and no other.

    :param address: where to connect; the host's own where none is given.
    :param trust: file of authorities; the machine's own where none is given.
    :raises UnreachableError: nothing can be said about the protocol.
    :raises DistrustedError: the handshake went as far as the certificate.
    """
    context = ssl.create_default_context(cafile=trust)
    context.minimum_version = context.maximum_version = version
    try:
        connection = socket.create_connection((address or host, port), timeout=_TIMEOUT)
    except OSError as error:
        raise UnreachableError(f"{host}:{port} cannot be reached: {error}") from error
    with connection:
        try:
            with context.wrap_socket(connection, server_hostname=host):
                return Handshake.DONE
        except ssl.SSLCertVerificationError as error:
            raise DistrustedError(f"{host}: {error.verify_message}") from error
        except TimeoutError as error:
            raise UnreachableError(f"{host}:{port} did not answer in {_TIMEOUT:g} s") from error
        except (ssl.SSLError, ConnectionResetError, BrokenPipeError):
            return Handshake.REFUSED
