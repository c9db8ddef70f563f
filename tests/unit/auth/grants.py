"""What Vault's policies grant, what a whole life of the system uses of it, and grants that it cannot use here."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from anfl.auth.names import NODE_ROLE
from local.vault.acl import Acl, parse
from local.vault.api import Operation
from local.vault.core import Core
from local.vault.tokens import Token

Grant = tuple[str, str, str]
"""Policy, path as the policy has it, capability."""

UNUSED: Mapping[Grant, str] = {
    (NODE_ROLE, "sys/storage/raft/autopilot/state", "read"): (
        "vault/node/user-data.sh asks whether the cluster is well; a single server has no Raft"
    ),
    (NODE_ROLE, "sys/storage/raft/snapshot", "read"): (
        "vault/node/user-data.sh calls `vault operator raft snapshot save`; a single server has no Raft"
    ),
}
"""Grants that no step of the run uses, each with the reason."""


def granted(policies: Mapping[str, str]) -> set[Grant]:
    """Everything that the texts grant, one by one."""
    return {
        (name, rule.path, capability)
        for name, text in policies.items()
        for rule in parse(text)
        for capability in rule.capabilities
    }


def without(policies: Mapping[str, str], grant: Grant) -> dict[str, str]:
    """The same policies but for one grant."""
    name, path, capability = grant
    stanzas = {rule.path: {"capabilities": sorted(rule.capabilities)} for rule in parse(policies[name])}
    stanzas[path]["capabilities"].remove(capability)
    return {**policies, name: json.dumps({"path": stanzas})}


@dataclass(frozen=True, kw_only=True)
class Use:
    """One request with a token that is not root's, as the policies decided it."""

    policies: tuple[str, ...]
    path: str
    rule: str | None
    capabilities: tuple[str, ...]
    allowed: bool

    def grants(self) -> set[Grant]:
        """What it used, by any of the token's policies that might have said so."""
        return {(policy, self.rule or "", capability) for policy in self.policies for capability in self.capabilities}


@dataclass
class Ledger:
    """Every use, from the moment that it watches."""

    uses: list[Use] = field(default_factory=list)
    ended_by: Exception | None = None
    """What kept the run from its end."""

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        """Look on while servers that are built from now on decide."""
        original: Callable[[Core, Token], Acl] = Core.acl

        def acl(core: Core, token: Token) -> Acl:
            found = original(core, token)
            return found if "root" in token.policies else Watched(found, token, self)

        patch.setattr(Core, "acl", acl)

    def used(self) -> set[Grant]:
        """Grants that let something through."""
        return {grant for use in self.uses if use.allowed for grant in use.grants()}

    def refused(self) -> list[Use]:
        """What somebody wanted and could not do."""
        return [use for use in self.uses if not use.allowed]

    def misses(self, grant: Grant) -> bool:
        """Whether somebody was refused what this grant would have let through."""
        name, path, capability = grant
        return any(
            use.rule == path and name in use.policies and capability in use.capabilities for use in self.refused()
        )


class Watched(Acl):
    """The policies of one token, written down as they decide."""

    def __init__(self, acl: Acl, token: Token, ledger: Ledger) -> None:
        super().__init__(())
        self._acl = acl
        self._token = token
        self._ledger = ledger

    def allows(self, operation: Operation, path: str, data: Mapping[str, Any], *, sudo: bool = False) -> bool:
        allowed = self._acl.allows(operation, path, data, sudo=sudo)
        rule = self._acl.rule(path, listing=operation is Operation.LIST)
        wanted: Iterable[str] = (operation.value, "sudo") if sudo else (operation.value,)
        self._ledger.uses.append(
            Use(
                policies=self._token.policies,
                path=path,
                rule=rule.path if rule is not None else None,
                capabilities=tuple(wanted),
                allowed=allowed,
            )
        )
        return allowed
