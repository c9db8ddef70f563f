"""How the world reaches a region, and how it is kept away from one that does not answer."""

import json

import pytest

from stacks.settings import ROOT, load
from stacks.units import Region
from tests.infrastructure.conftest import Assembly, Properties, Template

API = "api.lib.aeonova.com"


def checks(stack: Template) -> dict[str, Properties]:
    """Configurations of the region's health checks by what they are of."""
    return {
        check["HealthCheckTags"][0]["Value"].rpartition("-")[2]: check["HealthCheckConfig"]
        for check in stack.properties("AWS::Route53::HealthCheck")
    }


def record(stack: Template, name: str) -> Properties:
    return stack.only("AWS::Route53::RecordSet", Name=name)


def test_each_region_has_its_own_name_and_the_shared_one(prod: Assembly) -> None:
    for region, stack in prod.regional("edge").items():
        names = {name["DomainName"]: name for name in stack.properties("AWS::ApiGateway::DomainName")}
        assert set(names) == {API, f"{region}.{API}"}
        for name in names.values():
            assert name["SecurityPolicy"] == "SecurityPolicy_TLS13_1_3_2025_09"
            assert name["EndpointAccessMode"] == "STRICT"
            assert name["EndpointConfiguration"] == {"Types": ["REGIONAL"]}
            assert f"anfl-prod-{region}-security" in json.dumps(name["RegionalCertificateArn"])


def test_the_regions_certificate_has_all_names_that_the_region_answers_under(prod: Assembly) -> None:
    for region, stack in prod.regional("security").items():
        certificate = stack.only("AWS::CertificateManager::Certificate")
        names = {certificate["DomainName"], *certificate["SubjectAlternativeNames"]}
        assert names == {f"{region}.{API}", API, "ingest.lib.aeonova.com"}


def test_an_apis_policy_is_that_of_its_names(prod: Assembly) -> None:
    """The API's own policy is what is negotiated, behind a custom name too."""
    for region, stack in prod.regional("edge").items():
        api = prod[f"anfl-prod-{region}-service"].only("AWS::ApiGateway::RestApi")
        for name in stack.properties("AWS::ApiGateway::DomainName"):
            assert name["SecurityPolicy"] == api["SecurityPolicy"]
            assert name["EndpointAccessMode"] == api["EndpointAccessMode"]


def test_the_root_of_each_name_is_the_live_stage(prod: Assembly) -> None:
    for region, stack in prod.regional("edge").items():
        mappings = stack.properties("AWS::ApiGateway::BasePathMapping")
        assert {m["DomainName"]["Ref"] for m in mappings} == set(stack.resources("AWS::ApiGateway::DomainName"))
        for mapping in mappings:
            assert mapping["Stage"] == "live"
            assert "BasePath" not in mapping
            assert f"anfl-prod-{region}-service" in json.dumps(mapping["RestApiId"])


def test_the_shared_name_goes_by_latency_among_healthy_regions(prod: Assembly) -> None:
    for region, stack in prod.regional("edge").items():
        shared = record(stack, API)
        assert shared["Region"] == shared["SetIdentifier"] == region
        assert "Failover" not in shared
        whole = shared["HealthCheckId"]["Ref"]
        configuration = stack.resources("AWS::Route53::HealthCheck")[whole]["Properties"]["HealthCheckConfig"]
        assert configuration["Type"] == "CALCULATED"


def test_the_regions_own_name_is_answered_whatever_its_health(prod: Assembly) -> None:
    """The watch asks it: it must be reachable again before the region is healthy again."""
    for region, stack in prod.regional("edge").items():
        own = record(stack, f"{region}.{API}")
        assert not own.keys() & {"HealthCheckId", "Region", "SetIdentifier"}


def test_records_point_to_the_names_own_targets(prod: Assembly) -> None:
    for stack in prod.regional("edge").values():
        names = stack.resources("AWS::ApiGateway::DomainName")
        for found in stack.properties("AWS::Route53::RecordSet"):
            target = found["AliasTarget"]
            name, attribute = target["DNSName"]["Fn::GetAtt"]
            assert (names[name]["Properties"]["DomainName"], attribute) == (found["Name"], "RegionalDomainName")
            assert target["HostedZoneId"] == {"Fn::GetAtt": [name, "RegionalHostedZoneId"]}
            assert found["HostedZoneId"]["Fn::GetStackOutput"]["StackName"] == "anfl-prod-global-dns"


