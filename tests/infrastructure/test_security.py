"""The firewall before what answers requests."""

import json

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


def test_dev_has_no_firewall(dev: Assembly) -> None:
    for stack in dev:
        assert not stack.resources("AWS::WAFv2::WebACL")
