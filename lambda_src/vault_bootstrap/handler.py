"""Custom resource: brings the region's Vault cluster up, and up to date where policies or roles change."""

from collections.abc import Mapping
from typing import Any

import msgspec

from anfl import aws, custom_resource, environment, start
from anfl.auth.table import AuthTable
from anfl.auth.vault import VaultClient
from anfl.auth.vault_bootstrap import VaultBootstrap
from anfl.auth.vault_nodes import Ec2Nodes, SecretRecoveryStore
from anfl.auth.vault_setup import VaultSetup
from anfl.invocation import Context, seconds_left

start.begin()

_SPARE_SECONDS = 60
"""For the work after the last wait, and the answer."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The function's environment."""

    environment: str = msgspec.field(name="ANFL_ENVIRONMENT")
    auth_table: str = msgspec.field(name="AUTH_TABLE")
    issuer: str = msgspec.field(name="TOKEN_ISSUER")
    audience: str = msgspec.field(name="TOKEN_AUDIENCE")
    server_name: str = msgspec.field(name="VAULT_SERVER_NAME")
    cluster: str = msgspec.field(name="VAULT_CLUSTER")
    size: int = msgspec.field(name="VAULT_NODES")
    recovery_secret: str = msgspec.field(name="VAULT_RECOVERY_SECRET")
    wipe_document: str = msgspec.field(name="VAULT_WIPE_DOCUMENT")
    region: str = msgspec.field(name="AWS_REGION")


class Properties(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What the template says; CloudFormation adds members of its own."""

    iam_roles: Mapping[str, str]
    """ARN by name of the function, service or node."""
    policies: Mapping[str, str] = {}
    """HCL texts by name."""


def handler(event: dict[str, Any], context: Context) -> None:
    """Answer one request of CloudFormation. Deleting does nothing: what Vault keeps must outlive a stack."""
    seconds = seconds_left(context) - _SPARE_SECONDS
    custom_resource.answer(event, lambda request: _act(request, seconds), physical_id="vault")


def _act(event: custom_resource.Event, seconds: float) -> None:
    if event["RequestType"] == "Delete":
        return
    properties = msgspec.convert(event["ResourceProperties"], Properties)
    settings = environment.load(Settings)
    table = AuthTable(name=settings.auth_table)
    client = aws.session().client
    bootstrap = VaultBootstrap(
        nodes=Ec2Nodes(
            ec2=client("ec2", config=aws.config()),
            ssm=client("ssm", config=aws.config()),
            cluster=settings.cluster,
            wipe_document=settings.wipe_document,
        ),
        size=settings.size,
        store=SecretRecoveryStore(
            client=client("secretsmanager", config=aws.config()), secret=settings.recovery_secret
        ),
        setup=lambda vault: _setup(vault, settings, table, properties),
        in_use=lambda: any(key.region == settings.region for key in table.published_keys()),
        server_name=settings.server_name,
    )
    bootstrap.run(iam_roles=properties.iam_roles, seconds=seconds)


def _setup(vault: VaultClient, settings: Settings, table: AuthTable, properties: Properties) -> VaultSetup:
    return VaultSetup(
        vault,
        environment=settings.environment,
        region=settings.region,
        auth_table=table,
        issuer=settings.issuer,
        audience=settings.audience,
        policies=properties.policies,
    )
