"""The machines of a Vault cluster on EC2, and the record of its recovery keys in Secrets Manager."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from anfl.auth.vault_bootstrap import BootstrapError, Recovery
from anfl.resources import VAULT_TAG

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_ssm import SSMClient

_PORT = 8200
_COMMAND_SECONDS = 120
_PAUSE_SECONDS = 2.0
_UNDER_WAY = frozenset({"Pending", "InProgress", "Delayed", "Cancelling"})


class Ec2Nodes:
    """Running instances that carry the cluster's tag."""

    def __init__(
        self,
        *,
        ec2: "EC2Client",
        ssm: "SSMClient",
        cluster: str,
        wipe_document: str,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """:param cluster: value of the tag. :param wipe_document: SSM document with the parameter ``Step``."""
        self._ec2 = ec2
        self._ssm = ssm
        self._cluster = cluster
        self._document = wipe_document
        self._pause = pause

    def addresses(self) -> Sequence[str]:
        """Base URLs by private address, in the order of the instances' ids."""
        return [f"https://{address}:{_PORT}" for _, address in self._running()]

    def wipe(self) -> None:
        """Stop every node and empty it; start them when all are empty.

        :raises BootstrapError: a node does not do as it is told.
        """
        instances = [instance for instance, _ in self._running()]
        for step in ("empty", "start"):
            self._command(instances, step)

    def _running(self) -> list[tuple[str, str]]:
        pages = self._ec2.get_paginator("describe_instances").paginate(
            Filters=[
                {"Name": f"tag:{VAULT_TAG}", "Values": [self._cluster]},
                {"Name": "instance-state-name", "Values": ["running"]},
            ]
        )
        return sorted(
            (instance["InstanceId"], instance["PrivateIpAddress"])
            for page in pages
            for reservation in page["Reservations"]
            for instance in reservation["Instances"]
        )

    def _command(self, instances: Sequence[str], step: Literal["empty", "start"]) -> None:
        sent = self._ssm.send_command(
            InstanceIds=list(instances),
            DocumentName=self._document,
            Parameters={"Step": [step]},
            TimeoutSeconds=_COMMAND_SECONDS,
        )
        until = time.monotonic() + _COMMAND_SECONDS
        waiting = set(instances)
        while waiting:
            self._pause(_PAUSE_SECONDS)
            for instance in sorted(waiting):
                status = self._status(sent["Command"]["CommandId"], instance)
                if status == "Success":
                    waiting.discard(instance)
                elif status not in _UNDER_WAY or time.monotonic() > until:
                    raise BootstrapError(f"{instance} did not {step} its storage: {status}")

    def _status(self, command: str, instance: str) -> str:
        try:
            return self._ssm.get_command_invocation(CommandId=command, InstanceId=instance)["Status"]
        except self._ssm.exceptions.InvocationDoesNotExist:  # a moment after it was sent
            return "Pending"


class SecretRecoveryStore:
    """One secret, encrypted under the seal key."""

    def __init__(self, *, client: "SecretsManagerClient", secret: str) -> None:
        """:param secret: its ARN or name."""
        self._client = client
        self._secret = secret

    def read(self) -> Recovery | None:
        """None while the secret has no value."""
        try:
            text = self._client.get_secret_value(SecretId=self._secret)["SecretString"]
        except self._client.exceptions.ResourceNotFoundException:
            return None
        return msgspec.json.decode(text, type=Recovery)

    def write(self, recovery: Recovery) -> None:
        """Make it the current version."""
        self._client.put_secret_value(SecretId=self._secret, SecretString=msgspec.json.encode(recovery).decode())
