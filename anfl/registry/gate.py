"""The gate before an alias: whether a version has what the alias's policy asks for."""

from dataclasses import dataclass
from http import HTTPStatus

from anfl.problems import Problem
from anfl.registry import keys
from anfl.registry.approvals import Approvals
from anfl.registry.entities import VerdictStatus, VersionOf
from anfl.registry.locations import Locations, artifact_path, digest
from anfl.registry.policies import Policies, Policy, Requirement
from anfl.registry.signatures import Signatures
from anfl.registry.table import ABSENT, Action, Check, Condition
from anfl.registry.verdicts import Verdicts


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Decides for versions of all tenants."""

    policies: Policies
    verdicts: Verdicts
    approvals: Approvals
    signatures: Signatures
    locations: Locations

    def passed(self, tenant: str, of: VersionOf, alias: str) -> list[Action]:
        """What must hold, in the transaction that sets the alias, for this decision to stand.

        Verdict, approvals and signatures change with the model's revision, and so does the alias: provided that
        ``of`` was read before, the transaction needs to hold no more than the policy, the key of the signature, and
        the place of the artefacts, which all of them are about.

        :raises Problem: 409 naming what is missing.
        """
        policy, unchanged = self.policies.applying(tenant, alias)
        missing: dict[str, str] = {}
        conditions: list[Action] = [unchanged]
        for requirement in policy.require:
            match requirement:
                case Requirement.VALIDATED:
                    lacking = self._unvalidated(tenant, of)
                case Requirement.APPROVED:
                    lacking = self._unapproved(tenant, of, alias, policy)
                case Requirement.SIGNED:
                    signed = self.signatures.holding(tenant, of)
                    conditions += signed or []
                    lacking = "no registered key has signed it" if signed is None else None
            if lacking is not None:
                missing[str(requirement)] = lacking
        if policy.require:
            place = self._as_registered(tenant, of)
            conditions += place or []
            missing |= {} if place is not None else {"unchanged": "its artefacts are not those that were registered"}
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
        return conditions

    def _as_registered(self, tenant: str, of: VersionOf) -> list[Action] | None:
        """What demands that downloads give what the version's digest is over; None where they do not.

        Another region may have frozen the same place at the same moment, with other files: the later one stands. Or
        one around it, which has not all of them.
        """
        path = artifact_path(of.version.location)
        if path is None or not of.version.digest:
            return []
        around = self.locations.around(tenant, path)
        place = around if around is not None and around.path == path else None
        if digest(of.version.location, place) != of.version.digest:
            return None
        condition = ABSENT if place is None else Condition(revision=place.revision)
        return [Check(key=keys.location(tenant, path), condition=condition)]

    def _unvalidated(self, tenant: str, of: VersionOf) -> str | None:
        verdict = self.verdicts.of(tenant, of)
        if verdict is not None and verdict.status is VerdictStatus.VALIDATED:
            return None
        return f"its validation is {'absent' if verdict is None else verdict.status}"

    def _unapproved(self, tenant: str, of: VersionOf, alias: str, policy: Policy) -> str | None:
        given = len(self.approvals.holding(tenant, of.model, of.version, alias))
        return None if given >= policy.approvals else f"{given} of {policy.approvals} people have approved it"
