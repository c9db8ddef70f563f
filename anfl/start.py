"""How each process of ANFL begins: called once, when all is imported and no thread has been started."""

import contextlib
import faulthandler
import resource
from collections.abc import Iterator

import msgspec

from anfl.telemetry import logs


def begin() -> None:
    """Logs as JSON, a trace where the process dies of a signal and no picture of its memory, and no surprise in threads
    (`settle`)."""
    logs.configure()
    faulthandler.enable()
    _leave_no_picture()
    settle()


def _leave_no_picture() -> None:
    """Of this process and of those that it starts no core is dumped: data keys and rows stand in it in clear.

    Linux asks the limit of a file, which is too small for a core, but not where a program takes cores (as systemd's on
    an instance of ECS does): there the one byte by itself means none (``do_coredump`` in fs/coredump.c).
    """
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    limit = 0 if most == 0 else 1
    resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))


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
