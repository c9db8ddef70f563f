"""The state directory of a local run: who holds it, what it published, where its logs are."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import psutil

REPOSITORY = Path(__file__).resolve().parent.parent
DEFAULT_DIRECTORY = REPOSITORY / ".anfl"


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """The process that runs here. A pid alone may be another process by now; with ``created`` it is not."""

    pid: int
    created: float
    api: str

    def process(self) -> psutil.Process | None:
        """The live process; None where it has ended."""
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.created) < 1 and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None


class AlreadyRunningError(RuntimeError):
    """Another ``anfl up`` holds the directory."""


class UnusableStateError(RuntimeError):
    """The directory cannot be made or written."""


class StateDirectory:
    """One local run's files."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.logs = self.path / "logs"
        self.cdk_out = self.path / "cdk.out"
        self.document = self.path / "local.json"
        self._lock = self.path / "up.lock"

    @contextlib.contextmanager
    def claimed(self, api: str) -> Iterator[None]:
        """Hold the directory; its document goes when the run ends.

        :raises AlreadyRunningError: another run holds it; the message has its address and pid.
        :raises UnusableStateError: it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = self._lock.open("a+")
        except OSError as error:
            reason = error.strerror or error
            raise UnusableStateError(f"{self.path} cannot hold the state of a run: {reason}.") from error
        with file as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = self.holder()
                where = f" at {holder.api} (pid {holder.pid})" if holder else ""
                raise AlreadyRunningError(f"ANFL is already up{where}. Stop it with 'anfl down' first.") from None
            self.document.unlink(missing_ok=True)
            holder = Holder(pid=os.getpid(), created=psutil.Process().create_time(), api=api)
            lock.truncate(0)
            lock.write(msgspec.json.encode(holder).decode())
            lock.flush()
            try:
                yield
            finally:
                self.document.unlink(missing_ok=True)
                lock.truncate(0)

    def holder(self) -> Holder | None:
        """Whoever runs here, from its first moment on; None where nobody does."""
        with contextlib.suppress(OSError, msgspec.DecodeError):
            holder = msgspec.json.decode(self._lock.read_bytes(), type=Holder)
            return holder if holder.process() else None
        return None

    def publish(self, document: Mapping[str, Any]) -> None:
        """Replace ``local.json`` at once; it holds tokens, so nobody else may read it."""
        draft = self.document.with_suffix(".new")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(document, file, indent=2)
        draft.replace(self.document)

    def published(self) -> dict[str, Any] | None:
        """``local.json``; None before a run is complete."""
        try:
            document: dict[str, Any] = json.loads(self.document.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return document
