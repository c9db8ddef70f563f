"""Metrics, topics, workspaces: each with the least that can be said, and with everything."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs.alert_topic import AlertTopic
from constructs.grafana_workspace import GrafanaWorkspace
from constructs.job_alert import JobAlert
from constructs.metrics import Metric, combined, result
from constructs.prometheus_workspace import PrometheusWorkspace
from constructs.role_alert import RoleAlert
from constructs.topic_alarm import topic_alarm

from tests.infrastructure.conftest import Template

Inspect = Callable[[Callable[[Stack], object]], Template]
KEY_ARN = "arn:aws:kms:eu-west-1:000000000000:key/mrk-1"


def test_a_metric_as_a_row_of_a_graph() -> None:
    assert Metric(namespace="N", name="M", statistic="Sum").row() == ["N", "M", {"stat": "Sum"}]
    full = Metric(namespace="N", name="M", statistic="p95", dimensions={"A": "1", "B": "2"})
    assert full.row("label", yAxis="right") == [
        "N",
        "M",
        "A",
        "1",
        "B",
        "2",
        {"stat": "p95", "label": "label", "yAxis": "right"},
    ]


def test_the_most_of_metrics_where_one_without_a_value_counts_as_nothing() -> None:
    metrics = [Metric(namespace="N", name=name, statistic="Maximum") for name in ("A", "B")]
    first, second, value = combined("late", "MAX", metrics)
    assert [(each.id, each.return_data) for each in (first, second)] == [("m0", False), ("m1", False)]
    assert (value.label, value.expression, value.return_data) == ("late", "MAX([FILL(m0,0),FILL(m1,0)])", True)


@pytest.mark.defaults(of=AlertTopic)
def test_a_topic_for_one_publisher(inspect_construct: Inspect) -> None:
    template = inspect_construct(
        lambda stack: AlertTopic(
            stack,
            "T",
            name="t",
            key=kms.Key.from_key_arn(stack, "Key", KEY_ARN),
            publishers=["cloudwatch.amazonaws.com"],
        )
    )
    assert template.only("AWS::SNS::Topic") == {"KmsMasterKeyId": KEY_ARN, "TopicName": "t"}
    statements = template.only("AWS::SNS::TopicPolicy")["PolicyDocument"]["Statement"]
    assert {json.dumps(s["Principal"]) for s in statements if s["Effect"] == "Allow"} == {
        '{"Service": "cloudwatch.amazonaws.com"}',
        '{"Service": "events.amazonaws.com"}',
    }


@pytest.mark.everything(of=AlertTopic)
def test_a_topic_takes_messages_of_its_publishers_for_this_account_and_of_rules(inspect_construct: Inspect) -> None:
    publishers = ["cloudwatch.amazonaws.com", "aps.amazonaws.com"]
    template = inspect_construct(
        lambda stack: AlertTopic(
            stack, "T", name="t", key=kms.Key.from_key_arn(stack, "Key", KEY_ARN), publishers=publishers
        )
    )
    statements = template.only("AWS::SNS::TopicPolicy")["PolicyDocument"]["Statement"]
    allows, events = (s for s in statements if s["Effect"] == "Allow")
    assert sorted(allows["Principal"]["Service"]) == sorted(publishers)
    assert allows["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    assert events["Principal"] == {"Service": "events.amazonaws.com"}
    assert "Condition" not in events
    (denies,) = (s for s in statements if s["Effect"] == "Deny")
    assert denies["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def _prometheus(stack: Stack) -> PrometheusWorkspace:
    made = PrometheusWorkspace(
        stack,
        "P",
        name="p",
        key_arn=KEY_ARN,
        rule_groups="groups: []",
        alert_manager="alertmanager_config: {}",
        log_group=logs.LogGroup(stack, "Logs"),
    )
    CfnOutput(stack, "Write", value=made.remote_write_url)
    return made


@pytest.mark.defaults(of=PrometheusWorkspace)
def test_a_prometheus_workspace_says_where_to_write_and_what_goes_wrong(inspect_construct: Inspect) -> None:
    template = inspect_construct(_prometheus)
    ((workspace, whole),) = template.resources("AWS::APS::Workspace").items()
    assert template.document["Outputs"]["Write"]["Value"] == {
        "Fn::Join": ["", [{"Fn::GetAtt": [workspace, "PrometheusEndpoint"]}, "api/v1/remote_write"]]
    }
    ((group, _),) = template.resources("AWS::Logs::LogGroup").items()
    assert whole["Properties"]["LoggingConfiguration"] == {"LogGroupArn": {"Fn::GetAtt": [group, "Arn"]}}


@pytest.mark.everything(of=PrometheusWorkspace)
def test_a_prometheus_workspace_and_its_rules(inspect_construct: Inspect) -> None:
    template = inspect_construct(_prometheus)
    workspace = template.only("AWS::APS::Workspace")
    assert workspace["Alias"] == "p"
    assert workspace["KmsKeyArn"] == KEY_ARN
    assert workspace["AlertManagerDefinition"] == "alertmanager_config: {}"
    assert template.only("AWS::APS::RuleGroupsNamespace")["Data"] == "groups: []"


@pytest.mark.everything(of=GrafanaWorkspace)
def test_a_grafana_workspace_of_several_regions_and_tags(inspect_construct: Inspect) -> None:
    regions, tags = ["eu-west-1", "us-east-1"], {"a": "b", "c": "d"}
    template = inspect_construct(lambda stack: GrafanaWorkspace(stack, "G", name="g", regions=regions, tags=tags))
    statements = template.only("AWS::IAM::Policy")["PolicyDocument"]["Statement"]
    (read,) = (s for s in statements if s["Sid"] == "ReadPrometheus")
    assert read["Condition"] == {"StringEquals": {"aws:ResourceTag/a": "b", "aws:ResourceTag/c": "d"}}
    for region, resource in zip(regions, read["Resource"], strict=True):
        assert f":aps:{region}:" in json.dumps(resource)


@pytest.mark.defaults(of=GrafanaWorkspace)
def test_a_grafana_workspace_reads_only_workspaces_with_its_tags(inspect_construct: Inspect) -> None:
    template = inspect_construct(
        lambda stack: GrafanaWorkspace(stack, "G", name="g", regions=["eu-west-1"], tags={"a": "b"})
    )
    assert template.only("AWS::Grafana::Workspace")["PluginAdminEnabled"] is False
    statements = template.only("AWS::IAM::Policy")["PolicyDocument"]["Statement"]
    (read,) = (s for s in statements if s["Sid"] == "ReadPrometheus")
    assert read["Condition"] == {"StringEquals": {"aws:ResourceTag/a": "b"}}
    assert "aps:QueryMetrics" in read["Action"]
    assert not [action for s in statements for action in s["Action"] if "Put" in action or "Delete" in action]


def _topic(stack: Stack) -> AlertTopic:
    key = kms.Key.from_key_arn(stack, "Key", KEY_ARN)
    return AlertTopic(stack, "T", name="t", key=key, publishers=["cloudwatch.amazonaws.com"])


@pytest.mark.defaults(of=RoleAlert)
@pytest.mark.everything(of=RoleAlert)
def test_a_role_that_is_taken_is_told_to_a_topic(inspect_construct: Inspect) -> None:
    template = inspect_construct(lambda stack: RoleAlert(stack, "R", role_name="emergency", topic=_topic(stack)))
    rule = template.only("AWS::Events::Rule")
    granted, refused = rule["EventPattern"]["detail"]["$or"]
    assert [parts["Fn::Join"][1][-1] for parts in granted["requestParameters"]["roleArn"]] == [":role/emergency"]
    assert [each["wildcard"]["Fn::Join"][1][-1] for each in refused["errorMessage"]] == [":role/emergency*"]
    (target,) = rule["Targets"]
    assert list(target["Arn"]) == ["Ref"]
    assert set(target["InputTransformer"]["InputPathsMap"]) == {"who", "from", "when", "region", "event"}


@pytest.mark.defaults(of=JobAlert)
@pytest.mark.everything(of=JobAlert)
def test_a_job_of_aws_backup_that_ends_badly_is_told_to_a_topic(inspect_construct: Inspect) -> None:
    template = inspect_construct(lambda stack: JobAlert(stack, "J", topic_arn="arn:topic", severity="critical"))
    rule = template.only("AWS::Events::Rule")
    assert rule["EventPattern"]["source"] == ["aws.backup"]
    (target,) = rule["Targets"]
    assert target["Arn"] == "arn:topic"
    assert target["InputTransformer"]["InputTemplate"].startswith('"critical: ')


def _alarm(stack: Stack, **changes: Any) -> object:
    settings: dict[str, Any] = {
        "name": "a",
        "description": "d",
        "topic": "arn:topic",
        "metrics": [result("r", "m"), Metric(namespace="N", name="M", statistic="Sum").query("m")],
        "comparison": "GreaterThanThreshold",
        "threshold": 0,
        "periods": 5,
    }
    return topic_alarm(stack, "A", **(settings | changes))


def test_an_alarm_tells_its_topic_when_it_begins_and_when_it_is_over(inspect_construct: Inspect) -> None:
    alarm = inspect_construct(_alarm).only("AWS::CloudWatch::Alarm")
    assert alarm["AlarmActions"] == alarm["OKActions"] == ["arn:topic"]
    assert (alarm["EvaluationPeriods"], alarm["DatapointsToAlarm"]) == (5, 5)
    assert alarm["TreatMissingData"] == "notBreaching"


def test_an_alarm_over_some_of_its_periods(inspect_construct: Inspect) -> None:
    template = inspect_construct(lambda stack: _alarm(stack, datapoints=3, missing="breaching"))
    alarm = template.only("AWS::CloudWatch::Alarm")
    assert (alarm["EvaluationPeriods"], alarm["DatapointsToAlarm"], alarm["TreatMissingData"]) == (5, 3, "breaching")
