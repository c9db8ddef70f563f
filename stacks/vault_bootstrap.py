"""The function that sets a region's Vault up, and keeps it set up, at every deployment."""

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_ssm as ssm
from constructs.python_function import PythonFunction
from constructs.region_network import RegionNetwork

from anfl.resources import AUTH, Caretaker, Variable
from stacks import vault_access
from stacks.base import AnflStack
from stacks.deployment import VaultCluster

_WIPE = {
    "schemaVersion": "2.2",
    "description": "Empties a Vault node whose cluster nobody can open, or starts it again",
    "parameters": {"Step": {"type": "String", "allowedValues": ["empty", "start"]}},
    "mainSteps": [
        {
            "action": "aws:runShellScript",
            "name": "wipe",
            "inputs": {
                "runCommand": [
                    "set -e",
                    "case '{{ Step }}' in",
                    "empty) systemctl stop vault; rm -rf /opt/vault/data/raft /opt/vault/data/vault.db;;",
                    "start) systemctl start vault;;",
                    "esac",
                ]
            },
        }
    ],
}


def vault_bootstrap(
    stack: AnflStack,
    *,
    network: RegionNetwork,
    group: ec2.ISecurityGroup,
    cluster: VaultCluster,
    secret_arn: str,
    key: kms.IKey,
    seal: kms.IKey,
    host: str,
) -> PythonFunction:
    """A custom resource's function. :param group: its security group. :param secret_arn: of the recovery record.

    :param host: the name by which Vault answers.
    """
    settings, deployment = stack.settings, stack.settings.deployment
    wipe = ssm.CfnDocument(
        stack, "Wipe", content=_WIPE, document_type="Command", document_format="JSON", update_method="NewVersion"
    )
    function = PythonFunction(
        stack,
        "Bootstrap",
        function=Caretaker.VAULT_BOOTSTRAP,
        name=settings.name(Caretaker.VAULT_BOOTSTRAP),
        size=deployment.functions.vault_bootstrap,
        environment={
            Variable.ENVIRONMENT: settings.environment,
            Variable.AUTH_TABLE: settings.name(AUTH.name),
            Variable.TOKEN_ISSUER: settings.issuer,
            Variable.TOKEN_AUDIENCE: deployment.tokens.audience,
            Variable.VAULT_SERVER_NAME: host,
            Variable.VAULT_CLUSTER: settings.name(),
            Variable.VAULT_NODES: str(cluster.nodes),
            Variable.VAULT_RECOVERY_SECRET: secret_arn,
            Variable.VAULT_WIPE_DOCUMENT: wipe.ref,
        },
        statements=vault_access.of_bootstrap(
            stack, settings=settings, key=key, seal=seal, secret_arn=secret_arn, document=wipe.ref
        ),
        vpc=network.vpc_in(stack),
        security_group=group,
        log_group=stack.log_group("BootstrapLogs", key),
    )
    # CloudFormation gets an answer in any case: a second, unasked run could only do harm.
    lambda_.CfnEventInvokeConfig(
        function,
        "Once",
        function_name=function.function_name,
        qualifier="$LATEST",
        maximum_retry_attempts=0,
    )
    return function
