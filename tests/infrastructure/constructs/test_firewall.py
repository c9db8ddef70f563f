"""The web ACL: what it blocks, counts and logs."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from aws_cdk import Stack
from aws_cdk import aws_kms as kms
from constructs.firewall import Scope, WebFirewall

from stacks.deployment import Firewall
from tests.infrastructure.conftest import Properties, Template

Inspect = Callable[[Callable[[Stack], object]], Template]
KEY_ARN = "arn:aws:kms:eu-west-1:123456789012:key/mrk-1"


def build(stack: Stack, *, counted: tuple[str, ...] = (), **changes: Any) -> WebFirewall:
    settings: dict[str, Any] = {
        "name": "f",
        "firewall": Firewall(requests_per_address=100, counted=counted),
        "network_cidr": "10.0.0.0/16",
        "key": kms.Key.from_key_arn(stack, "Key", KEY_ARN),
        "log_retention_days": 30,
        "retain": False,
    }
    return WebFirewall(stack, "F", **(settings | changes))


def rules(template: Template) -> dict[str, Properties]:
    return {rule["Name"]: rule for rule in template.only("AWS::WAFv2::WebACL")["Rules"]}


@pytest.mark.defaults(of=WebFirewall)
def test_by_default_every_managed_rule_acts_as_aws_means_it(inspect_construct: Inspect) -> None:
    template = inspect_construct(build)
    found = rules(template)
    assert [rule["Priority"] for rule in found.values()] == [0, 1, 2, 3]
    for name in (
        "AWSManagedRulesCommonRuleSet",
        "AWSManagedRulesKnownBadInputsRuleSet",
        "AWSManagedRulesAmazonIpReputationList",
    ):
        assert found[name]["OverrideAction"] == {"None": {}}
        assert found[name]["Statement"] == {"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": name}}
    (group,) = template.resources("AWS::Logs::LogGroup").values()
    assert group["DeletionPolicy"] == "Delete"


def test_a_rule_that_is_only_counted_and_logs_that_stay(inspect_construct: Inspect) -> None:
    template = inspect_construct(lambda stack: build(stack, counted=("SizeRestrictions_BODY",), retain=True))
    overridden = {
        name: rule["Statement"]["ManagedRuleGroupStatement"]["RuleActionOverrides"]
        for name, rule in rules(template).items()
        if "RuleActionOverrides" in rule["Statement"].get("ManagedRuleGroupStatement", {})
    }
    assert overridden == {
        "AWSManagedRulesCommonRuleSet": [{"Name": "SizeRestrictions_BODY", "ActionToUse": {"Count": {}}}]
    }
    (group,) = template.resources("AWS::Logs::LogGroup").values()
    assert group["DeletionPolicy"] == "Retain"


def test_one_address_may_ask_so_often_unless_it_lies_inside_the_network(inspect_construct: Inspect) -> None:
    template = inspect_construct(build)
    rate = rules(template)["requests-per-address"]["Statement"]["RateBasedStatement"]
    assert (rate["Limit"], rate["AggregateKeyType"], rate["EvaluationWindowSec"]) == (100, "IP", 300)
    (inside,) = template.resources("AWS::WAFv2::IPSet")
    exempt = rate["ScopeDownStatement"]["NotStatement"]["Statement"]["IPSetReferenceStatement"]["Arn"]
    assert exempt == {"Fn::GetAtt": [inside, "Arn"]}
    assert template.only("AWS::WAFv2::IPSet")["Addresses"] == ["10.0.0.0/16"]


def test_who_asks_too_often_reads_a_problem_document(inspect_construct: Inspect) -> None:
    template = inspect_construct(build)
    response = rules(template)["requests-per-address"]["Action"]["Block"]["CustomResponse"]
    assert response["ResponseCode"] == 429
    assert response["ResponseHeaders"] == [{"Name": "Retry-After", "Value": "300"}]
    bodies: dict[str, Any] = template.only("AWS::WAFv2::WebACL")["CustomResponseBodies"]
    body = bodies[response["CustomResponseBodyKey"]]
    assert body["ContentType"] == "APPLICATION_JSON"
    assert json.loads(body["Content"])["code"] == "throttled"


def test_what_was_blocked_or_counted_is_logged_under_the_key_and_without_tokens(inspect_construct: Inspect) -> None:
    template = inspect_construct(build)
    logging = template.only("AWS::WAFv2::LoggingConfiguration")
    assert [field["SingleHeader"]["Name"] for field in logging["RedactedFields"]] == ["authorization", "cookie"]
    assert logging["LoggingFilter"]["DefaultBehavior"] == "DROP"
    group = template.only("AWS::Logs::LogGroup")
    assert group["KmsKeyId"] == KEY_ARN
    assert group["RetentionInDays"] == 30
    name = json.dumps(group["LogGroupName"])
    assert "aws-waf-logs-f-" in name
    assert "AWS::StackId" in name, "a group that outlived its stack must not block the next deployment"


def test_requests_are_sampled_without_tokens(inspect_construct: Inspect) -> None:
    """Whoever may look at the firewall sees headers of sampled requests; what logs leave out says nothing of them."""
    acl = inspect_construct(build).only("AWS::WAFv2::WebACL")
    assert acl["DataProtectionConfig"]["DataProtections"] == [
        {"Action": "SUBSTITUTION", "Field": {"FieldType": "SINGLE_HEADER", "FieldKeys": ["authorization", "cookie"]}}
    ]


def test_before_cloudfront_no_address_is_inside(inspect_construct: Inspect) -> None:
    template = inspect_construct(lambda stack: build(stack, network_cidr=None, protects=Scope.CLOUDFRONT))
    assert template.only("AWS::WAFv2::WebACL")["Scope"] == "CLOUDFRONT"
    assert not template.resources("AWS::WAFv2::IPSet")
    assert "ScopeDownStatement" not in rules(template)["requests-per-address"]["Statement"]["RateBasedStatement"]


@pytest.mark.everything(of=WebFirewall)
def test_addresses_inside_are_told_in_the_scope_of_the_firewall(inspect_construct: Inspect) -> None:
    template = inspect_construct(
        lambda stack: build(stack, counted=("SizeRestrictions_BODY",), retain=True, protects=Scope.CLOUDFRONT)
    )
    scopes = {template.only(kind)["Scope"] for kind in ("AWS::WAFv2::WebACL", "AWS::WAFv2::IPSet")}
    assert scopes == {"CLOUDFRONT"}, "WAF takes no set of another scope"


@pytest.mark.parametrize("requests", [0, 9])
def test_a_limit_that_waf_does_not_take_is_refused(requests: int) -> None:
    with pytest.raises(ValueError, match="greater than or equal to 10"):
        Firewall(requests_per_address=requests, counted=())
