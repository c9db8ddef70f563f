"""Rows to upsert, read from a file of JSON lines and, for their values, an array beside it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from anfl.cli.errors import CliError, ExitCode
from anfl.cli.given import parse_json
from anfl.client.rows import packed
from anfl.vectors.imports.arrays import NO_HEADER

Array = np.ndarray[Any, np.dtype[np.floating[Any]]]
Row = dict[str, Any]


def load_array(path: Path, *, dimensions: int | None = None) -> Array:
    """A ``.npy`` array of floats, mapped rather than read.

    :param dimensions: how many it must have; None: any number.
    :raises CliError: it is none, or has another shape.
    """
    try:
        array: object = np.load(path, mmap_mode="r", allow_pickle=False)
    except (*NO_HEADER, EOFError) as error:
        raise CliError(f"{path} is not a .npy array of numbers.", exit_code=ExitCode.USAGE) from error
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or dimensions not in (None, array.ndim):
        found = f"{array.shape} {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise CliError(f"{path}: expected n × dimension floats, found {found}.", exit_code=ExitCode.USAGE)
    return array


def count(path: Path) -> int:
    """How many rows ``path`` holds: its lines that are not blank.

    :raises CliError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return sum(1 for line in file if line.strip())
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror or error}.") from error


def rows(path: Path, array: Array | None) -> Iterator[Row]:
    """The rows of ``path``; row i's values are ``array[i]``.

    :raises CliError: naming the line that is no row.
    """
    index = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            row = _row(line, f"{path}, line {number}")
            if array is not None:
                row["values"] = packed(array[index])
            index += 1
            yield row


def _row(line: bytes, where: str) -> Row:
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise CliError(f"{where} is not UTF-8 text: {error}", exit_code=ExitCode.USAGE) from error
    row = parse_json(text, where)
    if not isinstance(row, dict):
        raise CliError(f'{where} is no object like {{"id": …, "values": […]}}.', exit_code=ExitCode.USAGE)
    return row
