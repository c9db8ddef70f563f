"""Conditions of policy statements: the operators and keys that ANFL's templates use, and no others.

Semantics: AWS IAM User Guide, "IAM JSON policy elements: Condition operators". Values of one key are alternatives, keys
and operators must all hold; a key that a call does not have fails every operator but the negated ones and those of
all values.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from local.iam.calls import Call
from local.iam.errors import UnsupportedError
from local.iam.patterns import arn_like, expanded, like

KEYS = frozenset(
    {
        "application-autoscaling:service-namespace",
        "aws:principalaccount",
        "aws:principalarn",
        "aws:principalisawsservice",
        "aws:resourceaccount",
        "aws:securetransport",
        "cloudwatch:namespace",
        "dynamodb:leadingkeys",
        "iam:passedtoservice",
        "kms:calleraccount",
        "kms:encryptioncontext:anfl-purpose",
        "kms:encryptioncontext:aws:s3:arn",
        "kms:resourcealiases",
        "kms:viaservice",
        "lambda:sourcefunctionarn",
        "s3:prefix",
        "s3:tlsversion",
        "s3:x-amz-acl",
    }
)
"""What calls tell where they have it (`local.iam.requests`, `local.iam.callers`)."""
OF_SERVICES = frozenset(
    {
        "aws:sourceaccount",
        "aws:sourcearn",
        "kms:encryptioncontext:aws:logs:arn",
        "kms:encryptioncontext:aws:sns:topicarn",
        "kms:grantisforawsresource",
    }
)
"""What only AWS's own services tell when they call for themselves, so that no caller here has it."""

Test = Callable[[str, str], bool]
"""(what the policy says, what the call has)"""
_POSITIVE: Mapping[str, Test] = {
    "StringEquals": str.__eq__,
    "StringLike": like,
    "ArnEquals": arn_like,  # the same as ArnLike: both know wildcards
    "ArnLike": arn_like,
    "Bool": lambda wanted, given: wanted.lower() == given.lower(),
    "NumericLessThan": lambda wanted, given: float(given) < float(wanted),
    "ForAnyValue:StringEquals": str.__eq__,
}
_OF_ALL: Mapping[str, Test] = {"ForAllValues:StringEquals": str.__eq__, "ForAllValues:StringLike": like}
"""Each value that a call has must be one of those said: a call that has none is let through."""
_NEGATED: Mapping[str, Test] = {"ArnNotEquals": arn_like}
OPERATORS = frozenset({*_POSITIVE, *_OF_ALL, *_NEGATED})


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One operator on one key."""

    operator: str
    key: str
    values: tuple[str, ...]

    def holds(self, call: Call) -> bool:
        """Whether the call is as the condition wants it.

        :raises UnsupportedError: the operator or key is none that this evaluator knows.
        """
        key = self.key.lower()
        if self.operator not in OPERATORS:
            raise UnsupportedError(f"the operator {self.operator}")
        if key not in KEYS | OF_SERVICES:
            raise UnsupportedError(f"the condition key {self.key}")
        given = call.values(key)
        if self.operator in _OF_ALL:
            return all(self._matches(_OF_ALL[self.operator], value, call) for value in given or ())
        negated = self.operator in _NEGATED
        if given is None:
            return negated
        if len(given) != 1 and not self.operator.startswith("ForAnyValue:"):
            raise UnsupportedError(f"{self.operator} on {self.key}, which has {len(given)} values")
        test = (_NEGATED if negated else _POSITIVE)[self.operator]
        return any(self._matches(test, value, call) for value in given) is not negated

    def _matches(self, test: Test, given: str, call: Call) -> bool:
        wanted = (text for value in self.values if (text := expanded(value, call)) is not None)
        return any(test(text, given) for text in wanted)


def conditions(block: Mapping[str, Mapping[str, Any]]) -> tuple[Condition, ...]:
    """Of a statement's ``Condition``."""
    return tuple(
        Condition(
            operator=operator, key=key, values=tuple(map(_spelled, values if isinstance(values, list) else [values]))
        )
        for operator, keys in block.items()
        for key, values in keys.items()
    )


def _spelled(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
