"""An Amazon Managed Grafana workspace that reads every region's metrics."""

from collections.abc import Mapping, Sequence

from aws_cdk import aws_grafana as grafana
from aws_cdk import aws_iam as iam
from constructs import Construct
from constructs.location import here
from constructs.statements import Statement, attach

VERSION = "10.4"
_READ_PROMETHEUS = ["aps:GetLabels", "aps:GetMetricMetadata", "aps:GetSeries", "aps:QueryMetrics"]


class GrafanaWorkspace(Construct):
    """Workspace for whom SAML lets in; the identity provider is set up after the deployment."""

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        name: str,
        regions: Sequence[str],
        tags: Mapping[str, str],
    ) -> None:
        """:param regions: whose Prometheus workspaces it reads. :param tags: that those workspaces have."""
        super().__init__(scope, id)
        role = self._role()
        # By tag: the ids of workspaces are generated, and no region knows those of another.
        tagged = {"StringEquals": {f"aws:ResourceTag/{key}": value for key, value in tags.items()}}
        workspaces = [here(self).arn("aps", "workspace/*", region=region) for region in regions]
        attach(
            role,
            (
                Statement(
                    sid="ReadPrometheus",
                    actions=["aps:DescribeWorkspace", *_READ_PROMETHEUS],
                    resources=workspaces,
                    conditions=tagged,
                ),
                # What AWS scopes to no resource.
                Statement(sid="FindPrometheus", actions=["aps:ListWorkspaces"], resources=["*"]),
                Statement(
                    sid="ReadCloudWatch",
                    actions=["cloudwatch:GetMetricData", "cloudwatch:ListMetrics"],
                    resources=["*"],
                ),
            ),
        )
        self.resource = grafana.CfnWorkspace(
            self,
            "Workspace",
            name=name,
            grafana_version=VERSION,
            account_access_type="CURRENT_ACCOUNT",
            authentication_providers=["SAML"],
            permission_type="CUSTOMER_MANAGED",
            role_arn=role.role_arn,
            data_sources=["PROMETHEUS", "CLOUDWATCH"],
            plugin_admin_enabled=False,
        )

    def _role(self) -> iam.Role:
        own = here(self).arn("grafana", "/workspaces/*")
        principal = iam.ServicePrincipal(
            "grafana.amazonaws.com",
            conditions={"StringEquals": {"aws:SourceAccount": here(self).account}, "ArnLike": {"aws:SourceArn": own}},
        )
        return iam.Role(self, "Role", assumed_by=principal)
