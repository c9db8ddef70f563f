"""What a request asks for, in IAM's terms."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

Context = tuple[tuple[str, tuple[str, ...]], ...]
"""Condition keys in lower case, each with its values."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One action on one resource, and what conditions may ask about it. A request can need several."""

    action: str
    resource: str
    context: Context = ()

    def within(self, context: Context) -> "Call":
        """The same call with further condition keys."""
        return replace(self, context=self.context + context)

    def values(self, key: str) -> tuple[str, ...] | None:
        """Of a condition key; None where the call has none."""
        return dict(self.context).get(key.lower())


def context(values: Mapping[str, str]) -> Context:
    """Condition keys with one value each."""
    return tuple((key.lower(), (value,)) for key, value in values.items())
