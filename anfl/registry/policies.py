"""What a version must have before an alias may name it: policies by alias, the deployment's and each tenant's own.

A deployment sets policies for all tenants. A tenant's own policy for such an alias may ask for more, never for less, so
that nobody can lift alone what takes several people.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated

import msgspec

from anfl.registry import keys, rules
from anfl.registry.audit import Change
from anfl.registry.clock import Clock, now
from anfl.registry.errors import does_not_exist, invalid_parameter
from anfl.registry.journal import Journal
from anfl.registry.table import ABSENT, Check, Condition, Delete, Item, Put, Table
from anfl.resources import SORT_KEY

MAX_POLICIES = 200
"""Of one tenant."""


class Requirement(StrEnum):
    """What a policy can ask of a version."""

    VALIDATED = "validated"
    """Its verdict is VALIDATED."""
    SIGNED = "signed"
    """A key that the tenant registered has signed its artefacts."""
    APPROVED = "approved"
    """People have approved it for that alias, none of them who asked for it."""


MAX_APPROVALS = 5
"""More people than this no policy asks for."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What it takes."""

    require: tuple[Requirement, ...] = ()
    approvals: Annotated[int, msgspec.Meta(ge=1, le=MAX_APPROVALS)] = 2
    """How many people must approve, where `Requirement.APPROVED` is asked."""


class AliasPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The policy for an alias; ``origin``: ``deployment``, or ``tenant`` where it is the tenant's own."""

    alias: str
    require: tuple[Requirement, ...]
    approvals: int
    origin: str


Defaults = Mapping[str, Policy]
"""By alias."""


class Policies:
    """Policies of all tenants; every method takes the tenant first and reaches nothing of another's."""

    def __init__(self, table: Table, *, defaults: Defaults | None = None, clock: Clock = now) -> None:
        self._table = table
        self._journal = Journal(table)
        self._defaults = dict(defaults or {})
        self._clock = clock

    def applying(self, tenant: str, alias: str) -> tuple[Policy, Check]:
        """The policy for an alias, and what demands in a transaction that it still applies."""
        key = keys.policy(tenant, alias)
        item = self._table.get(key)
        condition = ABSENT if item is None else Condition(revision=item["revision"])
        return self._of(alias, item), Check(key=key, condition=condition)

    def all(self, tenant: str) -> list[AliasPolicy]:
        """Every policy, by alias."""
        own = {item[SORT_KEY]: item for item in self._table.query(keys.policies(tenant))}
        return [self._told(alias, own.get(alias)) for alias in sorted(own.keys() | self._defaults.keys())]

    def put(
        self, tenant: str, alias: str, *, by: str, require: Sequence[Requirement], approvals: int = 2
    ) -> AliasPolicy:
        """Set the tenant's own policy for an alias.

        :raises Problem: 400, also where it asks for less than the deployment.
        """
        rules.new_alias(alias)
        policy = Policy(require=tuple(sorted({*require})), approvals=approvals)
        self._refuse_less(alias, policy)

        def attempt() -> AliasPolicy:
            key = keys.policy(tenant, alias)
            head, (before,) = self._journal.read(tenant, key)
            if before is None and len(list(self._table.query(keys.policies(tenant)))) >= MAX_POLICIES:
                raise invalid_parameter(f"At most {MAX_POLICIES} aliases may have policies; delete one first.")
            item = {
                "require": list(policy.require),
                "approvals": approvals,
                "revision": head.sequence + 1,  # of this change: a policy that is made anew does not count anew
            }
            condition = ABSENT if before is None else Condition(revision=before["revision"])
            change = self._change(by, "policy.set", alias, before, item)
            self._journal.write(tenant, change, Put(key=key, item=item, condition=condition), head=head)
            return self._told(alias, item)

        return self._journal.in_turn(tenant, attempt)

    def delete(self, tenant: str, alias: str, *, by: str) -> None:
        """Remove the tenant's own policy for an alias; the deployment's, where it has one, applies again.

        :raises Problem: 404.
        """
        rules.alias(alias)

        def attempt() -> None:
            key = keys.policy(tenant, alias)
            head, (before,) = self._journal.read(tenant, key)
            if before is None:
                raise does_not_exist(f"There is no policy of the tenant's own for alias {alias}.")
            change = self._change(by, "policy.deleted", alias, before, None)
            delete = Delete(key=key, condition=Condition(revision=before["revision"]))
            self._journal.write(tenant, change, delete, head=head)

        self._journal.in_turn(tenant, attempt)

    def _refuse_less(self, alias: str, policy: Policy) -> None:
        least = self._defaults.get(alias, Policy(approvals=1))
        lacking = sorted({*least.require} - {*policy.require})
        if lacking:
            names = ", ".join(lacking)
            message = f"The policy for '{alias}' must require what the deployment does: {names} is missing."
            raise invalid_parameter(message, field="require")
        if Requirement.APPROVED in least.require and policy.approvals < least.approvals:
            message = f"The deployment asks for {least.approvals} approvals for '{alias}'; a policy may ask for more."
            raise invalid_parameter(message, field="approvals")

    def _of(self, alias: str, item: Item | None) -> Policy:
        deployed = self._defaults.get(alias)
        if item is None:
            return deployed or Policy()
        return _policy(item) if deployed is None else _both(_policy(item), deployed)

    def _told(self, alias: str, item: Item | None) -> AliasPolicy:
        policy = self._of(alias, item)
        origin = "deployment" if item is None else "tenant"
        return AliasPolicy(alias=alias, require=policy.require, approvals=policy.approvals, origin=origin)

    def _change(self, by: str, action: str, alias: str, before: Item | None, after: Item | None) -> Change:
        told = [{"policies": {alias: _document(item)}} for item in (before, after)]
        return Change(by=by, at=self._clock(), action=action, before=told[0], after=told[1])


def _policy(item: Item) -> Policy:
    return Policy(require=tuple(map(Requirement, item["require"])), approvals=item["approvals"])


def _both(own: Policy, deployed: Policy) -> Policy:
    """What meets both: a deployment may have become stricter since the tenant's own policy was set."""
    approvals = [policy.approvals for policy in (own, deployed) if Requirement.APPROVED in policy.require]
    require = tuple(sorted({*own.require, *deployed.require}))
    return Policy(require=require, approvals=max(approvals, default=own.approvals))


def _document(item: Item | None) -> object:
    return (
        None if item is None else {"require": [str(name) for name in item["require"]], "approvals": item["approvals"]}
    )
