"""How the certificate of a region's Vault comes to its nodes, which have no way to ACM."""

from dataclasses import dataclass

from aws_cdk import CustomResource
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs.location import here
from constructs.python_function import PythonFunction
from constructs.schedule import call_every
from constructs.statements import Statement

from anfl.resources import Caretaker, Variable
from stacks.base import AnflStack
from stacks.caretaking import failing_alarm, run_at_deployment

RESOURCE = "Custom::VaultCertificate"
_MINUTES = 60
"""Between two looks. ACM renews a certificate weeks before its end."""


@dataclass(frozen=True, kw_only=True)
class NodeCertificate:
    """Where nodes take the certificate from."""

    secret: secretsmanager.CfnSecret
    brought: CustomResource
    """Before it the secret is empty."""
    bringer: iam.IRole
    """Besides the nodes, who reads the secret."""


def node_certificate(stack: AnflStack, *, certificate_arn: str, key: kms.IKey, seal: kms.IKey) -> NodeCertificate:
    """A secret, and the function outside the network that keeps it up to date.

    It has no rotation of Secrets Manager's: ACM renews what it holds. :param key: of logs. :param seal: of the secret.
    """
    settings = stack.settings
    size = settings.deployment.functions.vault_certificate
    secret = secretsmanager.CfnSecret(
        stack,
        "NodeCertificate",
        description=f"ANFL {settings.environment}: certificate of Vault in {here(stack).region}; brought from ACM",
        kms_key_id=seal.key_arn,
    )
    function = PythonFunction(
        stack,
        "CertificateFunction",
        function=Caretaker.VAULT_CERTIFICATE,
        name=settings.name(Caretaker.VAULT_CERTIFICATE),
        size=size,
        environment={
            Variable.ENVIRONMENT: settings.environment,
            Variable.VAULT_CERTIFICATE_ARN: certificate_arn,
            Variable.VAULT_CERTIFICATE_SECRET: secret.ref,
        },
        statements=[
            Statement(sid="Export", actions=["acm:ExportCertificate"], resources=[certificate_arn]),
            Statement(
                sid="Bring",
                actions=["secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"],
                resources=[secret.ref],
            ),
            Statement(
                sid="SecretsKey",
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=[seal.key_arn],
                conditions={"StringEquals": {"kms:ViaService": f"secretsmanager.{here(stack).region}.amazonaws.com"}},
            ),
        ],
        log_group=stack.log_group("CertificateLogs", key),
    )
    call_every(
        stack,
        "LookForRenewal",
        function,
        minutes=_MINUTES,
        target=Caretaker.VAULT_CERTIFICATE,
        description="Certificate of Vault's nodes",
        event={"operation": "run"},
    )
    failing_alarm(
        stack,
        Caretaker.VAULT_CERTIFICATE,
        description="the certificate of Vault's nodes is not looked after",
        seconds=60 * _MINUTES,
    )
    brought = run_at_deployment(
        stack, function, caretaker=Caretaker.VAULT_CERTIFICATE, kind=RESOURCE, seconds=size.timeout
    )
    return NodeCertificate(secret=secret, brought=brought, bringer=function.own_role)
