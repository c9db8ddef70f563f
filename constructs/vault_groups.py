"""Security groups of a region's Vault: the load balancer, the nodes, the bootstrap."""

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

API_PORT = 8200
CLUSTER_PORT = 8201
"""Raft, and requests that a node passes on to the active one."""


class VaultGroups(Construct):
    """Clients reach the load balancer alone; it, the nodes themselves and the bootstrap reach the nodes."""

    def __init__(self, scope: Construct, id: str, *, name: str, vpc: ec2.IVpc) -> None:  # noqa: A002 - as every construct names it
        """:param name: stands before each group's description."""
        super().__init__(scope, id)
        self._name = name
        self._vpc = vpc
        self.entry = self._group("Entry", "load balancer of Vault")
        self.nodes = self._group("Nodes", "Vault nodes")
        self.bootstrap = self._group("Bootstrap", "bootstrap of Vault")
        api, cluster = ec2.Port.tcp(API_PORT), ec2.Port.tcp(CLUSTER_PORT)
        for group, who in ((self.entry, "the load balancer"), (self.bootstrap, "the bootstrap")):
            group.add_egress_rule(self.nodes, api, "to the nodes")
            self.nodes.add_ingress_rule(group, api, f"from {who}")
        for port in (api, cluster):
            self.nodes.add_ingress_rule(self.nodes, port, "from other nodes")
            self.nodes.add_egress_rule(self.nodes, port, "to other nodes")

    def admit(self, client: ec2.SecurityGroup) -> None:
        """Let the members of ``client`` use Vault."""
        client.add_egress_rule(self.entry, ec2.Port.tcp(API_PORT), "to Vault")
        self.entry.add_ingress_rule(client, ec2.Port.tcp(API_PORT), f"from {client.node.id}")

    def _group(self, id: str, description: str) -> ec2.SecurityGroup:  # noqa: A002 - as every construct names it
        return ec2.SecurityGroup(
            self, id, vpc=self._vpc, description=f"{self._name}: {description}", allow_all_outbound=False
        )
