"""Where a command goes and with which token: options, environment variables, ``anfl login``, ``.anfl/local.json``."""

import json
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from anfl.cli.errors import CliError, ExitCode
from anfl.client import CA_VARIABLE, Client
from anfl.client.connection import is_local
from anfl.client.errors import UnsendableError
from anfl.resources import Service

ENDPOINT_VARIABLE = "ANFL_ENDPOINT"
INGEST_VARIABLE = "ANFL_INGEST"
"""Base URL of the path for large requests (``https://ingest.example.org``): API Gateway ends at 10 MB."""
TOKEN_VARIABLE = "ANFL_TOKEN"  # noqa: S105 - the name of a variable
DEFAULT_ROLE = "admin"


@dataclass(frozen=True, kw_only=True)
class Target:
    """An endpoint and the token to use there."""

    endpoint: str
    token: str | None
    ingest: str | None = None
    """Base URL for artefacts too large for the gateway; None where none is known."""
    ca: str | None = None
    """File of certificates to trust beside all others; None: what `anfl.client.CA_VARIABLE` names."""
    run: str | None = None
    """What tells a local run from others before and after it at the same address; None for what is not local."""

    def connect(self) -> Client:
        """A client for it; use as a context manager."""
        return Client(self.endpoint, token=self.token, ca=self.ca)


def local_state(directory: Path | None = None) -> dict[str, Any] | None:
    """What a running ``anfl up`` wrote: ``.anfl/local.json`` here or in a folder above; None where there is none.

    That of another user of this machine is none: a login would go to whatever listens there for them.

    :raises CliError: it is damaged, or leads to another machine: whoever may write to such a folder is not to say where
        tokens go.
    """
    for path in _places(directory):
        try:
            content = _own_content(path)
        except _NotOursError:
            continue
        if content is not None:
            try:
                state = json.loads(content)
            except ValueError as error:
                raise CliError(f"{path} is damaged ({error}); stop with 'anfl down' and start again.") from error
            if isinstance(state, dict):
                if not all(map(_is_here, [*filter(None, [state.get("api")]), *state.get("services", {}).values()])):
                    raise CliError(f"{path} leads away from this machine, so no local run wrote it; remove it.")
                return state
    return None


def _places(directory: Path | None) -> list[Path]:
    start = directory or Path.cwd()
    return [folder / ".anfl" / "local.json" for folder in (start, *start.parents)]


class _NotOursError(Exception):
    """No local run of this user wrote it; the message says why."""


def _own_content(path: Path) -> bytes | None:
    """What a file of ours holds; None where there is none. Where the system knows no owners, every one is ours.

    :raises _NotOursError: it is somebody else's, or none that a local run writes. Looked at is what was opened: a name
        may stand for something else a moment later.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        why = "is a link" if path.is_symlink() else f"cannot be read ({error.strerror or error})"
        raise _NotOursError(f"{path} {why}") from error
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
            raise _NotOursError(f"{path} belongs to another user")
        if not stat.S_ISREG(found.st_mode):
            raise _NotOursError(f"{path} is no file")
        return file.read()


def _not_ours() -> str:
    """Why what lies here, or in a folder above, is no local run; empty where nothing does."""
    for path in _places(None):
        try:
            _own_content(path)
        except _NotOursError as reason:
            return f" {reason}: it was not looked at."
    return ""


def _is_here(address: object) -> bool:
    """Whether an address leads to this machine."""
    try:
        return is_local(str(address))
    except UnsendableError:
        return False


def credentials_file() -> Path:
    """Where ``anfl login`` keeps tokens: ``$XDG_CONFIG_HOME/anfl/credentials.json``, mode 0600."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "anfl" / "credentials.json"


class SavedToken(msgspec.Struct, frozen=True, kw_only=True):
    """What ``anfl login`` got."""

    token: str
    expires_at: float
    """Seconds since the epoch."""
    run: str | None = None
    """Which local run issued it; the next one at the same address has other keys."""


def saved_tokens() -> dict[str, SavedToken]:
    """Endpoint → token of earlier logins.

    :raises CliError: the file is not what `save_token` writes.
    """
    path = credentials_file()
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, SavedToken])
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror or error}.") from error
    except msgspec.DecodeError as error:
        raise CliError(f"{path} is damaged ({error}); remove it and log in again.") from error


def save_token(target: Target, token: str, *, lifetime: float) -> Path:
    """Keep ``token`` for ``target``; the file is replaced at once and never readable by others.

    :param lifetime: how long the token is good, in seconds.
    :raises CliError: the file cannot be written, or is damaged.
    """
    found = SavedToken(token=token, expires_at=time.time() + lifetime, run=target.run)
    return _keep(saved_tokens() | {target.endpoint: found})


def forget_token(target: Target) -> None:
    """Drop the kept token where it is the target's.

    :raises CliError: the file cannot be written, or is damaged.
    """
    kept = saved_tokens()
    found = kept.get(target.endpoint)
    if found is not None and found.token == target.token:
        _keep({endpoint: saved for endpoint, saved in kept.items() if endpoint != target.endpoint})


def _keep(tokens: dict[str, SavedToken]) -> Path:
    path, content = credentials_file(), msgspec.json.encode(tokens)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_suffix(".new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        draft.replace(path)
    except OSError as error:
        raise CliError(f"{path} cannot be written: {error.strerror or error}.") from error
    return path


def _issued_by(run: str | None, saved: SavedToken) -> bool:
    """Whether a login may be to ``run``; where one of them is unknown, because a folder tells it, that is assumed."""
    return run is None or saved.run in (None, run)


def resolve(endpoint: str | None, token: str | None, *, role: str | None = None) -> Target:
    """Decide where to go.

    An endpoint named by option or ``ANFL_ENDPOINT`` wins over a local run; a token named by option or ``ANFL_TOKEN``
    wins over all others. A local run offers a token for each role; where ``role`` chooses none, a login to that run
    wins over its administrator's.

    :raises CliError: no endpoint is known, or the local run has no such role.
    """
    endpoint = endpoint or os.environ.get(ENDPOINT_VARIABLE)
    token = token or os.environ.get(TOKEN_VARIABLE)
    local = local_state()
    if endpoint is None:
        if local is None:
            raise CliError(
                f"No endpoint: start one here with 'make run', or name one with --endpoint or {ENDPOINT_VARIABLE}."
                f"{_not_ours()}"
            )
        endpoint = str(local["api"])
    endpoint = endpoint.rstrip("/")
    ingest = os.environ.get(INGEST_VARIABLE)
    run, ca, offered = None, None, dict[str, str]()
    if local is not None and endpoint.replace("//localhost:", "//127.0.0.1:") == str(local["api"]).rstrip("/"):
        ingest = ingest or local["services"][Service.MODEL_REGISTRY]
        run, offered = str(local["vault"]), local["tokens"]
        ca = os.environ.get(CA_VARIABLE) or local.get("ca")
    if role is not None and offered and role not in offered:
        raise CliError(
            f"The local run has no role {role!r}; it has {', '.join(sorted(offered))}.", exit_code=ExitCode.USAGE
        )
    if token is None and role is not None:
        token = offered.get(role)
    if token is None:
        saved = saved_tokens().get(endpoint)
        good = saved is not None and saved.expires_at > time.time() and _issued_by(run, saved)
        token = saved.token if saved is not None and good else offered.get(DEFAULT_ROLE)
    return Target(endpoint=endpoint, token=token, ingest=ingest, ca=ca, run=run)
