"""Exit codes, and the one place where an error becomes a message."""

from enum import IntEnum
from http import HTTPStatus

import typer

from anfl.client import ApiError, ForeignAnswerError, UnreachableError, UnsendableError


class ExitCode(IntEnum):
    """What scripts can rely on."""

    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_ALLOWED = 4
    NOT_FOUND = 5
    CONFLICT = 6
    INTERRUPTED = 130


class CliError(Exception):
    """A failure with a message for the person at the terminal."""

    def __init__(self, message: str, *, exit_code: int = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.exit_code = int(exit_code)


TOLD = (ApiError, CliError, ForeignAnswerError, UnreachableError, UnsendableError)
"""Errors whose message is all that there is to say."""

_BY_STATUS = {
    400: ExitCode.USAGE,
    401: ExitCode.NOT_ALLOWED,
    403: ExitCode.NOT_ALLOWED,
    404: ExitCode.NOT_FOUND,
    409: ExitCode.CONFLICT,
    413: ExitCode.USAGE,
}


def may_pass(error: Exception) -> bool:
    """Whether the same command may succeed later."""
    if isinstance(error, ApiError):
        return error.status == HTTPStatus.TOO_MANY_REQUESTS or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(error, UnreachableError)


def advice_of(error: BaseException) -> str:
    """What was noted about going on; nothing, else."""
    return " ".join(getattr(error, "__notes__", ()))


def exit_code_of(error: Exception) -> int:
    """The exit code for an error that ended a command."""
    match error:
        case CliError():
            return error.exit_code
        case UnsendableError():
            return ExitCode.USAGE
        case typer.TyperException():
            return int(getattr(error, "exit_code", ExitCode.USAGE))
        case UnreachableError():
            return ExitCode.UNREACHABLE
        case ApiError():
            return _BY_STATUS.get(error.status, ExitCode.FAILED)
        case _:
            return ExitCode.FAILED


def as_document(error: Exception) -> dict[str, object]:
    """The error for ``--json``."""
    members: dict[str, object]
    if isinstance(error, ApiError):
        members = {"code": error.code, "status": error.status, "detail": error.detail, "field": error.field}
    else:
        members = {"code": ExitCode(exit_code_of(error)).name.lower(), "detail": _detail(error)}
    members["advice"] = advice_of(error) or None
    return {"error": {name: value for name, value in members.items() if value is not None}}


def _detail(error: Exception) -> str:
    match error:
        case typer.Abort():
            return "Nothing was answered to a question, so nothing was done."
        case typer.TyperException():
            format_message = getattr(error, "format_message", None)
            return str(error if format_message is None else format_message())
        case _:
            return str(error) if isinstance(error, TOLD) else f"unexpected {type(error).__name__}: {error}"
