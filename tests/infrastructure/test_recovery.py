"""Backups, their copies and their tests, and the workflow that recovers a region."""

import json

import pytest

from tests.infrastructure.conftest import Assembly


@pytest.mark.parametrize(
    ("name", "schedule", "days", "selected"),
    [
        (
            "databases",
            "cron(0 3 * * ? *)",
            30,
            [":table/anfl-{env}-catalogue", ":table/anfl-{env}-registry", ":table/anfl-{env}-auth"],
        ),
        ("vectors", "cron(0 * * * ? *)", 7, ["GetAttVectors"]),
        ("configuration", "cron(0 3 * * ? *)", 90, ["GetAttArtifacts"]),
    ],
)
def test_backup_plans_have_the_architectures_figures_and_select_real_resources(
    assembly: Assembly, name: str, schedule: str, days: int, selected: list[str]
) -> None:
    for stack in assembly.regional("recovery").values():
        environment = stack.name.split("-")[1]
        (plan,) = (
            (logical, resource["Properties"]["BackupPlan"])
            for logical, resource in stack.resources("AWS::Backup::BackupPlan").items()
            if resource["Properties"]["BackupPlan"]["BackupPlanName"] == f"anfl-{environment}-{name}"
        )
        (rule,) = plan[1]["BackupPlanRule"]
        assert rule["ScheduleExpression"] == schedule
        assert rule["Lifecycle"] == {"DeleteAfterDays": days}
        assert rule["StartWindowMinutes"] >= 60
        assert rule["CompletionWindowMinutes"] > rule["StartWindowMinutes"]
        selection = stack.only("AWS::Backup::BackupSelection", BackupPlanId={"Ref": plan[0]})["BackupSelection"]
        assert len(selection["Resources"]) == len(selected)
        for resource, mark in zip(selection["Resources"], selected, strict=True):
            assert mark.format(env=environment) in json.dumps(resource)


def test_the_backup_role_may_handle_buckets_too(assembly: Assembly) -> None:
    for stack in assembly.regional("recovery").values():
        policies = json.dumps(stack.only("AWS::IAM::Role")["ManagedPolicyArns"])
        for policy in ("ForBackup", "ForRestores", "ForS3Backup", "ForS3Restore"):
            assert f"AWSBackupServiceRolePolicy{policy}" in policies


def test_the_vault_is_under_the_data_key_and_prods_refuses_deletions(prod: Assembly, dev: Assembly) -> None:
    for assembly in (prod, dev):
        for stack in assembly.regional("recovery").values():
            assert "DataKey" in json.dumps(stack.only("AWS::Backup::BackupVault")["EncryptionKeyArn"])
    for stack in prod.regional("recovery").values():
        vault = next(iter(stack.resources("AWS::Backup::BackupVault").values()))
        (statement,) = vault["Properties"]["AccessPolicy"]["Statement"]
        assert statement["Effect"] == "Deny"
        assert "backup:DeleteRecoveryPoint" in statement["Action"]
        assert vault["DeletionPolicy"] == "Retain"
