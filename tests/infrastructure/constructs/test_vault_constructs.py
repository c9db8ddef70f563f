"""Nodes, groups and entry of Vault: least and everything."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from aws_cdk import Stack
from aws_cdk import aws_ec2 as ec2
from constructs.statements import Statement
from constructs.vault_entry import VaultEntry
from constructs.vault_groups import VaultGroups
from constructs.vault_nodes import USER_DATA, VaultFacts, VaultNodes, render

from stacks.deployment import VaultCluster
from stacks.settings import load
from tests.infrastructure.conftest import Template

Inspect = Callable[[Callable[[Stack], object]], Template]
FACTS = VaultFacts(
    cluster="c",
    host="vault.example.org",
    server_id="s",
    former_server_id="f",
    node_role="n",
    certificate_secret="arn:secret",
    packages="p",
    seal_key_id="mrk-1",
    bucket="b",
    log_group="l",
)


def cluster(**changes: Any) -> VaultCluster:
    found = load("prod").deployment.vault.cluster
    assert found is not None
    return found.model_copy(update=changes)


def nodes(stack: Stack, **changes: Any) -> VaultNodes:
    settings: dict[str, Any] = {
        "cluster": cluster(),
        "facts": FACTS,
        "image_id": "ami-1",
        "disk_key_arn": "arn:key",
        "subnet_ids": ["subnet-1"],
        "security_group_id": "sg-1",
        "target_group_arn": "arn:targets",
        "statements": [],
    }
    return VaultNodes(stack, "N", **(settings | changes))


@pytest.mark.defaults(of=VaultNodes)
def test_nodes_without_rights_of_their_own_can_be_visited_by_session_manager_alone(inspect_construct: Inspect) -> None:
    template = inspect_construct(nodes)
    (statement,) = template.only("AWS::IAM::Policy")["PolicyDocument"]["Statement"]
    assert statement["Sid"] == "SessionManager"


@pytest.mark.everything(of=VaultNodes)
def test_five_nodes_with_larger_disks_and_rights(inspect_construct: Inspect) -> None:
    right = Statement(sid="More", actions=["kms:Decrypt"], resources=["arn:key"])
    bigger = cluster(nodes=5, volume_gib=100)
    template = inspect_construct(lambda stack: nodes(stack, cluster=bigger, statements=[right]))
    (group,) = template.resources("AWS::AutoScaling::AutoScalingGroup").values()
    assert group["Properties"]["MaxSize"] == "5"
    assert group["UpdatePolicy"]["AutoScalingRollingUpdate"]["MinInstancesInService"] == 4
    data = template.only("AWS::EC2::LaunchTemplate")["LaunchTemplateData"]
    assert {device["Ebs"]["VolumeSize"] for device in data["BlockDeviceMappings"]} == {100}
    assert "length == 5" in json.dumps(data["UserData"])
    sids = {statement["Sid"] for statement in template.only("AWS::IAM::Policy")["PolicyDocument"]["Statement"]}
    assert sids == {"SessionManager", "More"}


def test_the_same_facts_make_the_same_script(inspect_construct: Inspect) -> None:
    def script() -> object:
        return inspect_construct(nodes).only("AWS::EC2::LaunchTemplate")["LaunchTemplateData"]["UserData"]

    assert script() == script()


def test_the_script_is_one_that_bash_can_read() -> None:
    """The templates of other scripts inside it too: they are written by the first one."""
    text = USER_DATA.read_text()
    inner = [part.partition("\nEND\n")[0] for part in text.split("<<'END'\n")[1:]]
    scripts = [text, *(part for part in inner if part.startswith("#!/bin/bash"))]
    assert len(scripts) == 5
    for script in scripts:
        done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False, timeout=10)
        assert done.returncode == 0, done.stderr


def test_a_name_that_is_not_given_and_a_value_that_nobody_asks_for_are_found() -> None:
    assert render("a @ONE@ b@c.d", {"ONE": "1"}) == "a 1 b@c.d"
    with pytest.raises(KeyError):
        render("@ONE@", {})
    with pytest.raises(ValueError, match="TWO"):
        render("@ONE@", {"ONE": "1", "TWO": "2"})


@pytest.mark.defaults(of=VaultGroups)
def test_groups_let_nobody_in_until_a_client_is_admitted(inspect_construct: Inspect) -> None:
    def fill(stack: Stack) -> None:
        VaultGroups(
            stack,
            "Vault",
            name="v",
            vpc=ec2.Vpc.from_vpc_attributes(
                stack,
                "Vpc",
                vpc_id="vpc-1",
                availability_zones=["eu-west-1a"],
                private_subnet_ids=["subnet-1"],
                private_subnet_route_table_ids=["rtb-1"],
            ),
        )

    template = inspect_construct(fill)
    (entry,) = (name for name in template.resources("AWS::EC2::SecurityGroup") if name.startswith("VaultEntry"))
    into = [rule["GroupId"]["Fn::GetAtt"][0] for rule in template.properties("AWS::EC2::SecurityGroupIngress")]
    assert entry not in into


@pytest.mark.everything(of=VaultGroups)
def test_an_admitted_client_reaches_the_entry_and_not_the_nodes(inspect_construct: Inspect) -> None:
    def fill(stack: Stack) -> None:
        vpc = ec2.Vpc.from_vpc_attributes(
            stack,
            "Vpc",
            vpc_id="vpc-1",
            availability_zones=["eu-west-1a"],
            private_subnet_ids=["subnet-1"],
            private_subnet_route_table_ids=["rtb-1"],
        )
        client = ec2.SecurityGroup(stack, "Client", vpc=vpc, allow_all_outbound=False)
        VaultGroups(stack, "Vault", name="v", vpc=vpc).admit(client)

    template = inspect_construct(fill)
    (client,) = (name for name in template.resources("AWS::EC2::SecurityGroup") if name.startswith("Client"))
    reached = {
        (rule["GroupId"]["Fn::GetAtt"][0], rule["FromPort"])
        for rule in template.properties("AWS::EC2::SecurityGroupIngress")
        if rule["SourceSecurityGroupId"]["Fn::GetAtt"][0] == client
    }
    ((group, port),) = reached
    assert group.startswith("VaultEntry")
    assert port == 8200


@pytest.mark.parametrize(
    "retain",
    [
        pytest.param(True, marks=pytest.mark.everything(of=VaultEntry)),
        pytest.param(False, marks=pytest.mark.defaults(of=VaultEntry)),
    ],
)
def test_the_entry_is_protected_where_data_is_kept(inspect_construct: Inspect, *, retain: bool) -> None:
    template = inspect_construct(
        lambda stack: VaultEntry(
            stack,
            "E",
            name="v",
            host="vault.example.org",
            public_zone_id="Z1",
            vpc_id="vpc-1",
            region="eu-west-1",
            subnet_ids=["subnet-1"],
            security_group_id="sg-1",
            retain=retain,
        )
    )
    balancer = template.only("AWS::ElasticLoadBalancingV2::LoadBalancer")
    attributes = {a["Key"]: a["Value"] for a in balancer["LoadBalancerAttributes"]}
    assert attributes["deletion_protection.enabled"] == str(retain).lower()
