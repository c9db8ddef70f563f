"""Policy documents: which statements speak about a call."""

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from local.iam.calls import Call
from local.iam.conditions import Condition, conditions
from local.iam.errors import UnsupportedError
from local.iam.patterns import expanded, like

_ELEMENTS = frozenset({"Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "NotResource", "Condition"})
_ACCOUNT = re.compile(r"[0-9]{12}")


@dataclass(frozen=True, kw_only=True)
class Patterns:
    """Any of some patterns, or none of them."""

    of: tuple[str, ...]
    negated: bool = False

    def match(self, text: str, call: Call, *, ignore_case: bool = False) -> str | None:
        """The pattern that ``text`` is like, ``*`` for negated ones; None where the statement is not about it."""
        for pattern in self.of:
            spelled = expanded(pattern, call)
            if spelled is not None and like(spelled, text, ignore_case=ignore_case):
                return None if self.negated else pattern
        return "*" if self.negated else None


@dataclass(frozen=True, kw_only=True)
class Match:
    """How a statement speaks about a call: by which of its actions, on which of its resources."""

    sid: str
    action: str
    resource: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Statement:
    """One statement. Equal only to itself, so that it is quick to look decisions up by it."""

    sid: str
    effect: Literal["Allow", "Deny"]
    actions: Patterns
    resources: Patterns
    principals: tuple[tuple[str, str], ...] | None
    """(kind, name); None in policies of identities."""
    conditions: tuple[Condition, ...]

    def match(self, call: Call) -> Match | None:
        """None where it does not speak about the call.

        :raises UnsupportedError: it may speak about it, but holds something that is not understood.
        """
        action = self.actions.match(call.action, call, ignore_case=True)
        resource = None if action is None else self.resources.match(call.resource, call)
        if action is None or resource is None or not all(condition.holds(call) for condition in self.conditions):
            return None
        return Match(sid=self.sid, action=action, resource=resource)

    def names(self, *principals: str) -> bool:
        """Whether it is about one of the ARNs."""
        return any(
            kind in ("AWS", "*") and (name == "*" or _arn(name) in principals) for kind, name in self.principals or ()
        )

    @functools.cached_property
    def unlimited(self) -> bool:
        """Whether it allows everything."""
        everything = Patterns(of=("*",))
        return self.effect == "Allow" and (self.actions, self.resources, self.conditions) == (
            everything,
            everything,
            (),
        )


@functools.lru_cache(maxsize=1024)
def parse(document: str) -> tuple[Statement, ...]:
    """The statements of a JSON document.

    :raises UnsupportedError: it has elements that are not understood.
    """
    return tuple(_statement(statement) for statement in _listed(json.loads(document).get("Statement", [])))


def _statement(given: Mapping[str, Any]) -> Statement:
    if unknown := given.keys() - _ELEMENTS:
        raise UnsupportedError(f"the element {', '.join(sorted(unknown))} of a statement")
    if given["Effect"] not in ("Allow", "Deny"):
        raise UnsupportedError(f"the effect {given['Effect']}")
    return Statement(
        sid=given.get("Sid", ""),
        effect=given["Effect"],
        actions=_patterns(given, "Action"),
        resources=_patterns(given, "Resource"),
        principals=_principals(given["Principal"]) if "Principal" in given else None,
        conditions=conditions(given.get("Condition", {})),
    )


def _patterns(given: Mapping[str, Any], element: str) -> Patterns:
    negated = f"Not{element}" in given
    if negated == (element in given):
        raise UnsupportedError(f"a statement without {element}, or with both {element} and Not{element}")
    return Patterns(of=tuple(_listed(given[f"Not{element}" if negated else element])), negated=negated)


def _principals(given: Any) -> tuple[tuple[str, str], ...]:  # noqa: ANN401 - JSON
    named = given if isinstance(given, dict) else {"*": given}
    return tuple((kind, name) for kind, names in named.items() for name in _listed(names))


def _arn(principal: str) -> str:
    """Of a principal; an account's number alone stands for all of the account."""
    return f"arn:aws:iam::{principal}:root" if _ACCOUNT.fullmatch(principal) else principal


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 - JSON
    return value if isinstance(value, list) else [value]
