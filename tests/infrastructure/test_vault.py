"""A region's Vault: nodes, the way to them, what they are told, who may do what, and how it is set up."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from anfl.auth.policies import POLICIES_OF, load_policies
from anfl.auth.vault_bootstrap import AUDIT_DEVICES
from anfl.resources import HANDLER
from tests.infrastructure.conftest import Assembly, Properties, Template
from tests.infrastructure.test_functions import actions, allowed


@pytest.fixture(scope="module")
def vault(prod: Assembly) -> Template:
    return prod["anfl-prod-us-west-1-vault"]


def launched(stack: Template) -> dict[str, Any]:
    found: dict[str, Any] = stack.only("AWS::EC2::LaunchTemplate")["LaunchTemplateData"]
    return found


def user_data(stack: Template) -> str:
    """As the node reads it, with references as their JSON."""
    parts = launched(stack)["UserData"]["Fn::Base64"]["Fn::Join"][1]
    return "".join(part if isinstance(part, str) else json.dumps(part) for part in parts)


def configurations(prod: Assembly) -> Iterator[tuple[str, Properties]]:
    for layer in ("vault", "key-agent", "service"):
        for stack in prod.regional(layer).values():
            yield stack.name, stack.only("AWS::CloudFormation::CustomResource")


def test_dev_has_no_nodes_of_its_own(dev: Assembly) -> None:
    assert not dev.regional("vault")
    for stack in dev:
        assert not stack.resources("AWS::CloudFormation::CustomResource")


def test_three_nodes_over_two_zones_in_every_region(prod: Assembly) -> None:
    for stack in prod.regional("vault").values():
        group = stack.only("AWS::AutoScaling::AutoScalingGroup")
        assert (group["MinSize"], group["MaxSize"]) == ("3", "3")
        assert len(group["VPCZoneIdentifier"]) == 2
        assert all("Private" in json.dumps(subnet) for subnet in group["VPCZoneIdentifier"])
        assert group["HealthCheckType"] == "EC2", "a sealed Vault must not lose its disk"


def test_nodes_are_replaced_one_at_a_time_and_each_waits_until_the_cluster_is_well(vault: Template) -> None:
    (group,) = vault.resources("AWS::AutoScaling::AutoScalingGroup").values()
    update = group["UpdatePolicy"]["AutoScalingRollingUpdate"]
    assert (update["MaxBatchSize"], update["MinInstancesInService"]) == (1, 2)
    assert update["WaitOnResourceSignals"] is True
    assert update["MinSuccessfulInstancesPercent"] == 100
    assert group["CreationPolicy"]["ResourceSignal"]["Count"] == 3
    script = user_data(vault)
    assert script.rstrip().endswith("/usr/local/sbin/vault-ready\nsignal SUCCESS")
    assert ".healthy and (.servers | length == 3" in script
    assert "trap 'signal FAILURE' ERR" in script
    assert "--stack-name anfl-prod-us-west-1-vault --logical-resource-id VaultNodes" in script
    assert "VaultNodes" in vault.resources("AWS::AutoScaling::AutoScalingGroup")


def test_the_image_changes_when_an_operator_says_so(vault: Template) -> None:
    parameter = vault.document["Parameters"][launched(vault)["ImageId"]["Ref"]]
    assert parameter == {"Type": "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>", "Default": "/anfl/prod/vault-image"}


def test_nodes_demand_imdsv2_encrypt_their_disks_and_know_no_ssh(vault: Template) -> None:
    data = launched(vault)
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    assert "KeyName" not in data
    devices = {device["DeviceName"]: device["Ebs"] for device in data["BlockDeviceMappings"]}
    assert devices.keys() == {"/dev/xvda", "/dev/sdb"}
    for disk in devices.values():
        assert disk["Encrypted"] is True
        assert "SealKey" in json.dumps(disk["KmsKeyId"])
    assert not re.search(r"\bssh\b", user_data(vault))


def test_what_a_node_is_told_is_complete_small_and_holds_no_secret(vault: Template) -> None:
    script = user_data(vault)
    assert not re.search(r"@[A-Z_]+@", script)
    assert len(script.encode()) < 16_384
    assert not re.search(r"hvs\.|AKIA|BEGIN [A-Z ]*PRIVATE|password", script)
    assert "imageTag=1.20.4" in script
    assert "localpkg_gpgcheck=1" in script
    assert "798AEC654E5C15428C8E42EEAA16FCBCA621E701" in script


def test_nodes_find_one_another_by_the_tag_they_carry(vault: Template) -> None:
    tags = {
        specification["ResourceType"]: {tag["Key"]: tag["Value"] for tag in specification["Tags"]}
        for specification in launched(vault)["TagSpecifications"]
    }
    assert tags["instance"]["anfl-vault"] == "anfl-prod"
    script = user_data(vault)
    assert "provider=aws region=us-west-1 tag_key=anfl-vault tag_value=anfl-prod addr_type=private_v4" in script
    join = script[script.index("retry_join {") : script.index('seal "awskms"')]
    assert 'leader_tls_servername = "vault.us-west-1.lib.aeonova.com"' in join
    assert "leader_ca_cert_file" in join, "without it Vault ignores the server's name"


def test_the_seal_is_the_multi_region_key_by_its_id_which_is_equal_everywhere(vault: Template) -> None:
    seal = user_data(vault)
    seal = seal[seal.index('seal "awskms"') :]
    assert '"Fn::GetStackOutput": {"StackName": "anfl-prod-global-keys"' in seal
    assert "OutputRefSealKey" in seal


def test_who_fails_to_log_in_as_a_client_locks_nobody_out(vault: Template) -> None:
    """Vault would, by the role id alone and wherever the failures come from; the function `auth` counts by address."""
    (lockout,) = re.findall(r'^user_lockout "approle" \{\n(.*?)^\}', user_data(vault), flags=re.DOTALL | re.MULTILINE)
    assert lockout.split() == ["disable_lockout", "=", '"true"']


def test_clients_speak_tls_1_3_with_the_load_balancer_and_its_health_checks_can_reach_the_nodes(
    prod: Assembly,
) -> None:
    for region, stack in prod.regional("vault").items():
        listener = stack.only("AWS::ElasticLoadBalancingV2::Listener")
        assert (listener["Port"], listener["Protocol"]) == (8200, "TLS")
        assert listener["SslPolicy"] == "ELBSecurityPolicy-TLS13-1-3-2021-06"
        group = stack.only("AWS::ElasticLoadBalancingV2::TargetGroup")
        assert group["Protocol"] == "TLS"
        assert group["HealthCheckPath"] == "/v1/sys/health?standbyok=true"
        # Health checks speak no TLS 1.3: a node that insisted on it would never be healthy.
        assert group["HealthCheckProtocol"] == "HTTPS"
        assert 'tls_min_version = "tls12"' in user_data(stack)
        balancer = stack.only("AWS::ElasticLoadBalancingV2::LoadBalancer")
        assert (balancer["Scheme"], balancer["Type"]) == ("internal", "network")
        assert "VaultEntry" in json.dumps(balancer["SecurityGroups"])
        name = f"vault.{region}.lib.aeonova.com"
        certificate = stack.only("AWS::CertificateManager::Certificate")
        assert (certificate["DomainName"], certificate["CertificateExport"]) == (name, "ENABLED")


def test_the_name_exists_inside_the_network_alone_and_leads_to_the_load_balancer(prod: Assembly) -> None:
    for region, stack in prod.regional("vault").items():
        name = f"vault.{region}.lib.aeonova.com"
        zone = stack.only("AWS::Route53::HostedZone", Name=name)
        (network,) = zone["VPCs"]
        assert network["VPCRegion"] == region
        record = stack.only("AWS::Route53::RecordSet", Name=name)
        (balancer,) = stack.resources("AWS::ElasticLoadBalancingV2::LoadBalancer")
        assert record["AliasTarget"]["DNSName"] == {"Fn::GetAtt": [balancer, "DNSName"]}
        for function in prod[f"anfl-prod-{region}-service"].properties("AWS::Lambda::Function"):
            if "VAULT_ADDR" in function["Environment"]["Variables"]:
                assert function["Environment"]["Variables"]["VAULT_ADDR"] == f"https://{name}:8200"


def test_nodes_may_put_snapshots_away_and_never_read_them(vault: Template) -> None:
    (role,) = (name for name in vault.resources("AWS::IAM::Role") if name.startswith("NodesRole"))
    found = {statement["Sid"]: statement for statement in allowed(vault, role)}
    assert found.keys() == {
        "SessionManager",
        "Seal",
        "Fellows",
        "Certificate",
        "Package",
        "Started",
        "Snapshots",
        "SnapshotsKey",
        "Audit",
    }
    assert found["Snapshots"]["Action"] == "s3:PutObject"
    assert "/snapshots/*" in json.dumps(found["Snapshots"]["Resource"])
    assert "SealKey" in json.dumps(found["Seal"]["Resource"])


def test_nodes_need_no_way_to_the_internet(vault: Template) -> None:
    """What they call are endpoints of AWS; the package is in the account's registry, the certificate in a secret."""
    script = user_data(vault)
    assert set(re.findall(r"https://[^\s/\"]+", script)) == {
        "https://127.0.0.1:8200",
        "https://$ADDRESS:8201",
        "https://vault.us-west-1.lib.aeonova.com:8200",
    }
    assert re.findall(r"\baws ([a-z0-9]+ [a-z-]+)", script) == [
        "cloudformation signal-resource",
        "ecr batch-get-image",
        "ecr get-download-url-for-layer",
        "secretsmanager get-secret-value",
        "s3 cp",
        "ec2 describe-instances",
    ]


