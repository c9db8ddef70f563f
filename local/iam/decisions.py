"""Whether a role may make a call, as IAM decides it within one account.

AWS IAM User Guide, "Policy evaluation logic": an explicit deny anywhere wins; a permissions boundary allows nothing by
itself, but must allow; a resource's policy that names the caller allows beside the role's own policies. KMS alone asks
the key's policy first: it must name the caller, or hand over to the account's identities by naming the account.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from local.iam.calls import Call
from local.iam.policies import Match, Statement

Statements = tuple[Statement, ...]


@dataclass(frozen=True, kw_only=True)
class Policies:
    """Everything that speaks about one caller and one resource."""

    identity: Statements
    boundary: Statements | None = None
    resource: Statements = ()


@dataclass(frozen=True, kw_only=True)
class Principal:
    """A role that somebody has taken on."""

    account: str
    role: str
    """Its ARN."""
    session: str
    """ARN of the session."""

    @property
    def root(self) -> str:
        """The ARN that stands for every identity of the account."""
        return f"arn:aws:iam::{self.account}:root"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """``refused`` says why not, in AWS's words; ``by`` are the role's own statements that allow it."""

    refused: str | None = None
    by: tuple[Match, ...] = ()


def decide(call: Call, principal: Principal, policies: Policies) -> Verdict:
    """Judge one call.

    :raises UnsupportedError: a statement about it holds something that is not understood.
    """
    about = tuple(s for s in policies.resource if s.names("*", principal.root, principal.role, principal.session))
    for kind, statements in (
        ("an identity-based policy", policies.identity),
        ("a permissions boundary", policies.boundary or ()),
        ("a resource-based policy", about),
    ):
        if any(_matches(statements, call, "Deny")):
            return Verdict(refused=f"with an explicit deny in {kind}")
    if policies.boundary is not None and not any(_matches(policies.boundary, call, "Allow")):
        return Verdict(refused=f"because no permissions boundary allows the {call.action} action")
    own = tuple(_matches(policies.identity, call, "Allow"))
    direct = tuple(s for s in about if s.names("*", principal.role, principal.session))
    if any(_matches(direct, call, "Allow")):
        return Verdict(by=own)
    if call.action.startswith("kms:") and not any(_matches(about, call, "Allow")):
        return Verdict(refused=f"because no resource-based policy allows the {call.action} action")
    if not own:
        return Verdict(refused=f"because no identity-based policy allows the {call.action} action")
    return Verdict(by=own)


def _matches(statements: Iterable[Statement], call: Call, effect: str) -> Iterable[Match]:
    return (match for s in statements if s.effect == effect and (match := s.match(call)) is not None)
