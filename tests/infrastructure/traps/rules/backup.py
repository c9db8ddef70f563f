"""AWS Backup: what it accepts and then does not do."""

from collections.abc import Iterator

from tests.infrastructure.estate import Estate, Item, Verdict
from tests.infrastructure.policies import text

_BUCKET_POLICIES = {"AWSBackupServiceRolePolicyForS3Backup", "AWSBackupServiceRolePolicyForS3Restore"}
_LEAST_START_WINDOW = 60
"""Minutes."""
_DEFAULT_START_WINDOW = 480


def selections_name_resources(estate: Estate) -> Iterator[Verdict]:
    """A selection of nothing is deployed, and backs up nothing."""
    for item in estate.of("AWS::Backup::BackupSelection"):
        selection = item.properties["BackupSelection"]
        yield item.verdict(selection.get("Resources") or selection.get("ListOfTags"), "selects nothing")


def roles_may_handle_buckets(estate: Estate) -> Iterator[Verdict]:
    """AWS Backup's common policies say nothing of S3: jobs of buckets fail under them."""
    for item in estate.of("AWS::Backup::BackupSelection", "AWS::Backup::RestoreTestingSelection"):
        selection = item.properties.get("BackupSelection", item.properties)
        resources = [selection.get("Resources"), selection.get("ProtectedResourceArns")]
        if _names_buckets(estate, item, resources):
            role = estate.target(item, selection["IamRoleArn"], "AWS::IAM::Role")
            held = {text(arn).rsplit("/", 1)[-1] for arn in role.properties["ManagedPolicyArns"]} if role else set()
            yield item.verdict(held >= _BUCKET_POLICIES, "selects buckets under a role without the policies for S3")


def start_windows_are_long_enough(estate: Estate) -> Iterator[Verdict]:
    """A shorter window synthesizes and is refused when it is deployed."""
    for item in estate.of("AWS::Backup::BackupPlan"):
        for rule in item.properties["BackupPlan"]["BackupPlanRule"]:
            minutes = int(rule.get("StartWindowMinutes", _DEFAULT_START_WINDOW))
            yield item.verdict(
                minutes >= _LEAST_START_WINDOW, f"has {minutes} minutes to start; at least 60", rule["RuleName"]
            )


def _names_buckets(estate: Estate, item: Item, resources: object) -> bool:
    return any(found.type == "AWS::S3::Bucket" for found in estate.mentioned(item, resources)) or ":s3:::" in text(
        resources
    )