def test_the_certificate_is_brought_to_the_nodes_alone(vault: Template) -> None:
    (name,) = (name for name in vault.resources("AWS::SecretsManager::Secret") if name.startswith("NodeCertificate"))
    secret = vault.resources("AWS::SecretsManager::Secret")[name]["Properties"]
    assert "SealKey" in json.dumps(secret["KmsKeyId"])
    assert not {"SecretString", "GenerateSecretString"} & secret.keys()
    function, nodes = refused_to_all_but(vault, name)
    assert function["Fn::GetAtt"][0].startswith("CertificateFunctionRole")
    assert nodes["Fn::GetAtt"][0].startswith("NodesRole")


def test_whoever_brings_the_certificate_may_do_nothing_else(vault: Template) -> None:
    function = vault.only("AWS::Lambda::Function", FunctionName="anfl-prod-vault-certificate")
    assert "VpcConfig" not in function, "ACM has no endpoint in a network"
    (role,) = (name for name in vault.resources("AWS::IAM::Role") if name.startswith("CertificateFunctionRole"))
    found = {statement.get("Sid"): statement for statement in allowed(vault, role)}
    assert found["Export"]["Action"] == "acm:ExportCertificate"
    assert "EntryCertificate" in json.dumps(found["Export"]["Resource"])
    assert actions(found["Bring"]) == ["secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"]
    assert "NodeCertificate" in json.dumps(found["Bring"]["Resource"])
    assert found["SecretsKey"]["Condition"] == {
        "StringEquals": {"kms:ViaService": "secretsmanager.us-west-1.amazonaws.com"}
    }


