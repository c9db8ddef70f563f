"""Alarms, topics, Prometheus, Grafana, dashboards."""

import json
import re
from fnmatch import fnmatchcase
from typing import Any

import pytest
import yaml

from anfl.resources import (
    ANSWERS_METRIC,
    BACKLOG_METRIC,
    BEHIND_METRIC,
    CALL_TIME_METRIC,
    CALLS_METRIC,
    DRAINED_METRIC,
    ENVIRONMENT_DIMENSION,
    KEYS_BEHIND_METRIC,
    METRICS_NAMESPACE,
    PENDING_METRIC,
    REGION_DIMENSION,
    SERVICE_DIMENSION,
    TABLES,
    Function,
    Service,
)
from tests.infrastructure.conftest import Assembly, Properties, Template
from tests.infrastructure.policies import statements
from tests.infrastructure.test_api import responses

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
        assert len(stack.resources("AWS::CloudWatch::Alarm")) == 7
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
        queues = prod[f"anfl-prod-{region}-storage"].properties("AWS::SQS::Queue")
        names |= {"prod"}  # of the environment's keys
        names |= {queue["QueueName"] for queue in queues if "RedriveAllowPolicy" in queue}
        watched = {
            dimension["Value"]
            for alarm in stack.properties("AWS::CloudWatch::Alarm")
            for metric in alarm["Metrics"]
            if "MetricStat" in metric
            for dimension in metric["MetricStat"]["Metric"]["Dimensions"]
            if isinstance(dimension["Value"], str)
        }
        assert watched == names


SEVERITIES = {
    "critical": {"service_down", "high_error_rate", "auth_unavailable"},
    "warning": {"high_latency", "resource_usage", "dead_letters", "wrapped_keys_behind"},
}


def topic(stack: Template, severity: str) -> str:
    """Logical id of the topic of a severity."""
    name = f"anfl-{stack.name.split('-')[1]}-alerts-{severity}"
    (found,) = (k for k, r in stack.resources("AWS::SNS::Topic").items() if r["Properties"]["TopicName"] == name)
    return found


@pytest.mark.parametrize("severity", SEVERITIES)
def test_alarms_ring_the_topic_of_their_severity(assembly: Assembly, severity: str) -> None:
    for region, stack in assembly.regional("monitoring").items():
        telemetry = assembly.regional("telemetry")[region]
        exported = [
            output["Export"]["Name"]
            for output in telemetry.document["Outputs"].values()
            if output["Value"] == {"Ref": topic(telemetry, severity)} and "Export" in output
        ]
        for name in SEVERITIES[severity]:
            alarm = stack.only("AWS::CloudWatch::Alarm", AlarmName=f"anfl-{stack.name.split('-')[1]}-{name}")
            assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Fn::ImportValue": name} for name in exported]
            assert alarm["AlarmDescription"].startswith(f"{severity}: ")


