"""Is a region that the settings no longer have gone from the account too?"""

from collections.abc import Iterator
from functools import partial

from deployment.preflight.account import Account
from deployment.preflight.results import Check, Verdict, failed, ok
from deployment.rollout import Rollout


def checks(account: Account, rollout: Rollout) -> Iterator[Check]:
    """One for each region of ``deployment.removed_regions``."""
    for region in rollout.settings.deployment.removed_regions:
        yield Check(id=f"removed.{region}", region=region, look=partial(gone, account, rollout, region))


def gone(account: Account, rollout: Rollout, region: str) -> Verdict:
    """Whether no stack stands there; a deployment in between would take its tables' replicas before its users."""
    prefix = rollout.settings.name("")
    answer = account.ask_all("cloudformation", "describe_stacks", region=region, key="Stacks")
    standing = sorted(stack["StackName"] for stack in answer if stack["StackName"].startswith(prefix))
    if standing:
        return failed(
            f"deployment.removed_regions names it, and these stacks stand there: {', '.join(standing)}",
            f"anfl regions remove {region} --env {rollout.settings.environment}",
        )
    return ok("no stack stands there any more")
