"""Registration: what can be known here is looked at before anything is sent; what was sent goes where it fails."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from anfl.cli.downloads import ARTIFACTS
from anfl.cli.errors import TOLD, CliError, ExitCode
from anfl.client import ApiError, Client
from anfl.problems import Problem
from anfl.registry import rules
from anfl.registry.artifacts import MAX_FILE_BYTES, MAX_PUT_BYTES
from anfl.registry.locations import MAX_FILES
from anfl.registry.object_keys import object_key
from anfl.wording import counted

API = "/api/2.0/mlflow"


def checked(name: str, description: str | None, files: Mapping[str, Path], folder: str, *, by_link: bool) -> int:
    """How many bytes there are to send.

    :param files: by their paths below ``folder`` of the artefact store.
    :param by_link: whether large ones go past the service.
    :raises CliError: the registry would refuse this, or a file cannot be read.
    """
    try:
        rules.model_name(name)
        rules.description(description)
    except Problem as problem:
        raise CliError(problem.detail, exit_code=ExitCode.USAGE) from problem
    if len(files) > MAX_FILES:
        raise CliError(f"{len(files)} files; a version has at most {MAX_FILES}.", exit_code=ExitCode.USAGE)
    limit = MAX_PUT_BYTES if by_link else MAX_FILE_BYTES
    return sum(_size(path, file, folder, limit) for path, file in files.items())


def _size(path: str, file: Path, folder: str, limit: int) -> int:
    try:
        object_key("", f"{folder}/{path}")
    except Problem as problem:
        message = f"{path!r} is no name that an artefact can have ({problem.detail}); give the file another one."
        raise CliError(message, exit_code=ExitCode.USAGE) from problem
    try:
        with file.open("rb") as stream:
            size = stream.seek(0, 2)
    except OSError as error:
        raise CliError(f"{file} cannot be read: {error.strerror or error}.") from error
    if size > limit:
        raise CliError(f"{file} has {counted(size, 'byte')}; at most {limit} can be sent.", exit_code=ExitCode.USAGE)
    return size


def create_if_absent(client: Client, name: str) -> None:
    """Make the model.

    Last of all before its first version, because it stays: a model that is there may be used by others at once, and
    nobody could take it away again without their versions.
    """
    try:
        client.json("POST", f"{API}/registered-models/create", body={"name": name})
    except ApiError as error:
        if error.code != "RESOURCE_ALREADY_EXISTS":
            raise


@contextmanager
def removed_unless_registered(client: Client, folder: str) -> Iterator[None]:
    """What was uploaded goes again where no version comes of it; what a version names the service keeps.

    :raises ApiError: at once, where the caller may not do so.
    """
    client.send("DELETE", f"{ARTIFACTS}/{quote(folder)}")  # nothing is there: asked before gigabytes are sent
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        with suppress(*TOLD):
            client.send("DELETE", f"{ARTIFACTS}/{quote(folder)}")
        if isinstance(error, KeyboardInterrupt):
            message = "Interrupted: what was uploaded is removed, unless its version was registered already."
            raise CliError(message, exit_code=ExitCode.INTERRUPTED) from None
        raise
