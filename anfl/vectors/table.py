"""What goes wrong with the catalogue's table, as problems."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from anfl.problems import unavailable


class ConditionError(Exception):
    """The condition of a write does not hold; nothing was written. ``first``: that of its first item."""

    def __init__(self, *, first: bool = True) -> None:
        super().__init__()
        self.first = first


@contextmanager
def answering() -> Iterator[None]:
    """Where a table that does not answer is the caller's problem.

    :raises ConditionError: the condition of a write does not hold.
    :raises Problem: 503 ``catalogue_unavailable``.
    """
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "ConditionalCheckFailedException":
            raise ConditionError from error
        failed = [reason.get("Code") == "ConditionalCheckFailed" for reason in _reasons(error)]
        if any(failed):
            raise ConditionError(first=failed[0]) from error
        raise _unavailable() from error
    except BotoCoreError as error:
        raise _unavailable() from error


def _reasons(error: ClientError) -> list[dict[str, str]]:
    reasons: list[dict[str, str]] = error.response.get("CancellationReasons", [])  # type: ignore[assignment]
    return reasons


def _unavailable() -> Exception:
    return unavailable("The catalogue does not answer; try again.", code="catalogue_unavailable")
