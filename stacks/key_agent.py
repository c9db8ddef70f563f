"""Who brings a region's Vault to hold every version of the wrapping key, and to know every public key of tokens."""

from constructs import Construct
from constructs.region_network import RegionNetwork

from anfl.resources import AuthPartition, Caretaker, Variable
from stacks.base import AnflStack
from stacks.caretaking import run_at_deployment
from stacks.key_functions import RESOURCE, failing, key_function
from stacks.models import Settings
from stacks.security import SecurityStack
from stacks.units import Region
from stacks.vault import TRANSIT_TYPES, VaultStack


class KeyAgentStack(AnflStack):
    """One region's, after its Vault and before whatever seals.

    Where somebody else runs Vault, they let the function in (`anfl.auth.vault_setup`), and its schedule does the rest.
    """

    def __init__(
        self,
        scope: Construct,
        *,
        settings: Settings,
        region: Region,
        network: RegionNetwork,
        security: SecurityStack,
        vault: VaultStack | None,
        wrapping_arn: str,
        key_arn: str,
    ) -> None:
        """:param vault: None where somebody else runs it. :param wrapping_arn: the KMS key of the wrapping keys here.

        :param key_arn: the data key in ``region``.
        """
        name = settings.name(region, "key-agent")
        super().__init__(scope, name, settings=settings, region=region, description="wrapping key of Vault")
        self.function = key_function(
            self,
            function=Caretaker.KEY_AGENT,
            size=settings.deployment.functions.key_agent,
            environment={
                Variable.TRANSIT_KEY_TYPE: TRANSIT_TYPES[settings.encryption.application.key_type],
                Variable.TOKEN_ISSUER: settings.issuer,
                Variable.VAULT_ADDR: settings.vault_address(region),
            },
            key_action="kms:Decrypt",
            partitions={
                AuthPartition.KEYS: ["DeleteItem", "PutItem", "Query"],
                AuthPartition.WRAPPING_KEY: ["DeleteItem", "PutItem", "Query", "UpdateItem"],
            },
            wrapping_arn=wrapping_arn,
            key_arn=key_arn,
            vpc=network.vpc_in(self),
            group=security.functions,
        )
        if vault:
            self._at_deployment(vault)
        failing(self, Caretaker.KEY_AGENT)

    def _at_deployment(self, vault: VaultStack) -> None:
        seconds = self.settings.deployment.functions.key_agent.timeout
        admission = vault.configure(self, "VaultRole", {Caretaker.KEY_AGENT: self.function.own_role.role_arn})
        run = run_at_deployment(self, self.function, caretaker=Caretaker.KEY_AGENT, kind=RESOURCE, seconds=seconds)
        run.node.add_dependency(admission)