def test_nodes_start_when_the_certificate_is_there(vault: Template) -> None:
    (nodes,) = vault.resources("AWS::AutoScaling::AutoScalingGroup").values()
    (brought,) = vault.resources("Custom::VaultCertificate")
    assert brought in nodes["DependsOn"]


def test_snapshots_are_taken_twice_an_hour_and_kept_for_a_month(vault: Template) -> None:
    script = user_data(vault)
    assert "timer vault-snapshot 1800s" in script
    bucket = vault.only("AWS::S3::Bucket")
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert rule["ExpirationInDays"] == 30
    assert "SealKey" in json.dumps(bucket["BucketEncryption"])
    # Nodes may put: what one that was taken over puts in a snapshot's place leaves the snapshot an earlier version.
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}


def test_the_audit_log_leaves_the_node(prod: Assembly) -> None:
    """The file of Vault's first device; the second one writes to the node's journal while that file's disk is full."""
    for stack in prod.regional("vault").values():
        (audit,) = (name for name in stack.resources("AWS::Logs::LogGroup") if name.startswith("AuditLogs"))
        script = user_data(stack)
        file = AUDIT_DEVICES["file"]["file_path"]
        collected = f'{{"file_path": "{file}", "log_group_name": "{{"Ref": "{audit}"}}"'
        agent, told = "amazon-cloudwatch-agent-ctl -a fetch-config", "amazon-cloudwatch-agent/etc/vault.json"
        assert script.index(f"> /opt/aws/{told}") < script.index(collected) < script.index(agent)
        assert f"file:/opt/aws/{told}" in script[script.index(agent) :]
        (role,) = (name for name in stack.resources("AWS::IAM::Role") if name.startswith("NodesRole"))
        (write,) = (s for s in allowed(stack, role) if {"Fn::GetAtt": [audit, "Arn"]} == s["Resource"])
        assert actions(write) == ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
        for group in stack.properties("AWS::Logs::LogGroup"):
            assert "KmsKeyId" in group
            assert group["RetentionInDays"] == 365


