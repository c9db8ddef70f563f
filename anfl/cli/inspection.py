"""The registry's inspection, run on this machine."""

from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from anfl.cli.artefacts import artefacts_at
from anfl.cli.errors import CliError
from anfl.inspection.inspector import FileSource, Local, inspect_files
from anfl.inspection.sandbox import SandboxError


def inspect_path(path: Path, *, package_hosts: tuple[str, ...] = ()) -> dict[str, Any]:
    """The verdict on a file or folder, as the registry would reach it after ``anfl models register``.

    ``{"status", "reasons": [{"code", "file", "detail"}], "files": [{"path", "sha256", "size", "format"}]}``.

    :raises CliError: ``path`` is absent, or something in it cannot be read.
    """
    artefacts = artefacts_at(path)
    try:
        sources = (
            FileSource(path=name, size=file.stat().st_size, local=partial(Local, file))
            for name, file in artefacts.items()
        )
        report = inspect_files(sources, package_hosts=package_hosts)
    except SandboxError as error:
        raise CliError(str(error)) from error
    except OSError as error:
        where = error.filename or path
        raise CliError(f"{where} cannot be read: {error.strerror or error}.") from error
    document: dict[str, Any] = msgspec.to_builtins(report)
    for file in document["files"]:
        del file["s3_version"]  # there is none here
    return document