def test_a_region_is_healthy_while_all_three_checks_are(prod: Assembly) -> None:
    for stack in prod.regional("edge").values():
        found = checks(stack)
        assert set(found) == {"all", "reachable", "answers", "drained"}
        assert len(found["all"]["ChildHealthChecks"]) == found["all"]["HealthThreshold"] == 3


def test_no_check_asks_for_https_which_route_53_does_not_speak_in_tls_1_3(prod: Assembly) -> None:
    for stack in prod.regional("edge").values():
        types = {check["Type"] for check in checks(stack).values()}
        assert types == {"CALCULATED", "TCP", "CLOUDWATCH_METRIC"}


def test_the_regions_name_must_take_connections(prod: Assembly) -> None:
    for region, stack in prod.regional("edge").items():
        found = checks(stack)["reachable"]
        assert (found["FullyQualifiedDomainName"], found["Port"]) == (f"{region}.{API}", 443)
        assert (found["RequestInterval"], found["FailureThreshold"]) == (10, 3)


@pytest.mark.parametrize(("check", "unknown"), [("answers", "LastKnownStatus"), ("drained", "Healthy")])
def test_witnesses_are_alarms_in_another_region_that_exist(prod: Assembly, check: str, unknown: str) -> None:
    for region, stack in prod.regional("edge").items():
        found = checks(stack)[check]
        assert found["InsufficientDataHealthStatus"] == unknown
        watch = prod[f"anfl-prod-global-watch-{region}"]
        assert watch.name in prod.dependencies(stack.name)
        named = found["AlarmIdentifier"]
        assert named["Region"] == prod.region_of(watch.name) == load("prod").guardian(Region(region))
        assert named["Region"] != region
        assert watch.only("AWS::CloudWatch::Alarm", AlarmName=named["Name"])


def test_witnesses_are_alarms_that_route_53_can_follow(prod: Assembly) -> None:
    for region in prod.regional("edge"):
        alarms = {
            alarm["MetricName"]: alarm
            for alarm in prod[f"anfl-prod-global-watch-{region}"].properties("AWS::CloudWatch::Alarm")
        }
        assert set(alarms) == {"RegionAnswers", "RegionDrained"}
        for alarm in alarms.values():
            assert not alarm.keys() & {"Metrics", "ExtendedStatistic"}
            assert alarm["Period"] == 60
            assert alarm["TreatMissingData"] == "missing", "what is not known is for the health check to judge"
            assert {d["Name"]: d["Value"] for d in alarm["Dimensions"]} == {"Environment": "prod", "Region": region}
        answers, drained = alarms["RegionAnswers"], alarms["RegionDrained"]
        assert (answers["Statistic"], answers["ComparisonOperator"]) == ("Minimum", "LessThanThreshold")
        assert (answers["Threshold"], answers["EvaluationPeriods"]) == (1, 3)
        assert (drained["Statistic"], drained["ComparisonOperator"]) == ("Maximum", "GreaterThanOrEqualToThreshold")
        assert (drained["Threshold"], drained["EvaluationPeriods"]) == (1, 1)


def test_the_watch_looks_each_minute_at_one_region(prod: Assembly) -> None:
    for region in prod.regional("edge"):
        stack = prod[f"anfl-prod-global-watch-{region}"]
        rule = stack.only("AWS::Events::Rule")
        (function,) = stack.resources("AWS::Lambda::Function")
        assert rule["ScheduleExpression"] == "rate(1 minute)"
        assert rule["Targets"][0]["Arn"] == {"Fn::GetAtt": [function, "Arn"]}
        properties = stack.only("AWS::Lambda::Function")
        variables = properties["Environment"]["Variables"]
        assert (variables["WATCHED_REGION"], variables["WATCHED_HOST"]) == (region, f"{region}.{API}")
        assert properties["Timeout"] < 60, "it must have ended before the next look"
        assert "VpcConfig" not in properties, "it looks from outside, as users do"
        permission = stack.only("AWS::Lambda::Permission")
        assert permission["Principal"] == "events.amazonaws.com"
        assert "EveryMinute" in json.dumps(permission["SourceArn"])


