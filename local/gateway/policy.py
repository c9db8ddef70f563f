"""IAM policy documents as an authorizer returns them, evaluated for one action."""

import re
from dataclasses import dataclass
from typing import Any

from local.iam.patterns import wildcard

ACTION = "execute-api:Invoke"
_VERDICTS = ("Allow", "Deny")


class PolicyError(ValueError):
    """The authorizer's answer is no policy document that API Gateway accepts."""


@dataclass(frozen=True)
class Policy:
    """The statements about `ACTION`, compiled."""

    allow: re.Pattern[str] | None
    deny: re.Pattern[str] | None

    def allows(self, arn: str) -> bool:
        """Whether a call of ``arn`` is allowed: an explicit deny wins, silence denies."""
        if self.deny is not None and self.deny.fullmatch(arn):
            return False
        return self.allow is not None and self.allow.fullmatch(arn) is not None


def compile_policy(document: Any) -> Policy:  # noqa: ANN401 - whatever the authorizer returned
    """Compile ``policyDocument``.

    A condition is not evaluated: an Allow that has one never allows, a Deny that has one always denies.

    :raises PolicyError: it is no policy document.
    """
    if not isinstance(document, dict):
        raise PolicyError("policyDocument is no object")
    patterns: dict[str, list[str]] = {verdict: [] for verdict in _VERDICTS}
    for statement in _listed(document.get("Statement")):
        if not isinstance(statement, dict) or statement.get("Effect") not in _VERDICTS:
            raise PolicyError("a statement needs an Effect of Allow or Deny")
        actions = [str(action) for action in _listed(statement.get("Action"))]
        resources = [str(resource) for resource in _listed(statement.get("Resource"))]
        if not actions or not resources:
            raise PolicyError("a statement needs Action and Resource")
        if not any(re.fullmatch(wildcard(action), ACTION, re.IGNORECASE) for action in actions):
            continue
        if statement["Effect"] == "Deny" or not statement.get("Condition"):
            patterns[statement["Effect"]] += [wildcard(resource) for resource in resources]
    return Policy(allow=_any_of(patterns["Allow"]), deny=_any_of(patterns["Deny"]))


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 - JSON
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _any_of(patterns: list[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.DOTALL) if patterns else None