def test_only_the_bootstrap_and_the_emergency_read_the_recovery_record(prod: Assembly) -> None:
    for stack in prod.regional("vault").values():
        resource = stack.resources("AWS::SecretsManager::Secret")["Recovery"]
        secret = resource["Properties"]
        assert "SealKey" in json.dumps(secret["KmsKeyId"])
        assert "SecretString" not in secret
        assert "GenerateSecretString" not in secret
        assert resource["DeletionPolicy"] == "Retain"
        bootstrap, emergency = refused_to_all_but(stack, "Recovery")
        assert bootstrap["Fn::GetAtt"][0].startswith("BootstrapRole")
        assert "role/anfl-prod-break-glass" in json.dumps(emergency)


def refused_to_all_but(stack: Template, secret: str) -> list[Properties]:
    """Whom the policy of a secret does not keep from its value, whatever IAM allows them or anybody."""
    policy = stack.only("AWS::SecretsManager::ResourcePolicy", SecretId={"Ref": secret})
    assert policy["BlockPublicPolicy"] is True
    (statement,) = policy["ResourcePolicy"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Resource"]) == ("Deny", {"AWS": "*"}, "*")
    assert actions(statement) == [
        "secretsmanager:GetSecretValue",
        "secretsmanager:PutSecretValue",
        "secretsmanager:ReplicateSecretToRegions",  # to where no policy keeps it
        "secretsmanager:RotateSecret",
        "secretsmanager:UpdateSecretVersionStage",
    ]
    assert statement["Condition"].keys() == {"ArnNotEquals"}, "a second condition would refuse it to fewer"
    roles: list[Properties] = statement["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]
    return roles


def test_the_bootstrap(vault: Template) -> None:
    function = vault.only("AWS::Lambda::Function", FunctionName="anfl-prod-vault-bootstrap")
    assert (function["Handler"], function["Runtime"], function["Architectures"]) == (HANDLER, "python3.13", ["x86_64"])
    assert (function["MemorySize"], function["Timeout"]) == (512, 900)
    assert "VaultBootstrap" in json.dumps(function["VpcConfig"]["SecurityGroupIds"])
    assert function["Environment"]["Variables"].keys() == {
        "ANFL_ENVIRONMENT",
        "AUTH_TABLE",
        "TOKEN_AUDIENCE",
        "TOKEN_ISSUER",
        "VAULT_CLUSTER",
        "VAULT_NODES",
        "VAULT_RECOVERY_SECRET",
        "VAULT_SERVER_NAME",
        "VAULT_WIPE_DOCUMENT",
    }
    for once in vault.properties("AWS::Lambda::EventInvokeConfig"):
        assert once["MaximumRetryAttempts"] == 0


def test_the_bootstrap_commands_the_nodes_of_its_cluster_alone_and_by_one_document(vault: Template) -> None:
    (role,) = (name for name in vault.resources("AWS::IAM::Role") if name.startswith("BootstrapRole"))
    sent = [s for s in allowed(vault, role) if "ssm:SendCommand" in actions(s)]
    by_document, to_nodes = sent
    assert '{"Ref": "Wipe"}' in json.dumps(by_document["Resource"])
    assert to_nodes["Condition"] == {"StringEquals": {"ssm:resourceTag/anfl-vault": "anfl-prod"}}
    content = vault.only("AWS::SSM::Document")["Content"]
    assert content["parameters"]["Step"]["allowedValues"] == ["empty", "start"]


def test_every_deployment_brings_policies_and_roles_along(prod: Assembly) -> None:
    bound: set[str] = set()
    for name, configuration in configurations(prod):
        bound |= configuration["IamRoles"].keys()
        assert configuration["ServiceTimeout"] == 900
        assert configuration.get("Policies", {}) == (load_policies() if name.endswith("-vault") else {})
    assert bound == POLICIES_OF.keys(), "whoever has a policy must be able to log in"


def test_the_first_configuration_waits_for_the_nodes(vault: Template) -> None:
    (configuration,) = vault.resources("AWS::CloudFormation::CustomResource").values()
    needed = set(configuration["DependsOn"])
    assert "VaultNodes" in needed
    assert any(name.startswith("EntryListener") for name in needed)
    (nodes,) = vault.resources("AWS::AutoScaling::AutoScalingGroup").values()
    assert any(name.startswith("NodesRoleDefaultPolicy") for name in nodes["DependsOn"]), "a boot without rights fails"


def test_what_vault_keeps_outlives_its_stack(vault: Template) -> None:
    kept = ("AWS::S3::Bucket", "AWS::SecretsManager::Secret", "AWS::Logs::LogGroup")
    for kind in kept:
        for name, resource in vault.resources(kind).items():
            if name == "NodeCertificate":  # ACM has it, too
                continue
            assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"
