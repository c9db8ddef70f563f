"""The gate before an alias: whether a version has what the alias's policy asks for."""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from anfl.problems import Problem
from anfl.registry.approvals import Approvals
from anfl.registry.entities import VerdictStatus, VersionOf
from anfl.registry.policies import Policies, Policy, Requirement
from anfl.registry.table import Action
from anfl.registry.verdicts import Verdicts


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Decides for versions of all tenants."""

    policies: Policies
    verdicts: Verdicts
    approvals: Approvals

    def passed(self, tenant: str, of: VersionOf, alias: str) -> list[Action]:
        """What must hold, in the transaction that sets the alias, for this decision to stand.

        Verdict, approvals and signatures change with the model's revision, and so does the alias: provided that
        ``of`` was read before, the transaction needs to hold the policy alone.

        :raises Problem: 409 naming what is missing.
        """
        policy, unchanged = self.policies.applying(tenant, alias)
        missing = {
            str(requirement): reason
            for requirement in policy.require
            if (reason := self._checks()[requirement](tenant, of, alias, policy)) is not None
        }
        if missing:
            reasons = "; ".join(f"{requirement} ({reason})" for requirement, reason in missing.items())
            raise Problem(
                HTTPStatus.CONFLICT,
                "alias_policy_unmet",
                f"Version {of.version.number} of {of.model.name} cannot be '{alias}', whose policy it does not meet."
                f" Missing: {reasons}.",
                field="alias",
                extensions={"missing": missing},
            )
        return [unchanged]

    def _checks(self) -> dict[Requirement, Callable[[str, VersionOf, str, Policy], str | None]]:
        """By requirement: why it is not met, None where it is."""
        return {
            Requirement.VALIDATED: self._validated,
            Requirement.SIGNED: self._signed,
            Requirement.APPROVED: self._approved,
        }

    def _validated(self, tenant: str, of: VersionOf, _alias: str, _policy: Policy) -> str | None:
        verdict = self.verdicts.of(tenant, of)
        if verdict is not None and verdict.status is VerdictStatus.VALIDATED:
            return None
        return f"its validation is {'absent' if verdict is None else verdict.status}"

    def _signed(self, _tenant: str, _of: VersionOf, _alias: str, _policy: Policy) -> str | None:
        return "it has no signature of a registered key"

    def _approved(self, tenant: str, of: VersionOf, alias: str, policy: Policy) -> str | None:
        given = len(self.approvals.holding(tenant, of.model, of.version, alias))
        return None if given >= policy.approvals else f"{given} of {policy.approvals} people have approved it"
