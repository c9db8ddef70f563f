"""Two things that must never be taken for each other: what was sealed is damaged, and its key cannot be had now."""

from anfl.problems import Problem, unavailable

CODE = "key_unavailable"


class TamperedError(Exception):
    """Sealed bytes, or a wrapped key, are not what was written there. Waiting does not help."""


def key_unavailable(reason: str) -> Problem:
    """503: nothing is wrong with what was sealed, but nobody can say now what its key is.

    :param reason: half a sentence.
    """
    return unavailable(f"The key of this data cannot be had now: {reason}; try again.", code=CODE, retry_after=2)
