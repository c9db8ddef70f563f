"""A region's Vault: nodes, the way to them, snapshots, recovery record, and the function that sets it all up."""

from collections.abc import Mapping

from aws_cdk import CfnCustomResource
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from constructs import Construct
from constructs.location import here
from constructs.region_network import RegionNetwork
from constructs.secure_bucket import SecureBucket
from constructs.vault_entry import VaultEntry
from constructs.vault_groups import VaultGroups
from constructs.vault_nodes import VaultFacts, VaultNodes

from anfl.auth.names import NODE_ROLE, former_server_id, server_id
from anfl.auth.policies import load_policies
from anfl.resources import Caretaker
from bundling.vault_package import VAULT_REPOSITORY
from stacks import vault_access
from stacks.base import AnflStack
from stacks.deployment import VaultCluster
from stacks.models import Settings
from stacks.storage import backup_role
from stacks.units import Region
from stacks.vault_bootstrap import vault_bootstrap
from stacks.vault_certificate import NodeCertificate, node_certificate

TRANSIT_TYPES: Mapping[str, str] = {"AES-256-GCM": "aes256-gcm96"}
"""What Vault calls the application's encryption."""


class VaultStack(AnflStack):
    """HashiCorp Vault on nodes of its own; absent where the settings only name an address."""

    def __init__(
        self,
        scope: Construct,
        *,
        settings: Settings,
        region: Region,
        network: RegionNetwork,
        groups: VaultGroups,
        cluster: VaultCluster,
        zone_id: str,
        key_arn: str,
        seal_arn: str,
        seal_id: str,
    ) -> None:
        """:param zone_id: public zone of the domain. :param key_arn: the data key. The seal's are Vault's."""
        name = settings.name(region, "vault")
        super().__init__(scope, name, settings=settings, region=region, description="HashiCorp Vault")
        self._cluster = cluster
        self._groups = groups
        self._key = kms.Key.from_key_arn(self, "DataKey", key_arn)
        self._seal = kms.Key.from_key_arn(self, "SealKey", seal_arn)
        self._seal_id = seal_id
        self._host = settings.vault_host(region)
        self.snapshots = self._bucket()
        self.secret = vault_access.recovery_secret(self, settings, seal_arn)
        self._audit = self.log_group("AuditLogs", self._key)
        entry = VaultEntry(
            self,
            "Entry",
            name=settings.name("vault"),
            host=self._host,
            public_zone_id=zone_id,
            vpc_id=network.vpc_id,
            region=region,
            subnet_ids=network.private_subnet_ids,
            security_group_id=groups.entry.security_group_id,
            retain=self.retain,
        )
        certificate = node_certificate(self, certificate_arn=entry.certificate_arn, key=self._key, seal=self._seal)
        self.nodes = self._nodes(region, network, entry, certificate)
        vault_access.only_for(
            certificate.secret,
            self,
            "NodeCertificateAccess",
            roles=[certificate.bringer.role_arn, self.nodes.role.role_arn],
        )
        self.bootstrap = vault_bootstrap(
            self,
            network=network,
            group=groups.bootstrap,
            cluster=cluster,
            secret_arn=self.secret.ref,
            key=self._key,
            seal=self._seal,
            host=self._host,
        )
        own_role = self.bootstrap.own_role.role_arn
        vault_access.only_for(
            self.secret, self, "RecoveryAccess", roles=[own_role, vault_access.emergency(self, settings)]
        )
        self._first = self.configure(
            self,
            "Configuration",
            {
                Caretaker.VAULT_BOOTSTRAP: own_role,
                NODE_ROLE: self.nodes.role.role_arn,
            },
            policies=load_policies(),
        )
        self._first.node.add_dependency(self.nodes, entry, self.secret, self.bootstrap)

    def configure(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        iam_roles: Mapping[str, str],
        policies: Mapping[str, str] | None = None,
    ) -> CfnCustomResource:
        """Let ``iam_roles`` (ARN by name of the function or service) log in, and bring the set-up up to date."""
        resource = CfnCustomResource(
            scope,
            id,
            service_token=self.bootstrap.function_arn,
            service_timeout=self.settings.deployment.functions.vault_bootstrap.timeout,
        )
        resource.add_property_override("IamRoles", dict(iam_roles))
        # Nobody reads it: CloudFormation calls the bootstrap where something is another than before.
        resource.add_property_override("ServerId", server_id(self.settings.environment, Region(here(self).region)))
        if policies:
            resource.add_property_override("Policies", dict(policies))
        return resource

    def _bucket(self) -> SecureBucket:
        cluster = self._cluster
        return SecureBucket(
            self,
            "Snapshots",
            name=self.settings.name("vault-snapshots", here(self).account, here(self).region),
            key=self._seal,
            noncurrent_retention=self.settings.deployment.storage.noncurrent_retention,
            expiry=cluster.snapshot_retention,
            retain=self.retain,
            exempt_roles=[backup_role(self.settings, here(self).region)],
        )

    def _nodes(
        self, region: Region, network: RegionNetwork, entry: VaultEntry, certificate: NodeCertificate
    ) -> VaultNodes:
        image = ec2.MachineImage.from_ssm_parameter(self._cluster.image_parameter).get_image(self)
        nodes = VaultNodes(
            self,
            "Nodes",
            cluster=self._cluster,
            facts=VaultFacts(
                cluster=self.settings.name(),
                host=self._host,
                server_id=server_id(self.settings.environment, region),
                former_server_id=former_server_id(region),
                node_role=NODE_ROLE,
                certificate_secret=certificate.secret.ref,
                packages=VAULT_REPOSITORY,
                seal_key_id=self._seal_id,
                bucket=self.snapshots.bucket_name,
                log_group=self._audit.log_group_name,
            ),
            image_id=image.image_id,
            disk_key_arn=self._seal.key_arn,
            subnet_ids=network.private_subnet_ids,
            security_group_id=self._groups.nodes.security_group_id,
            target_group_arn=entry.target_group.ref,
            statements=vault_access.of_nodes(
                self,
                seal=self._seal,
                certificate_secret=certificate.secret.ref,
                snapshots=self.snapshots,
                audit=self._audit,
            ),
        )
        nodes.group.node.add_dependency(certificate.brought)
        return nodes