def test_the_watch_may_read_one_parameter_and_publish(prod: Assembly) -> None:
    for region in prod.regional("edge"):
        stack = prod[f"anfl-prod-global-watch-{region}"]
        flag = stack.only("AWS::SSM::Parameter")
        assert (flag["Name"], flag["Value"]) == (f"/anfl/prod/drained/{region}", "false")
        statements = stack.only("AWS::IAM::Policy")["PolicyDocument"]["Statement"]
        (read,) = (s for s in statements if s["Action"] == "ssm:GetParameter")
        assert json.dumps(read["Resource"]).count(f":parameter{flag['Name']}") == 1
        actions = {
            action for s in statements for action in ([s["Action"]] if isinstance(s["Action"], str) else s["Action"])
        }
        assert actions == {
            "cloudwatch:PutMetricData",
            "logs:CreateLogStream",
            "logs:PutLogEvents",
            "ssm:GetParameter",
            "xray:PutTelemetryRecords",
            "xray:PutTraceSegments",
        }


def test_a_region_puts_its_balancer_behind_the_accelerator(prod: Assembly) -> None:
    for region, stack in prod.regional("edge").items():
        group = stack.only("AWS::GlobalAccelerator::EndpointGroup")
        assert group["EndpointGroupRegion"] == region
        assert group["ListenerArn"]["Fn::GetStackOutput"]["StackName"] == "anfl-prod-global-edge"
        (endpoint,) = group["EndpointConfigurations"]
        assert endpoint["ClientIPPreservationEnabled"] is True
        assert f"anfl-prod-{region}-service:ExportsOutputRefBalancer" in json.dumps(endpoint["EndpointId"])
        assert "TrafficDialPercentage" not in group, "recovery turns it, and no deployment turns it back"


def test_only_the_balancer_takes_calls_from_anywhere_and_by_https_alone(prod: Assembly) -> None:
    """The accelerator keeps clients' addresses: the balancer's group sees those, and none of the accelerator's."""
    for region, stack in prod.regional("edge").items():
        (rule,) = stack.properties("AWS::EC2::SecurityGroupIngress")
        assert (rule["CidrIp"], rule["FromPort"], rule["ToPort"]) == ("0.0.0.0/0", 443, 443)
        assert rule["IpProtocol"] == "tcp", "of all protocols at once it would be all ports"
        assert not stack.resources("AWS::EC2::SecurityGroup")
        assert "GetAttBalancerGroup" in json.dumps(rule["GroupId"])
        balancer = prod[f"anfl-prod-{region}-service"].only("AWS::ElasticLoadBalancingV2::LoadBalancer")
        assert balancer["Scheme"] == "internal"


def test_regions_are_deployed_one_after_another() -> None:
    """Global Accelerator refuses changes at the same time, and no region waits for another by itself."""
    assert "--concurrency" not in (ROOT / "Makefile").read_text()


def test_the_regions_address_is_an_output(prod: Assembly) -> None:
    for region, stack in prod.regional("edge").items():
        assert stack.document["Outputs"]["ApiUrl"]["Value"] == f"https://{region}.{API}"


@pytest.mark.parametrize(("metric", "severity"), [("RegionAnswers", "critical"), ("RegionDrained", "warning")])
def test_whoever_is_on_call_hears_from_the_guardian_of_a_region_that_nobody_is_sent_to(
    prod: Assembly, metric: str, severity: str
) -> None:
    """Also of a watch that sees nothing any more."""
    for region in prod.regional("edge"):
        watch = prod[f"anfl-prod-global-watch-{region}"]
        guardian = prod.region_of(watch.name)
        topics = {t["TopicName"] for t in prod[f"anfl-prod-{guardian}-telemetry"].properties("AWS::SNS::Topic")}
        alarm = watch.only("AWS::CloudWatch::Alarm", MetricName=metric)
        assert alarm["AlarmActions"] == alarm["OKActions"] == alarm["InsufficientDataActions"]
        (action,) = alarm["AlarmActions"]
        prefix, account, name = action["Fn::Join"][1]
        assert (prefix, account) == (f"arn:aws:sns:{guardian}:", {"Ref": "AWS::AccountId"})
        assert name.removeprefix(":") in topics
        assert name.endswith(f"-{severity}")
        assert alarm["AlarmDescription"].startswith(f"{severity}: ")
