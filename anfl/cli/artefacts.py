"""Which files of this machine are the artefacts of a model."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from anfl.cli.errors import CliError, ExitCode


def artefacts_at(path: Path) -> dict[str, Path]:
    """The file ``path``, or every file below the folder ``path``, by its name relative to the whole, sorted.

    A link to a file counts as that file under the link's name (model caches are full of them); links to folders are
    not followed, and one that leads nowhere is no file.

    :raises CliError: there is no such file or folder, or some of it cannot be listed.
    """
    try:
        if path.is_file():
            return {path.name: path}
        if path.is_dir():
            return dict(sorted((file.relative_to(path).as_posix(), file) for file in _below(path)))
        found = path.exists()
    except OSError as error:
        raise CliError(f"{error.filename or path} cannot be read: {error.strerror or error}.") from error
    reason = f"{path} is neither a file nor a folder." if found else f"There is no file or folder {path}."
    raise CliError(reason, exit_code=ExitCode.USAGE)


def _below(path: Path) -> Iterator[Path]:
    """Every file. (`Path.rglob` leaves out what cannot be listed, and says nothing.)

    :raises OSError: something cannot be looked at.
    """

    def refuse(error: OSError) -> None:
        raise error

    for folder, _, names in os.walk(path, onerror=refuse):
        for file in (Path(folder, name) for name in names):
            try:
                if stat.S_ISREG(file.stat().st_mode):
                    yield file
            except FileNotFoundError:  # a link
                continue