def test_topics_are_encrypted_and_only_the_accounts_notifiers_may_publish(assembly: Assembly) -> None:
    for stack in assembly.regional("telemetry").values():
        assert len(stack.resources("AWS::SNS::Topic")) == 2
        for found in stack.properties("AWS::SNS::Topic"):
            assert "DataKey" in json.dumps(found["KmsMasterKeyId"])
        policies = stack.properties("AWS::SNS::TopicPolicy")
        assert len(policies) == 2
        for policy in policies:
            stated = policy["PolicyDocument"]["Statement"]
            granted = {s["Sid"]: s for s in stated if s["Effect"] == "Allow"}
            notifiers, events = granted.pop("NotifiersOfThisAccount"), granted.pop("Events")
            assert not granted
            assert notifiers["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
            assert {"cloudwatch.amazonaws.com", "aps.amazonaws.com"} <= set(notifiers["Principal"]["Service"])
            assert notifiers["Action"] == ["sns:GetTopicAttributes", "sns:Publish"]
            assert "Condition" not in events, (
                "EventBridge sends no source: with a condition each of its messages is lost"
            )
            assert (events["Principal"], events["Action"]) == ({"Service": "events.amazonaws.com"}, "sns:Publish")
            denied = [s for s in stated if s["Effect"] == "Deny"]
            assert {"Bool": {"aws:SecureTransport": "false"}} in [s["Condition"] for s in denied]


def test_whoever_publishes_to_an_encrypted_topic_may_use_its_key(assembly: Assembly) -> None:
    """Else the messages are dropped, and nothing says so."""
    keys = [s for stack in assembly for s in stack.document["Resources"].values() if s["Type"].startswith("AWS::KMS::")]
    policies = [k["Properties"]["KeyPolicy"]["Statement"] for k in keys if "KeyPolicy" in k["Properties"]]
    assert policies
    publishers = {
        service
        for stack in assembly.regional("telemetry").values()
        for statement in statements(stack)
        if statement.allows and "sns:Publish" in statement.actions
        for service in statement.principals
    }
    assert "events.amazonaws.com" in publishers
    data_keys = [p for p in policies if any(s.get("Sid") == "Notifications" for s in p)]
    assert data_keys
    for policy in data_keys:
        (notifications,) = (s for s in policy if s.get("Sid") == "Notifications")
        (events,) = (s for s in policy if s.get("Sid") == "Events")
        assert publishers <= {*notifications["Principal"]["Service"], events["Principal"]["Service"]}


def test_an_unchecked_token_is_counted_from_the_access_log_and_rings_at_once(assembly: Assembly) -> None:
    for stack in assembly.regional("monitoring").values():
        counted = stack.only("AWS::Logs::MetricFilter")
        assert "ApiAccess" in json.dumps(counted["LogGroupName"])
        service = assembly[stack.name.replace("-monitoring", "-service")]
        for name in re.findall(r"\$\.(\w+) = ", counted["FilterPattern"]):
            assert (
                f'"{name}": "$context.error.responseType"'
                in service.only("AWS::ApiGateway::Stage")["AccessLogSetting"]["Format"]
            )
        kinds = set(re.findall(r'"([A-Z_]+)"', counted["FilterPattern"]))
        answers = {
            kind
            for kind, response in responses(service).items()
            if '"auth_unavailable"' in response["responseTemplates"]["application/json"]
        }
        assert kinds == answers
        (transformation,) = counted["MetricTransformations"]
        alarm = stack.only("AWS::CloudWatch::Alarm", AlarmName=f"anfl-{stack.name.split('-')[1]}-auth_unavailable")
        metric = alarm["Metrics"][1]["MetricStat"]["Metric"]
        assert (metric["Namespace"], metric["MetricName"]) == (
            transformation["MetricNamespace"],
            transformation["MetricName"],
        )


def test_prometheus_is_under_the_data_key_and_logs(assembly: Assembly) -> None:
    for stack in assembly.regional("telemetry").values():
        workspace = stack.only("AWS::APS::Workspace")
        assert "DataKey" in json.dumps(workspace["KmsKeyArn"])
        group, attribute = workspace["LoggingConfiguration"]["LogGroupArn"]["Fn::GetAtt"]
        assert attribute == "Arn", "which ends with :*, as the workspace wants it"
        assert group in stack.resources("AWS::Logs::LogGroup")


@pytest.mark.parametrize(
    ("name", "comparison", "duration", "severity"),
    [
        ("service_down", "< 1", "5m", "critical"),
        ("high_error_rate", "> 5", "15m", "critical"),
        ("high_latency", "> 1", "10m", "warning"),
        ("resource_usage", "> 80", "30m", "warning"),
    ],
)
def test_prometheus_has_the_same_alerts(
    assembly: Assembly, name: str, comparison: str, duration: str, severity: str
) -> None:
    for stack in assembly.regional("telemetry").values():
        namespace = stack.only("AWS::APS::RuleGroupsNamespace")
        (workspace,) = stack.resources("AWS::APS::Workspace")
        assert namespace["Workspace"] == {"Fn::GetAtt": [workspace, "Arn"]}
        rules = [rule for group in yaml.safe_load(namespace["Data"])["groups"] for rule in group["rules"]]
        found = [rule for rule in rules if rule["alert"] == name]
        assert found
        for rule in found:
            assert re.search(rf"{comparison}($| and )", rule["expr"])
            assert rule["for"] == duration
            assert rule["labels"]["severity"] == severity
            assert rule["annotations"]["runbook"].endswith(f"#{name}")
        assert "${" not in namespace["Data"]


def test_alertmanager_sends_each_severity_to_its_topic_in_the_region(assembly: Assembly) -> None:
    for region, stack in assembly.regional("telemetry").items():
        parts = stack.only("AWS::APS::Workspace")["AlertManagerDefinition"]["Fn::Join"][1]
        text = "".join(part if isinstance(part, str) else f"<{part['Ref']}>" for part in parts)
        definition = yaml.safe_load(yaml.safe_load(text)["alertmanager_config"])
        receivers: dict[str, dict[str, Any]] = {r["name"]: r["sns_configs"][0] for r in definition["receivers"]}
        assert set(receivers) == {"critical", "warning"}
        for severity, receiver in receivers.items():
            assert receiver["topic_arn"] == f"<{topic(stack, severity)}>"
            assert receiver["sigv4"] == {"region": region}
            assert len(receiver["subject"]) < 100
        assert definition["route"]["receiver"] == "warning"
        assert [(r["match"], r["receiver"]) for r in definition["route"]["routes"]] == [
            ({"severity": "critical"}, "critical")
        ]


def test_grafana_stands_where_it_exists_and_reads_every_region(prod: Assembly, dev: Assembly) -> None:
    kind = "AWS::Grafana::Workspace"
    stacks = prod.regional("telemetry")
    assert {region for region, stack in stacks.items() if stack.resources(kind)} == {"us-east-1", "eu-west-1"}
    assert not any(stack.resources(kind) for stack in dev.regional("telemetry").values())
    for region in ("us-east-1", "eu-west-1"):
        workspace = stacks[region].only(kind)
        assert workspace["AuthenticationProviders"] == ["SAML"]
        assert workspace["PermissionType"] == "CUSTOMER_MANAGED"
        role = workspace["RoleArn"]["Fn::GetAtt"][0]
        (trusted,) = stacks[region].resources("AWS::IAM::Role")[role]["Properties"]["AssumeRolePolicyDocument"][
            "Statement"
        ]
        assert trusted["Principal"] == {"Service": "grafana.amazonaws.com"}
        assert trusted["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
        (policy,) = (
            p["PolicyDocument"]["Statement"]
            for p in stacks[region].properties("AWS::IAM::Policy")
            if {"Ref": role} in p["Roles"]
        )
        (read,) = (s for s in policy if s["Sid"] == "ReadPrometheus")
        assert {f":aps:{r}:" in json.dumps(read["Resource"]) for r in stacks} == {True}
        tags = {"aws:ResourceTag/project": "anfl", "aws:ResourceTag/environment": "prod"}
        assert read["Condition"] == {"StringEquals": tags}


def _dashboard(stack: Template) -> dict[str, Any]:
    body = stack.only("AWS::CloudWatch::Dashboard")["DashboardBody"]
    parts = body["Fn::Join"][1] if isinstance(body, dict) else [body]
    return dict(json.loads("".join(part if isinstance(part, str) else "token" for part in parts)))


def test_each_region_has_a_dashboard_of_its_own_name(prod: Assembly) -> None:
    """Dashboards of an account share one namespace across regions."""
    stacks = prod.regional("monitoring")
    names = {region: stack.only("AWS::CloudWatch::Dashboard")["DashboardName"] for region, stack in stacks.items()}
    assert names == {region: f"anfl-prod-{region}" for region in stacks}
    for region, stack in stacks.items():
        alarms, *graphs = _dashboard(stack)["widgets"]
        assert len(alarms["properties"]["alarms"]) == len(stack.resources("AWS::CloudWatch::Alarm"))
        assert {graph["properties"]["region"] for graph in graphs} == {region}


def test_the_dashboard_shows_what_is_deployed_and_the_architectures_limits(prod: Assembly) -> None:
    stack = prod["anfl-prod-eu-west-1-monitoring"]
    graphs = [widget["properties"] for widget in _dashboard(stack)["widgets"][1:]]
    shown: dict[str, set[str]] = {}
    for graph in graphs:
        for _, name, *rest in graph["metrics"]:
            assert {"stat", "label"} <= rest[-1].keys()
            for dimension, value in zip(rest[:-1:2], rest[1:-1:2], strict=True):
                assert name
                shown.setdefault(dimension, set()).add(value)
    queues = prod["anfl-prod-eu-west-1-storage"].properties("AWS::SQS::Queue")
    assert shown["QueueName"] == {queue["QueueName"] for queue in queues}
    assert shown["FunctionName"] == {f"anfl-prod-{function}" for function in Function}
    assert shown["TableName"] == {*(f"anfl-prod-{table.name}" for table in TABLES), "anfl-prod-class-text-384"}
    assert shown["ServiceName"] == {f"anfl-prod-{service}" for service in Service}
    limits = {
        limit["label"]: limit["value"]
        for graph in graphs
        for limit in graph.get("annotations", {"horizontal": []})["horizontal"]
    }
    assert limits == {
        "high_latency": 1000,
        "service_down": 1,
        "resource_usage": 80,
        "a task more": 75,
        "a task less": 25,
    }


def test_whoever_takes_the_emergency_role_is_heard_of(prod: Assembly, dev: Assembly) -> None:
    assert not any(stack.resources("AWS::Events::Rule") for stack in dev.regional("telemetry").values())
    role = prod["anfl-prod-global-people"].only("AWS::IAM::Role", RoleName="anfl-prod-break-glass")
    assert role
    for stack in prod.regional("telemetry").values():
        rule = stack.only("AWS::Events::Rule")
        assert rule["State"] == "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS", "AssumeRole counts as reading"
        assert "AssumeRole" in rule["EventPattern"]["detail"]["eventName"]
        (target,) = rule["Targets"]
        assert target["Arn"] == {"Ref": topic(stack, "critical")}
        (policy,) = (
            p for p in stack.properties("AWS::SNS::TopicPolicy") if {"Ref": topic(stack, "critical")} in p["Topics"]
        )
        assert {"Service": "events.amazonaws.com"} in [s["Principal"] for s in policy["PolicyDocument"]["Statement"]]


REFUSED = "User: arn:aws:iam::123456789012:user/mallory is not authorized to perform: sts:AssumeRole on resource: "


@pytest.mark.parametrize("role", ["break-glass", "operator"])
@pytest.mark.parametrize("reason", ["", " because no identity-based policy allows the sts:AssumeRole action"])
def test_events_that_sts_records_match_the_rule(prod: Assembly, role: str, reason: str) -> None:
    """As CloudTrail writes them: where it was refused, without parameters. Another role is not taken for it."""
    pattern = prod["anfl-prod-us-west-1-telemetry"].only("AWS::Events::Rule")["EventPattern"]
    taken = f"arn:aws:iam::123456789012:role/anfl-prod-{role}"
    event = {
        "source": "aws.sts",
        "detail-type": "AWS API Call via CloudTrail",
        "detail": {"eventSource": "sts.amazonaws.com", "eventName": "AssumeRole", "readOnly": True},
    }
    assert event["source"] in pattern["source"]
    assert event["detail-type"] in pattern["detail-type"]
    granted, refused = pattern["detail"]["$or"]
    is_meant = role == "break-glass"
    assert (taken in map(_in_this_account, granted["requestParameters"]["roleArn"])) == is_meant
    (wildcard,) = (_in_this_account(each["wildcard"]) for each in refused["errorMessage"])
    assert fnmatchcase(f"{REFUSED}{taken}{reason}", wildcard) == is_meant


def _in_this_account(joined: Properties) -> str:
    return "".join("123456789012" if part == {"Ref": "AWS::AccountId"} else part for part in joined["Fn::Join"][1])


def test_metrics_of_our_own_that_alarms_and_dashboards_name_are_ones_that_code_publishes(assembly: Assembly) -> None:
    """With the very dimensions: CloudWatch takes another set of them for another metric."""
    published: set[tuple[str, frozenset[str]]] = {
        (BACKLOG_METRIC, frozenset({SERVICE_DIMENSION})),
        ("AuthUnavailable", frozenset()),
        *((name, frozenset({ENVIRONMENT_DIMENSION, REGION_DIMENSION})) for name in (ANSWERS_METRIC, DRAINED_METRIC)),
        *((name, frozenset({ENVIRONMENT_DIMENSION})) for name in (PENDING_METRIC, BEHIND_METRIC, KEYS_BEHIND_METRIC)),
        *((name, frozenset({"Function", "Outcome"})) for name in (CALLS_METRIC, CALL_TIME_METRIC)),
    }
    asked: set[tuple[str, frozenset[str]]] = set()
    for stack in assembly:
        for alarm in stack.resources("AWS::CloudWatch::Alarm").values():
            found = alarm["Properties"]
            metrics = [m["MetricStat"]["Metric"] for m in found.get("Metrics", []) if "MetricStat" in m]
            for metric in metrics or [found]:
                if metric["Namespace"] == METRICS_NAMESPACE:
                    asked.add((metric["MetricName"], frozenset(d["Name"] for d in metric.get("Dimensions", []))))
    for stack in assembly.regional("monitoring").values():
        for widget in _dashboard(stack)["widgets"][1:]:
            for namespace, name, *rest in widget["properties"]["metrics"]:
                if namespace == METRICS_NAMESPACE:
                    asked.add((name, frozenset(rest[:-1:2])))
    assert asked
    assert asked <= published
