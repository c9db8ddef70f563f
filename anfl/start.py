"""How each process of ANFL begins: called once, when all is imported and no thread has been started."""

import contextlib
import faulthandler
from collections.abc import Iterator

import msgspec

from anfl.telemetry import logs


def begin() -> None:
    """Logs as JSON, a trace where the process dies of a signal, and no surprise in threads (`settle`)."""
    logs.configure()
    faulthandler.enable()
    settle()


def settle() -> None:
    """Let msgspec work out every struct there is.

    By itself it does so at the first decoding, and publishes what it has before that is complete (0.22.0,
    ``StructInfo``): another thread that decodes the same struct meanwhile follows a null pointer.
    """
    for struct in _below(msgspec.Struct):
        with contextlib.suppress(Exception):  # whoever decodes it will be told what is wrong with it
            msgspec.msgpack.Decoder(struct)


def _below(struct: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for each in struct.__subclasses__():
        yield each
        yield from _below(each)
