"""Patterns of IAM: ``*`` spans anything, ``?`` is one character, ``${key}`` is a value of the call."""

import functools
import re

from local.iam.calls import Call
from local.iam.errors import UnsupportedError

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_ARN_PARTS = 6
_WILDCARDS = frozenset("*?")


def wildcard(pattern: str) -> str:
    """The regular expression of an IAM or load balancer pattern: ``*`` spans anything, ``?`` is one character."""
    return re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")


@functools.lru_cache(maxsize=4096)
def _compiled(pattern: str, *, ignore_case: bool) -> re.Pattern[str]:
    return re.compile(wildcard(pattern), re.DOTALL | (re.IGNORECASE if ignore_case else re.NOFLAG))


def like(pattern: str, text: str, *, ignore_case: bool = False) -> bool:
    """Whether all of ``text`` is as ``pattern`` says."""
    return _compiled(pattern, ignore_case=ignore_case).fullmatch(text) is not None


def arn_like(pattern: str, arn: str) -> bool:
    """As `like`, but no wildcard spans the first five colons (condition operators ``Arn…``)."""
    wanted, given = pattern.split(":", _ARN_PARTS - 1), arn.split(":", _ARN_PARTS - 1)
    return len(wanted) == len(given) == _ARN_PARTS and all(map(like, wanted, given))


def expanded(pattern: str, call: Call) -> str | None:
    """``pattern`` with the call's values in place of variables; None where one has no value: it matches nothing.

    :raises UnsupportedError: a variable with a default, or one that has several values, or one with a wildcard: in what
        a call says it stands for itself, and spans nothing.
    """
    missing = False

    def value(found: re.Match[str]) -> str:
        nonlocal missing
        name = found.group(1)
        if name in ("*", "?", "$"):
            raise UnsupportedError(f"the escaped character ${{{name}}} in {pattern}")
        values = call.values(name)
        if "," in name or (values is not None and len(values) != 1):
            raise UnsupportedError(f"the variable ${{{name}}} in {pattern}")
        if values and not _WILDCARDS.isdisjoint(values[0]):
            raise UnsupportedError(f"the value {values[0]} of ${{{name}}} in {pattern}")
        missing = missing or values is None
        return values[0] if values else ""

    text = _VARIABLE.sub(value, pattern) if "${" in pattern else pattern
    return None if missing else text
