"""An ECS cluster on EC2 instances of its own."""

from collections.abc import Sequence

from aws_cdk import CfnAutoScalingRollingUpdate, CfnTag, CfnUpdatePolicy, Fn
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct
from constructs.location import here
from constructs.statements import Statement, attach

from stacks.architecture import Cluster

_USER_DATA = """#!/bin/bash
cat >> /etc/ecs/ecs.config <<'END'
ECS_CLUSTER={cluster}
ECS_AWSVPC_BLOCK_IMDS=true
ECS_ENABLE_SPOT_INSTANCE_DRAINING=false
ECS_CONTAINER_STOP_TIMEOUT=60s
END
"""


class InstanceCluster(Construct):
    """Cluster, launch template (AL2023, IMDSv2, gp3 under our key), auto scaling group, capacity provider."""

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        name: str,
        cluster: Cluster,
        subnet_ids: Sequence[str],
        security_group_id: str,
        ami_id: str,
        disk_key_arn: str,
        volume_gib: int = 50,
    ) -> None:
        """:param ami_id: an ECS-optimised image for x86-64. :param disk_key_arn: encrypts the disks."""
        super().__init__(scope, id)
        self.name = name
        self.settings = cluster
        self.resource = ecs.CfnCluster(
            self,
            "Cluster",
            cluster_name=name,
            cluster_settings=[ecs.CfnCluster.ClusterSettingsProperty(name="containerInsights", value="enabled")],
        )
        template = self._launch_template(security_group_id, ami_id, disk_key_arn, volume_gib)
        group = self._group(template, list(subnet_ids))
        provider = ecs.CfnCapacityProvider(
            self,
            "CapacityProvider",
            auto_scaling_group_provider=ecs.CfnCapacityProvider.AutoScalingGroupProviderProperty(
                auto_scaling_group_arn=group.ref,
                managed_draining="ENABLED",
                # Protected instances would keep the group, and so the stack, from being deleted; draining suffices.
                managed_termination_protection="DISABLED",
                managed_scaling=ecs.CfnCapacityProvider.ManagedScalingProperty(
                    status="ENABLED", target_capacity=100, instance_warmup_period=120
                ),
            ),
        )
        self.capacity_provider = provider.ref
        self.association = ecs.CfnClusterCapacityProviderAssociations(
            self,
            "CapacityProviders",
            cluster=self.resource.ref,
            capacity_providers=[provider.ref],
            default_capacity_provider_strategy=[
                ecs.CfnClusterCapacityProviderAssociations.CapacityProviderStrategyProperty(
                    capacity_provider=provider.ref, weight=1
                )
            ],
        )

    def _launch_template(
        self, security_group_id: str, ami_id: str, disk_key_arn: str, volume_gib: int
    ) -> ec2.CfnLaunchTemplate:
        profile = iam.CfnInstanceProfile(self, "InstanceProfile", roles=[self._role().role_name])
        template = ec2.CfnLaunchTemplate
        tags = [CfnTag(key="Name", value=self.name)]
        return template(
            self,
            "LaunchTemplate",
            launch_template_data=template.LaunchTemplateDataProperty(
                image_id=ami_id,
                instance_type=str(self.settings.instance_type),
                iam_instance_profile=template.IamInstanceProfileProperty(arn=profile.attr_arn),
                security_group_ids=[security_group_id],
                user_data=Fn.base64(_USER_DATA.format(cluster=self.name)),
                metadata_options=template.MetadataOptionsProperty(
                    http_tokens="required", http_put_response_hop_limit=1, http_endpoint="enabled"
                ),
                monitoring=template.MonitoringProperty(enabled=True),
                block_device_mappings=[
                    template.BlockDeviceMappingProperty(
                        device_name="/dev/xvda",
                        ebs=template.EbsProperty(
                            encrypted=True,
                            kms_key_id=disk_key_arn,
                            volume_type="gp3",
                            volume_size=volume_gib,
                            delete_on_termination=True,
                        ),
                    )
                ],
                tag_specifications=[
                    template.TagSpecificationProperty(resource_type=kind, tags=tags) for kind in ("instance", "volume")
                ],
            ),
        )

    def _group(self, template: ec2.CfnLaunchTemplate, subnet_ids: list[str]) -> autoscaling.CfnAutoScalingGroup:
        group = autoscaling.CfnAutoScalingGroup(
            self,
            "Instances",
            min_size=str(self.settings.min_size),
            max_size=str(self.settings.max_size),
            vpc_zone_identifier=subnet_ids,
            launch_template=autoscaling.CfnAutoScalingGroup.LaunchTemplateSpecificationProperty(
                launch_template_id=template.ref, version=template.attr_latest_version_number
            ),
            health_check_grace_period=120,
            tags=[
                autoscaling.CfnAutoScalingGroup.TagPropertyProperty(
                    key="AmazonECSManaged", value="true", propagate_at_launch=True
                )
            ],
        )
        group.cfn_options.update_policy = CfnUpdatePolicy(
            auto_scaling_rolling_update=CfnAutoScalingRollingUpdate(
                max_batch_size=1,
                min_instances_in_service=min(self.settings.min_size, self.settings.max_size - 1),
                suspend_processes=["AZRebalance", "AlarmNotification", "ScheduledActions"],
            )
        )
        return group

    def _role(self) -> iam.Role:
        """What the ECS agent of an instance needs, for this cluster alone."""
        cluster = here(self).arn("ecs", f"cluster/{self.name}")
        instances = here(self).arn("ecs", f"container-instance/{self.name}/*")
        role = iam.Role(self, "InstanceRole", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
        attach(
            role,
            (
                Statement(sid="Discover", actions=["ecs:DiscoverPollEndpoint"], resources=["*"]),
                Statement(
                    sid="Register",
                    actions=["ecs:DeregisterContainerInstance", "ecs:RegisterContainerInstance"],
                    resources=[cluster],
                ),
                Statement(
                    sid="Work",
                    actions=[
                        "ecs:Poll",
                        "ecs:StartTelemetrySession",
                        "ecs:SubmitAttachmentStateChanges",
                        "ecs:SubmitContainerStateChange",
                        "ecs:SubmitTaskStateChange",
                        "ecs:UpdateContainerInstancesState",
                    ],
                    resources=[cluster, instances],
                ),
            ),
        )
        return role
