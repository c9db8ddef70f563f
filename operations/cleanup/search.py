"""Looks for everything that is left over, and deals with it."""

import time
from collections.abc import Callable, Iterator, Sequence

from botocore.exceptions import BotoCoreError, ClientError

from operations import stacks
from operations.cleanup import failed_stacks, keys, stores
from operations.cleanup.finding import Action, Finding, Scope
from operations.cloud import Cloud, told
from operations.errors import OperationError, RefusedError
from operations.stacks import Stack
from stacks.models import Settings
from stacks.units import Region

_REVIEW_SECONDS = 3600.0
Find = Callable[[Scope], Iterator[Finding]]
FINDERS: Sequence[Find] = (
    keys.keys,
    failed_stacks.failed,
    keys.aliases,
    stores.tables,
    stores.buckets,
    stores.log_groups,
    stores.backup_vaults,
)
"""In the order in which their findings are dealt with: keys that something needs are saved before all else."""


def leftovers(cloud: Cloud, settings: Settings, regions: Sequence[Region]) -> list[Finding]:
    """What is left over in ``regions``.

    :raises RefusedError: something is being deployed just now: what it makes would look left over.
    :raises OperationError: AWS does not say.
    """
    standing = stacks.of_environment(cloud, settings.environment, settings.all_regions)
    if busy := [f"{stack.name} in {stack.region} ({stack.status})" for stack in standing if _at_work(stack)]:
        raise RefusedError(f"CloudFormation is at work; try again when it has ended: {', '.join(busy)}")
    owned = frozenset(
        resource.physical_id for stack in standing if not stack.failed for resource in stacks.resources(cloud, stack)
    )
    scopes = [
        Scope(
            cloud=cloud,
            environment=settings.environment,
            region=region,
            owned=owned,
            failed=tuple(stack for stack in standing if stack.failed),
        )
        for region in regions
    ]
    with told("What is left over"):
        return [finding for find in FINDERS for scope in scopes for finding in find(scope)]


def _at_work(stack: Stack) -> bool:
    """Whether somebody deploys it: a stack under review is one that is about to be made, or was given up long ago."""
    return stack.busy or (stack.status == "REVIEW_IN_PROGRESS" and time.time() - stack.created < _REVIEW_SECONDS)


def agreed(shown: Sequence[Finding], now: Sequence[Finding]) -> list[Finding]:
    """Those of ``now`` that somebody has agreed to deal with, having been ``shown`` them a while ago.

    Hours may lie between a question and its answer, in which a stack that is well came to have what was left over.
    """
    known = {(finding.region, finding.kind, finding.name, finding.action) for finding in shown}
    return [finding for finding in now if (finding.region, finding.kind, finding.name, finding.action) in known]


def clean_up(findings: Sequence[Finding], *, tell: Callable[[Finding, str | None], None]) -> int:
    """Deal with ``findings``, each of which is looked at again before. One that fails does not hold up the others.

    :param tell: called after each that was not left, with what went wrong, if anything.
    :returns: how many failed.
    """
    failures = 0
    for finding in findings:
        if finding.action is Action.LEAVE:
            continue
        try:
            finding.act()
        except (BotoCoreError, ClientError, OperationError) as error:
            failures += 1
            tell(finding, str(error))
        else:
            tell(finding, None)
    return failures
