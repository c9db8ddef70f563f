"""Policy statements as data, and the policies made of them.

A statement is what it says and nothing else; only whole documents are handed to the CDK, which answers from another
process and took two messages for each statement of each role.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aws_cdk import aws_iam as iam

Principal = Mapping[str, str | Sequence[str]]
ANYBODY: Principal = {"AWS": "*"}
"""Whoever the conditions let in."""


def services(*names: str) -> Principal:
    """Services of AWS, by their principals (``lambda.amazonaws.com``)."""
    return {"Service": _value(names)}


def _value(values: Sequence[str]) -> str | list[str]:
    """As the CDK writes it: one value by itself."""
    return values[0] if len(values) == 1 else list(values)


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement of a policy, of identities or, with ``principal``, of a resource."""

    sid: str
    actions: Sequence[str]
    resources: Sequence[str]
    conditions: Mapping[str, Mapping[str, str | Sequence[str]]] | None = None
    """Values by key by operator."""
    principal: Principal | None = None
    effect: Literal["Allow", "Deny"] = "Allow"

    def document(self) -> dict[str, Any]:
        """As IAM's policy language has it; its members in the order in which the CDK writes them."""
        return {
            "Action": _value(self.actions),
            **({"Condition": self.conditions} if self.conditions else {}),
            "Effect": self.effect,
            **({"Principal": dict(self.principal)} if self.principal else {}),
            "Resource": _value(self.resources),
            "Sid": self.sid,
        }

    def as_cdk(self) -> iam.PolicyStatement:
        """For the resources of the CDK that take statements one by one."""
        return iam.PolicyStatement.from_json(self.document())


def document(statements: Iterable[Statement]) -> dict[str, Any]:
    """The whole policy, as IAM's policy language has it."""
    return {"Statement": [statement.document() for statement in statements], "Version": "2012-10-17"}


def policy(statements: Iterable[Statement]) -> iam.PolicyDocument:
    """The whole policy, where the CDK wants one of its own."""
    return iam.PolicyDocument.from_json(document(statements))


def attach(role: iam.Role, statements: Iterable[Statement]) -> None:
    """Let ``role`` do this. Once: a role has one policy of its own, which nothing adds to later."""
    iam.Policy(role, "DefaultPolicy", document=policy(statements), roles=[role])
