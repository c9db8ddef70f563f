"""The nodes of a region's Vault: an auto scaling group whose members find one another by a tag."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aws_cdk import (
    CfnAutoScalingRollingUpdate,
    CfnCreationPolicy,
    CfnResourceSignal,
    CfnTag,
    CfnUpdatePolicy,
    Fn,
    Stack,
)
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct
from constructs.location import here
from constructs.statements import Statement, attach

from anfl.resources import VAULT_TAG
from stacks.deployment import VaultCluster

USER_DATA = Path(__file__).parents[1] / "vault" / "node" / "user-data.sh"
_SIGNAL_TIMEOUT = "PT20M"
_LOGICAL_ID = "VaultNodes"


@dataclass(frozen=True, kw_only=True)
class VaultFacts:
    """What a node is told. Nothing here is a secret: whoever may look at an instance can read its user data."""

    cluster: str
    """Value of the tag."""
    host: str
    server_id: str
    former_server_id: str
    """What logins by IAM role must name as their addressee."""
    node_role: str
    """Under which a node logs in to the cluster."""
    certificate_secret: str
    packages: str
    """Repository of the account's registry from which the package of Vault comes, under its version."""
    seal_key_id: str
    bucket: str
    log_group: str


class VaultNodes(Construct):
    """As many instances as the settings say, spread over the zones, replaced one at a time and only while all is well.

    An instance without ingress but from Vault's clients: no SSH, no key pair; people come by Session Manager.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        cluster: VaultCluster,
        facts: VaultFacts,
        image_id: str,
        disk_key_arn: str,
        subnet_ids: Sequence[str],
        security_group_id: str,
        target_group_arn: str,
        statements: Sequence[Statement],
    ) -> None:
        """:param disk_key_arn: encrypts the disks. :param statements: what a node may do in AWS."""
        super().__init__(scope, id)
        self._cluster = cluster
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
        attach(self.role, (*_session_manager(), *statements))
        template = self._launch_template(facts, image_id, disk_key_arn, security_group_id)
        self.group = self._group(template, facts.cluster, list(subnet_ids), target_group_arn)

    def _launch_template(
        self, facts: VaultFacts, image_id: str, disk_key_arn: str, security_group_id: str
    ) -> ec2.CfnLaunchTemplate:
        profile = iam.CfnInstanceProfile(self, "Profile", roles=[self.role.role_name])
        template = ec2.CfnLaunchTemplate
        tags = [CfnTag(key="Name", value=f"{facts.cluster}-vault"), CfnTag(key=VAULT_TAG, value=facts.cluster)]

        def disk(device: str) -> ec2.CfnLaunchTemplate.BlockDeviceMappingProperty:
            return template.BlockDeviceMappingProperty(
                device_name=device,
                ebs=template.EbsProperty(
                    encrypted=True,
                    kms_key_id=disk_key_arn,
                    volume_type="gp3",
                    volume_size=self._cluster.volume_gib,
                    delete_on_termination=True,
                ),
            )

        return template(
            self,
            "LaunchTemplate",
            launch_template_data=template.LaunchTemplateDataProperty(
                image_id=image_id,
                instance_type=str(self._cluster.instance_type),
                iam_instance_profile=template.IamInstanceProfileProperty(arn=profile.attr_arn),
                security_group_ids=[security_group_id],
                user_data=Fn.base64(self._user_data(facts)),
                metadata_options=template.MetadataOptionsProperty(
                    http_tokens="required", http_put_response_hop_limit=1, http_endpoint="enabled"
                ),
                monitoring=template.MonitoringProperty(enabled=True),
                block_device_mappings=[disk("/dev/xvda"), disk("/dev/sdb")],
                tag_specifications=[
                    template.TagSpecificationProperty(resource_type=kind, tags=tags) for kind in ("instance", "volume")
                ],
            ),
        )

    def _user_data(self, facts: VaultFacts) -> str:
        return render(
            USER_DATA.read_text(encoding="utf-8"),
            {
                "REGION": here(self).region,
                "STACK": Stack.of(self).stack_name,
                "RESOURCE": _LOGICAL_ID,
                "VERSION": self._cluster.version,
                "NODES": str(self._cluster.nodes),
                "SNAPSHOT_SECONDS": str(int(self._cluster.snapshot_interval.total_seconds())),
                "TAG": VAULT_TAG,
                "CLUSTER": facts.cluster,
                "HOST": facts.host,
                "SERVER_ID": facts.server_id,
                "FORMER_SERVER_ID": facts.former_server_id,
                "NODE_ROLE": facts.node_role,
                "CERTIFICATE": facts.certificate_secret,
                "PACKAGES": facts.packages,
                "SEAL_KEY": facts.seal_key_id,
                "BUCKET": facts.bucket,
                "LOG_GROUP": facts.log_group,
            },
        )

    def _group(
        self, template: ec2.CfnLaunchTemplate, cluster: str, subnet_ids: list[str], target_group_arn: str
    ) -> autoscaling.CfnAutoScalingGroup:
        nodes = self._cluster.nodes
        group = autoscaling.CfnAutoScalingGroup(
            self,
            "Group",
            min_size=str(nodes),
            max_size=str(nodes),
            vpc_zone_identifier=subnet_ids,
            launch_template=autoscaling.CfnAutoScalingGroup.LaunchTemplateSpecificationProperty(
                launch_template_id=template.ref, version=template.attr_latest_version_number
            ),
            # The machine's health alone: a sealed Vault is no reason to throw its disk away.
            health_check_type="EC2",
            health_check_grace_period=300,
            target_group_arns=[target_group_arn],
            tags=[
                autoscaling.CfnAutoScalingGroup.TagPropertyProperty(
                    key="Name", value=f"{cluster}-vault", propagate_at_launch=False
                )
            ],
        )
        group.override_logical_id(_LOGICAL_ID)
        group.node.add_dependency(self.role)  # with its policy: the first boot needs it
        group.cfn_options.creation_policy = CfnCreationPolicy(
            resource_signal=CfnResourceSignal(count=nodes, timeout=_SIGNAL_TIMEOUT)
        )
        group.cfn_options.update_policy = CfnUpdatePolicy(
            auto_scaling_rolling_update=CfnAutoScalingRollingUpdate(
                max_batch_size=1,
                min_instances_in_service=nodes - 1,
                min_successful_instances_percent=100,
                wait_on_resource_signals=True,
                pause_time=_SIGNAL_TIMEOUT,
                suspend_processes=["AZRebalance", "AlarmNotification", "ReplaceUnhealthy", "ScheduledActions"],
            )
        )
        return group


def render(text: str, values: Mapping[str, str]) -> str:
    """``text`` with each ``@NAME@`` replaced.

    :raises KeyError: for a name without a value. :raises ValueError: for a value that ``text`` does not ask for.
    """
    asked = set(re.findall(r"@([A-Z_]+)@", text))
    if unused := values.keys() - asked:
        raise ValueError(f"nothing asks for {', '.join(sorted(unused))}")
    return re.sub(r"@([A-Z_]+)@", lambda found: values[found[1]], text)


def _session_manager() -> list[Statement]:
    """What the agent of Systems Manager needs to be asked for sessions and commands; none of it is scoped by AWS."""
    return [
        Statement(
            sid="SessionManager",
            actions=[
                "ssm:UpdateInstanceInformation",
                "ssmmessages:CreateControlChannel",
                "ssmmessages:CreateDataChannel",
                "ssmmessages:OpenControlChannel",
                "ssmmessages:OpenDataChannel",
            ],
            resources=["*"],
        )
    ]
