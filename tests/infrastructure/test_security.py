"""The firewall before what answers requests."""

import json
import re

from stacks.settings import ROOT, load
from tests.infrastructure.conftest import Assembly


def test_prods_api_and_balancer_stand_behind_the_firewall_of_their_region(prod: Assembly) -> None:
    for region, stack in prod.regional("service").items():
        associations = stack.properties("AWS::WAFv2::WebACLAssociation")
        assert len(associations) == 2
        for association in associations:
            acl = association["WebACLArn"]["Fn::ImportValue"]
            assert acl.startswith(f"anfl-prod-{region}-security:")
        targets = [json.dumps(association["ResourceArn"]) for association in associations]
        (balancer,) = stack.resources("AWS::ElasticLoadBalancingV2::LoadBalancer")
        assert json.dumps({"Ref": balancer}) in targets
        (stage,) = stack.resources("AWS::ApiGateway::Stage")
        assert any("/restapis/" in target and f'"/stages/", {{"Ref": "{stage}"}}' in target for target in targets)


def test_the_firewall_counts_large_bodies_and_does_not_block_them(prod: Assembly) -> None:
    for stack in prod.regional("security").values():
        acl = stack.only("AWS::WAFv2::WebACL")
        assert acl["Scope"] == "REGIONAL", "one for CloudFront can stand in us-east-1 only"
        overrides = [
            override
            for rule in acl["Rules"]
            for override in rule["Statement"].get("ManagedRuleGroupStatement", {}).get("RuleActionOverrides", [])
        ]
        assert overrides == [{"Name": "SizeRestrictions_BODY", "ActionToUse": {"Count": {}}}]


def test_every_firewall_blocks_floods_and_what_aws_knows_and_shows_no_token(prod: Assembly) -> None:
    firewalls = [acl for stack in prod for acl in stack.resources("AWS::WAFv2::WebACL").values()]
    assert len(firewalls) == len(prod.regional("security")) + 1, "one a region, and CloudFront's"
    settings = load("prod").deployment.firewall
    assert settings is not None
    for acl in (each["Properties"] for each in firewalls):
        flood, *managed = sorted(acl["Rules"], key=lambda rule: int(rule["Priority"]))
        assert "Block" in flood["Action"]
        assert flood["Statement"]["RateBasedStatement"]["Limit"] == settings.requests_per_address
        for rule in managed:
            assert rule["OverrideAction"] == {"None": {}}, "it would only count"
            assert rule["Statement"]["ManagedRuleGroupStatement"]["VendorName"] == "AWS"
        assert len(managed) == 3
        hidden = acl["DataProtectionConfig"]["DataProtections"]
        assert {key for each in hidden for key in each["Field"]["FieldKeys"]} == {"authorization", "cookie"}


def test_what_every_firewall_stopped_is_logged_without_tokens_and_cookies(prod: Assembly) -> None:
    for stack in prod:
        logged = [each["Properties"] for each in stack.resources("AWS::WAFv2::LoggingConfiguration").values()]
        assert [each["ResourceArn"]["Fn::GetAtt"][0] for each in logged] == [*stack.resources("AWS::WAFv2::WebACL")]
        for each in logged:
            hidden = [field["SingleHeader"]["Name"] for field in each["RedactedFields"]]
            assert hidden == ["authorization", "cookie"]


def test_dev_has_no_firewall(dev: Assembly) -> None:
    for stack in dev:
        assert not stack.resources("AWS::WAFv2::WebACL")


def test_the_stacks_keep_two_secrets_a_region_and_state_none(assembly: Assembly) -> None:
    """docs/security_architecture.md says of each secret how it changes; AWS offers a rotation for none of them."""
    for stack in assembly:
        kinds = {resource["Type"] for resource in stack.document.get("Resources", {}).values()}
        assert "AWS::SecretsManager::RotationSchedule" not in kinds
        secrets = stack.resources("AWS::SecretsManager::Secret")
        assert list(secrets) == (["Recovery", "NodeCertificate"] if stack.name.endswith("-vault") else [])
        text = json.dumps(stack.document)
        assert not re.search(r'"(AuthToken|MasterUserPassword|Passwords?|SecretString|GenerateSecretString)":', text)
        assert "{{resolve:" not in text
        for parameter in stack.resources("AWS::SSM::Parameter").values():
            assert parameter["Properties"]["Value"] in {"true", "false"}


def test_the_page_on_security_says_how_each_secret_changes() -> None:
    page = (ROOT / "docs" / "security_architecture.md").read_text()
    rows = page.partition("## Secrets")[2].partition("## People")[0]
    assert "rekey -target=recovery" in rows
    assert "Secrets Manager rotates" in rows
