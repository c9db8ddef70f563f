"""Does something stand in the way of a name? What stacks retain, a first deployment that failed leaves behind."""

from collections.abc import Iterator
from functools import partial

from deployment.preflight.account import Account, AnswerError
from deployment.preflight.results import Check, Verdict, failed, ok
from deployment.rollout import Rollout

_NAMES = {
    "AWS::Backup::BackupVault": "BackupVaultName",
    "AWS::DynamoDB::GlobalTable": "TableName",
    "AWS::KMS::Alias": "AliasName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
}
"""Types that stacks retain under names of their own, and the property that is the name."""


def checks(account: Account, rollout: Rollout) -> Iterator[Check]:
    """One for each region in which such names are given."""
    for region in rollout.regions:
        if any(True for _ in _named(rollout, region, account_id="")):
            look = partial(leftovers, account, rollout, region)
            yield Check(id=f"leftovers.{region}", region=region, look=look)


def leftovers(account: Account, rollout: Rollout, region: str) -> Verdict:
    """Whether a name is free that a stack will give; stacks that stand hold theirs themselves."""
    standing = {
        stack["StackName"]
        for stack in account.ask_all("cloudformation", "describe_stacks", region=region, key="Stacks")
    }
    account_id = account.ask("sts", "get_caller_identity", region=region)["Account"]
    names = [
        (kind, name) for stack, kind, name in _named(rollout, region, account_id=account_id) if stack not in standing
    ]
    taken = [f"{name} ({kind})" for kind, name in names if _exists(account, region, kind=kind, name=name)]
    if taken:
        return failed(
            f"stands already, and in no stack: {', '.join(taken)}",
            f"{cleanup(rollout)} removes what an earlier, failed deployment left empty; what holds data is imported "
            "into its stack.",
        )
    return ok(f"{len(names)} names are free")


def cleanup(rollout: Rollout) -> str:
    """The command that looks for what failed deployments left, shows it, and asks before it removes any."""
    return f"anfl cleanup --failed --env {rollout.settings.environment}"


def _named(rollout: Rollout, region: str, *, account_id: str) -> Iterator[tuple[str, str, str]]:
    """(stack, type, name) of every resource that names itself."""
    for resource in rollout.resources:
        if resource.region != region or resource.kind not in _NAMES:
            continue
        name = _text(resource.get(_NAMES[resource.kind]), account_id=account_id)
        if name is not None:
            yield resource.stack, resource.kind, name


def _text(value: object, *, account_id: str) -> str | None:
    """A name in full; None where it is generated."""
    match value:
        case str():
            return value
        case {"Ref": "AWS::AccountId"}:
            return account_id
        case {"Fn::Join": [str() as between, [*parts]]}:
            texts = [_text(part, account_id=account_id) for part in parts]
            return None if None in texts else between.join(text for text in texts if text is not None)
        case _:
            return None


def _exists(account: Account, region: str, *, kind: str, name: str) -> bool:
    try:
        account.ask("cloudcontrol", "get_resource", region=region, TypeName=kind, Identifier=name)
    except AnswerError as error:
        if error.code != "ResourceNotFoundException":
            raise
        return False
    return True
