"""Reads what was given on the command line: JSON, or the name of a file that holds it."""

import json
import math
from pathlib import Path
from typing import Any

from anfl.cli.errors import CliError, ExitCode


def parse_json(text: str, option: str) -> Any:  # noqa: ANN401 - whatever JSON it is
    """JSON given on the command line. Numbers are finite: NaN and infinity are no JSON, and no API takes them.

    :raises CliError: naming ``option`` and the position.
    """
    try:
        return json.loads(text, parse_constant=_refused, parse_float=_finite)
    except RecursionError:
        raise CliError(f"{option} is nested too deeply.", exit_code=ExitCode.USAGE) from None
    except ValueError as error:
        raise CliError(f"{option} is not JSON: {error}", exit_code=ExitCode.USAGE) from error


def read_text(path: Path, option: str) -> str:
    """The text of a file named on the command line.

    :raises CliError: naming ``option``, where there is no such file, or it cannot be read, or is no UTF-8 text.
    """
    if not path.is_file():
        raise CliError(f"{option}: there is no file {path}.", exit_code=ExitCode.USAGE)
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CliError(f"{option}: {path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise CliError(f"{option}: {path} is not UTF-8 text: {error}", exit_code=ExitCode.USAGE) from error


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is no number in JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits} is too large")
    return number
