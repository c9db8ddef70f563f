"""Who begins versions of the wrapping key and makes them active: one function, in the home region alone."""

from constructs import Construct

from anfl.resources import AuthPartition, Caretaker, Variable
from stacks.base import AnflStack
from stacks.caretaking import run_at_deployment
from stacks.key_functions import RESOURCE, failing, key_function, pending_alarm
from stacks.models import Settings


class GlobalKeyLeader(AnflStack):
    """Stands before every region, which can so be the first one; it needs no Vault and no network."""

    def __init__(self, scope: Construct, *, settings: Settings, wrapping_arn: str, key_arn: str) -> None:
        """:param wrapping_arn: the KMS key of the wrapping keys. :param key_arn: the data key."""
        name = settings.name("global", "key-leader")
        region = settings.primary_region
        super().__init__(scope, name, settings=settings, region=region, description="versions of the wrapping key")
        rotation = settings.encryption.at_rest.key_rotation
        self.function = key_function(
            self,
            function=Caretaker.KEY_LEADER,
            size=settings.deployment.functions.key_leader,
            environment={Variable.ROTATION_SECONDS: str(int(rotation.total_seconds()))},
            # It sees no key in clear.
            key_action="kms:GenerateDataKeyWithoutPlaintext",
            partitions={AuthPartition.WRAPPING_KEY: ["PutItem", "Query"]},
            wrapping_arn=wrapping_arn,
            key_arn=key_arn,
        )
        seconds = settings.deployment.functions.key_leader.timeout
        run_at_deployment(self, self.function, caretaker=Caretaker.KEY_LEADER, kind=RESOURCE, seconds=seconds)
        failing(self, Caretaker.KEY_LEADER)
        pending_alarm(self)
