"""Backups, their copies and their tests, and the workflow that recovers a region."""

import json
import re
from typing import Any

import pytest

from anfl.resources import TABLES
from tests.infrastructure.conftest import Assembly, Template

TABLE_MARKS = [":table/anfl-{env}-catalogue", ":table/anfl-{env}-registry", ":table/anfl-{env}-auth"]


@pytest.mark.parametrize(
    ("name", "schedule", "days", "selected"),
    [
        (
            "databases",
            "cron(0 3 * * ? *)",
            30,
            TABLE_MARKS,
        ),
        ("vectors", "cron(0 * * * ? *)", 7, ["GetAttVectors", "GetAttArtifacts", ":table/anfl-{env}-class-"]),
        ("configuration", "cron(0 5 * * ? *)", 90, TABLE_MARKS),
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
        if name == "configuration" and environment == "prod":
            selected = [*TABLE_MARKS, ":s3:::anfl-{env}-vault-snapshots-"]
        assert len(selection["Resources"]) == len(selected)
        for resource, mark in zip(selection["Resources"], selected, strict=True):
            assert mark.format(env=environment) in json.dumps(resource)


def test_every_bucket_that_is_backed_up_lets_the_backup_role_in_by_a_protocol_of_its_choice(prod: Assembly) -> None:
    """AWS Backup comes as a role, not as a service: a bucket that demands TLS 1.3 of it may refuse it."""
    for region, stack in prod.regional("recovery").items():
        stack.only("AWS::IAM::Role", RoleName=f"anfl-prod-backup-{region}")
        policies = [
            json.dumps(statement["Condition"])
            for layer in ("storage", "vault")
            for policy in prod[f"anfl-prod-{region}-{layer}"].properties("AWS::S3::BucketPolicy")
            for statement in policy["PolicyDocument"]["Statement"]
            if statement.get("Sid") == "Tls13"
        ]
        assert len(policies) == 3
        for condition in policies:
            assert f":role/anfl-prod-backup-{region}" in condition


def test_the_workflow_looks_at_buckets_by_a_protocol_of_its_choice(prod: Assembly) -> None:
    """Step Functions comes as a role, as AWS Backup does; refused, it would end in the midst of a recovery."""
    for region, stack in prod.regional("recovery").items():
        (name,) = (
            name
            for name, role in stack.resources("AWS::IAM::Role").items()
            if role["Properties"].get("RoleName") == f"anfl-prod-recovery-{region}"
        )
        assert stack.only("AWS::StepFunctions::StateMachine")["RoleArn"] == {"Fn::GetAtt": [name, "Arn"]}
        policies = prod[f"anfl-prod-{region}-storage"].properties("AWS::S3::BucketPolicy")
        for policy in policies:
            (least,) = (s for s in policy["PolicyDocument"]["Statement"] if s.get("Sid") == "Tls13")
            assert f":role/anfl-prod-recovery-{region}" in json.dumps(least["Condition"])


def test_the_backup_role_may_handle_buckets_too(assembly: Assembly) -> None:
    for stack in assembly.regional("recovery").values():
        (role,) = (role for role in stack.properties("AWS::IAM::Role") if "ManagedPolicyArns" in role)
        policies = json.dumps(role["ManagedPolicyArns"])
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


GUARDIANS = {"us-west-1": "us-east-1", "us-east-1": "eu-west-1", "eu-west-1": "us-west-1"}
WARDS = {guardian: ward for ward, guardian in GUARDIANS.items()}


def test_every_backup_is_copied_to_another_regions_vault_and_kept_as_long_there(prod: Assembly) -> None:
    for region, stack in prod.regional("recovery").items():
        vault = prod.regional("recovery")[GUARDIANS[region]].only("AWS::Backup::BackupVault")["BackupVaultName"]
        for plan in stack.properties("AWS::Backup::BackupPlan"):
            (rule,) = plan["BackupPlan"]["BackupPlanRule"]
            (copy,) = rule["CopyActions"]
            assert copy["Lifecycle"] == rule["Lifecycle"]
            arn = ["", [f"arn:aws:backup:{GUARDIANS[region]}:", {"Ref": "AWS::AccountId"}, f":backup-vault:{vault}"]]
            assert copy["DestinationBackupVaultArn"] == {"Fn::Join": arn}


def test_a_region_alone_copies_nothing_and_recovers_nobody(dev: Assembly) -> None:
    for stack in dev.regional("recovery").values():
        for plan in stack.properties("AWS::Backup::BackupPlan"):
            assert "CopyActions" not in plan["BackupPlan"]["BackupPlanRule"][0]
        assert not stack.resources("AWS::StepFunctions::StateMachine")
        assert not stack.resources("AWS::Backup::RestoreTestingPlan")


def test_the_newest_backups_are_restored_on_trial_every_week(prod: Assembly) -> None:
    for stack in prod.regional("recovery").values():
        plan = stack.only("AWS::Backup::RestoreTestingPlan")
        assert plan["RestoreTestingPlanName"] == "anfl_prod_restores"
        assert plan["ScheduleExpression"] == "cron(0 6 ? * SUN *)"
        selected = plan["RecoveryPointSelection"]
        assert (selected["Algorithm"], selected["SelectionWindowDays"]) == ("LATEST_WITHIN_WINDOW", 7)
        (vault,) = stack.resources("AWS::Backup::BackupVault")
        assert selected["IncludeVaults"] == [{"Fn::GetAtt": [vault, "BackupVaultArn"]}]
        selections = {s["ProtectedResourceType"]: s for s in stack.properties("AWS::Backup::RestoreTestingSelection")}
        assert {kind: len(s["ProtectedResourceArns"]) for kind, s in selections.items()} == {"DynamoDB": 4, "S3": 2}
        (role,) = (k for k, r in stack.resources("AWS::IAM::Role").items() if "ManagedPolicyArns" in r["Properties"])
        for selection in selections.values():
            assert selection["RestoreTestingPlanName"] == plan["RestoreTestingPlanName"]
            assert selection["IamRoleArn"] == {"Fn::GetAtt": [role, "Arn"]}


STEPS = ["validate_backup", "restore_infrastructure", "verify_data", "update_dns"]


def definition(stack: Template) -> dict[str, Any]:
    """A region's workflow, with ``<account>`` where the template refers to it."""
    parts = stack.only("AWS::StepFunctions::StateMachine")["DefinitionString"]["Fn::Join"][1]
    return dict(json.loads("".join(part if isinstance(part, str) else "<account>" for part in parts)))


def tasks(state: dict[str, Any]) -> list[dict[str, Any]]:
    """The calls of a step."""
    found = [inner for branch in state["Branches"] for inner in branch["States"].values() if inner["Type"] == "Task"]
    assert found
    return found


def test_the_workflow_has_exactly_the_four_steps_within_the_time_to_recover(prod: Assembly) -> None:
    for region, stack in prod.regional("recovery").items():
        machine = stack.only("AWS::StepFunctions::StateMachine")
        assert machine["StateMachineName"] == f"anfl-prod-recover-{WARDS[region]}"
        found = definition(stack)
        assert found["TimeoutSeconds"] == 4 * 3600
        assert found["StartAt"] == STEPS[0]
        assert set(found["States"]) == set(STEPS)
        for step, following in zip(STEPS, [*STEPS[1:], None], strict=True):
            assert found["States"][step].get("Next") == following
        assert found["States"][STEPS[-1]]["End"] is True


def test_every_path_of_the_workflow_ends_and_no_state_only_pretends(prod: Assembly) -> None:
    for stack in prod.regional("recovery").values():
        for step in definition(stack)["States"].values():
            for branch in step["Branches"]:
                states = branch["States"]
                for state in states.values():
                    assert state["Type"] in {"Task", "Choice", "Wait", "Fail", "Succeed"}
                    ways = [state.get("Next"), state.get("Default"), *(c["Next"] for c in state.get("Choices", []))]
                    assert {way for way in ways if way} <= states.keys()
                    assert any(ways) or state.get("End") or state["Type"] in {"Fail", "Succeed"}
                    if state["Type"] == "Task":
                        assert re.match(r"arn:aws:states:::(aws-sdk:|lambda:invoke$)", state["Resource"])
                        assert state["Retry"]


def test_the_workflow_calls_its_own_region_alone_and_is_allowed_to(prod: Assembly) -> None:
    """What an SDK integration calls is where the workflow stands; what it may is one action a call."""
    renamed = {
        "applicationautoscaling": "application-autoscaling",
        "s3:ListObjectsV2": "s3:ListBucket",
        "lambda:Invoke": "lambda:InvokeFunction",
    }
    for region, stack in prod.regional("recovery").items():
        called = set()
        for step in definition(stack)["States"].values():
            for task in tasks(step):
                service, action = task["Resource"].split(":")[-2:]
                name = f"{renamed.get(service, service)}:{action[0].upper()}{action[1:]}"
                called.add(renamed.get(name, name))
        role = stack.only("AWS::StepFunctions::StateMachine")["RoleArn"]["Fn::GetAtt"][0]
        statements = [
            statement
            for policy in stack.properties("AWS::IAM::Policy")
            if {"Ref": role} in policy["Roles"]
            for statement in policy["PolicyDocument"]["Statement"]
        ]
        allowed = {
            action
            for statement in statements
            for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
        }
        assert {a for a in allowed if not a.startswith(("kms:", "logs:", "xray:"))} == called
        for statement in statements:
            where = json.dumps(statement["Resource"])
            assert not any(f":{other}:" in where for other in GUARDIANS if other != region)


def test_backups_of_the_lost_region_are_looked_for_in_the_vault_to_which_they_were_copied(prod: Assembly) -> None:
    for region, stack in prod.regional("recovery").items():
        ward = prod.regional("recovery")[WARDS[region]]
        copied = {
            arn
            for plan in ward.properties("AWS::Backup::BackupPlan")
            for rule in plan["BackupPlan"]["BackupPlanRule"]
            for arn in rule["CopyActions"][0]["DestinationBackupVaultArn"]["Fn::Join"][1][::2]
        }
        assert copied == {f"arn:aws:backup:{region}:", ":backup-vault:anfl-prod-recovery"}
        listed = [task["Parameters"] for task in tasks(definition(stack)["States"]["validate_backup"])]
        assert {parameters["BackupVaultName"] for parameters in listed} == {"anfl-prod-recovery"}
        assert {parameters["ByCreatedAfter.$"] for parameters in listed} == {"$.not_before"}
        names = [f"anfl-prod-{table.name}" for table in TABLES] + ["anfl-prod-class-text-384"]
        tables = {f"arn:aws:dynamodb:{WARDS[region]}:<account>:table/{name}" for name in names}
        buckets = {f"arn:aws:s3:::anfl-prod-{name}-<account>-{WARDS[region]}" for name in ("vectors", "artifacts")}
        assert {parameters["ByResourceArn"] for parameters in listed} == tables | buckets


def test_services_grow_to_what_both_regions_had_as_far_as_their_clusters_go(prod: Assembly) -> None:
    for stack in prod.regional("recovery").values():
        found = {
            task["Resource"].rsplit(":", 1)[1]: task["Parameters"]
            for task in tasks(definition(stack)["States"]["restore_infrastructure"])
        }
        vectors = found["registerScalableTarget"]
        assert vectors["ResourceId"] == "service/anfl-prod-vector-processing/anfl-prod-vector-store"
        assert vectors["MinCapacity"] == 6
        registry = found["updateService"]
        assert (registry["Service"], registry["DesiredCount"]) == ("anfl-prod-model-registry", 4)


def test_dns_follows_the_watch_over_the_lost_region_which_stands_in_the_guardian(prod: Assembly) -> None:
    for region, stack in prod.regional("recovery").items():
        found = {
            task["Resource"].rsplit(":", 1)[1]: task["Parameters"]
            for task in tasks(definition(stack)["States"]["update_dns"])
        }
        watch = prod[f"anfl-prod-global-watch-{WARDS[region]}"]
        assert prod.region_of(watch.name) == region
        (alarm,) = found["describeAlarms"]["AlarmNames"]
        assert watch.only("AWS::CloudWatch::Alarm", AlarmName=alarm)["MetricName"] == "RegionDrained"
        flag = watch.only("AWS::SSM::Parameter")
        mark = found["putParameter"]
        assert (mark["Name"], mark["Value"], mark["Overwrite"]) == (flag["Name"], "true", True)
        assert re.fullmatch(flag["AllowedPattern"], mark["Value"])


def test_the_accelerators_dial_is_turned_by_a_function_in_the_guardian(prod: Assembly) -> None:
    """Step Functions calls its own region; Global Accelerator's API answers in us-west-2 alone."""
    for region, stack in prod.regional("recovery").items():
        function = stack.only("AWS::Lambda::Function", FunctionName="anfl-prod-accelerator-dial")
        (turn,) = (
            task
            for task in tasks(definition(stack)["States"]["update_dns"])
            if task["Resource"] == "arn:aws:states:::lambda:invoke"
        )
        assert turn["Parameters"]["FunctionName"] == "anfl-prod-accelerator-dial"
        assert turn["Parameters"]["Payload"] == {"percentage": 0}
        variables = function["Environment"]["Variables"]
        assert variables["WATCHED_REGION"] == WARDS[region]
        assert "VpcConfig" not in function, "no endpoint of ours leads there"
        role = function["Role"]["Fn::GetAtt"][0]
        statements = {
            statement["Sid"]: statement
            for policy in stack.properties("AWS::IAM::Policy")
            if {"Ref": role} in policy["Roles"]
            for statement in policy["PolicyDocument"]["Statement"]
            if "Sid" in statement
        }
        assert statements["FindEndpointGroups"]["Resource"] == variables["LISTENER_ARN"]
        assert statements["SeeAccelerator"]["Resource"] == variables["ACCELERATOR_ARN"]
        assert statements["TurnDial"]["Resource"] == {
            "Fn::Join": ["", [variables["LISTENER_ARN"], "/endpoint-group/*"]]
        }
        assert statements["TurnDial"]["Action"] == "globalaccelerator:UpdateEndpointGroup"


def test_a_backup_that_fails_rings(assembly: Assembly) -> None:
    for region, stack in assembly.regional("recovery").items():
        rule = stack.only("AWS::Events::Rule")
        environment = stack.name.split("-")[1]
        (target,) = rule["Targets"]
        parts = target["Arn"]["Fn::Join"][1]
        assert parts[0].startswith(f"arn:aws:sns:{region}:") or region in str(parts)
        name = str(parts[-1]).removeprefix(":")
        topics = assembly.regional("telemetry")[region].properties("AWS::SNS::Topic")
        assert name in {topic["TopicName"] for topic in topics}
        assert name == f"anfl-{environment}-alerts-critical"
        pattern = rule["EventPattern"]
        kinds = {kind.split()[0] for kind in pattern["detail-type"]}
        assert kinds == {"Backup", "Copy", "Restore"}
        for alternative in pattern["$or"]:
            ((_, states),) = alternative["detail"].items()
            assert {"FAILED", "EXPIRED"} <= set(states)
            assert "COMPLETED" not in states
