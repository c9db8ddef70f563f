"""Which files of this machine are the artefacts of a model."""

from pathlib import Path

from anfl.cli.errors import CliError, ExitCode


def artefacts_at(path: Path) -> dict[str, Path]:
    """The file ``path``, or every file below the folder ``path``, by its name relative to the whole, sorted.

    A link to a file counts as that file under the link's name (model caches are full of them); links to folders are
    not followed.

    :raises CliError: there is no such file or folder, or it cannot be listed.
    """
    try:
        if path.is_file():
            return {path.name: path}
        if path.is_dir():
            files = (file for file in path.rglob("*") if file.is_file())
            return dict(sorted((file.relative_to(path).as_posix(), file) for file in files))
        found = path.exists()
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror or error}.") from error
    reason = f"{path} is neither a file nor a folder." if found else f"There is no file or folder {path}."
    raise CliError(reason, exit_code=ExitCode.USAGE)
