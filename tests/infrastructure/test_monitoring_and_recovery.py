"""Alarms of the four alerts, and the three backup plans."""

import json
import re

import pytest

from tests.infrastructure.conftest import Assembly

PERIOD = 60


@pytest.mark.parametrize(
    ("name", "threshold", "minutes", "comparison", "missing"),
    [
        ("service_down", 1, 5, "LessThanThreshold", "breaching"),
        ("high_error_rate", 5, 15, "GreaterThanThreshold", "notBreaching"),
        ("high_latency", 1, 10, "GreaterThanThreshold", "notBreaching"),
        ("resource_usage", 80, 30, "GreaterThanThreshold", "notBreaching"),
    ],
)
def test_alerts_have_the_architectures_figures(
    assembly: Assembly, name: str, threshold: float, minutes: int, comparison: str, missing: str
) -> None:
    for stack in assembly.regional("monitoring").values():
        alarm = stack.only("AWS::CloudWatch::Alarm", AlarmName=f"anfl-{stack.name.split('-')[1]}-{name}")
        assert alarm["Threshold"] == threshold
        periods = {metric["MetricStat"]["Period"] for metric in alarm["Metrics"] if "MetricStat" in metric}
        assert periods == {PERIOD}
        assert alarm["EvaluationPeriods"] * PERIOD == minutes * 60
        assert alarm["DatapointsToAlarm"] == alarm["EvaluationPeriods"]
        assert alarm["ComparisonOperator"] == comparison
        assert alarm["TreatMissingData"] == missing


def test_alarms_compute_one_value_from_metrics_that_they_declare(assembly: Assembly) -> None:
    for stack in assembly.regional("monitoring").values():
        assert len(stack.resources("AWS::CloudWatch::Alarm")) == 4
        for alarm in stack.properties("AWS::CloudWatch::Alarm"):
            (value,) = (metric for metric in alarm["Metrics"] if metric.get("ReturnData") is not False)
            declared = {metric["Id"] for metric in alarm["Metrics"]} - {value["Id"]}
            used = set(re.findall(r"\b[a-z]\w*", value["Expression"]))
            assert used == declared
            assert len(alarm["Metrics"]) <= 10


def test_alarms_watch_what_is_deployed(prod: Assembly) -> None:
    for region, stack in prod.regional("monitoring").items():
        service = prod[f"anfl-prod-{region}-service"]
        names = {c["ClusterName"] for c in service.properties("AWS::ECS::Cluster")}
        names |= {s["ServiceName"] for s in service.properties("AWS::ECS::Service")}
        names |= {service.only("AWS::ApiGateway::RestApi")["Name"], "live"}
        watched = {
            dimension["Value"]
            for alarm in stack.properties("AWS::CloudWatch::Alarm")
            for metric in alarm["Metrics"]
            if "MetricStat" in metric
            for dimension in metric["MetricStat"]["Metric"]["Dimensions"]
            if isinstance(dimension["Value"], str)
        }
        assert watched == names


def test_alarms_ring_an_encrypted_topic_that_only_the_accounts_notifiers_may_publish_to(assembly: Assembly) -> None:
    for stack in assembly.regional("monitoring").values():
        (topic,) = stack.resources("AWS::SNS::Topic")
        assert "DataKey" in json.dumps(stack.only("AWS::SNS::Topic")["KmsMasterKeyId"])
        for alarm in stack.properties("AWS::CloudWatch::Alarm"):
            assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": topic}]
        statements = stack.only("AWS::SNS::TopicPolicy")["PolicyDocument"]["Statement"]
        granted = [s for s in statements if s["Effect"] == "Allow"]
        assert [s["Condition"] for s in granted] == [{"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}]
        assert "cloudwatch.amazonaws.com" in granted[0]["Principal"]["Service"]
        denied = [s for s in statements if s["Effect"] == "Deny"]
        assert {"Bool": {"aws:SecureTransport": "false"}} in [s["Condition"] for s in denied]


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
