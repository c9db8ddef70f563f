"""Which checks belong to which question."""

from dataclasses import dataclass
from enum import StrEnum

from deployment.preflight import artefacts, leftovers, protocols, quotas, readiness, regions, removed, zones
from deployment.preflight.account import Account
from deployment.preflight.delegation import PublicDns
from deployment.preflight.results import Check
from deployment.rollout import Rollout


class Scope(StrEnum):
    """What somebody wants to know."""

    DEPLOYMENT = "deployment"
    """May the deployment begin?"""
    ACCOUNT = "account"
    """The same without the delegation of zones, which cannot be confirmed before their stack stands."""
    DNS = "dns"
    TLS = "tls"
    """Afterwards: what is really negotiated?"""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who asks."""

    account: str
    arn: str


def caller(account: Account, rollout: Rollout) -> Caller:
    """Whose credentials these are.

    :raises CredentialsError: AWS does not accept them.
    :raises UnansweredError: AWS cannot be reached at all.
    """
    found = account.ask("sts", "get_caller_identity", region=rollout.settings.primary_region.value)
    return Caller(account=found["Account"], arn=found["Arn"])


def checks_for(scope: Scope, account: Account, rollout: Rollout, dns: PublicDns) -> list[Check]:
    """Every check that answers ``scope``."""
    if scope is Scope.TLS:
        return list(protocols.checks(account, rollout))
    delegation = [] if scope is Scope.ACCOUNT else list(zones.checks(account, rollout, dns))
    if scope is Scope.DNS:
        return delegation
    return [
        *delegation,
        *readiness.checks(account, rollout),
        *removed.checks(account, rollout),
        *regions.checks(account, rollout),
        *artefacts.checks(account, rollout),
        *leftovers.checks(account, rollout),
        *quotas.checks(account, rollout),
    ]
