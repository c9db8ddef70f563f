"""What realises ``encryption.application``."""

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from stacks.figures.inspection import Inspection, Rules, equals
from stacks.figures.templates import Resource

_TRANSIT_TYPES: Mapping[str, str] = {"AES-256-GCM": "aes256-gcm96"}
_ELSEWHERE = "the environment names the address of a Vault that is not its own"
_SEALERS = ("vector-processing", "vector-store")
"""The function and the service that write vectors."""


def _method(look: Inspection) -> None:
    """What runs within the network is told the name of the region's own Vault; outside of it none is reached."""
    if look.settings.deployment.vault.cluster is None:
        look.waive(_ELSEWHERE)
        return
    sealers = [look.name(name) for name in _SEALERS]
    for zone in look.in_every_region("vault", "AWS::Route53::HostedZone"):
        look.note(zone, "Name", zone.get("Name"), agrees=zone.get("VPCs") is not None)
        for resource, told in _programs(look, zone.region):
            host = urlsplit(str(told.get("VAULT_ADDR"))).hostname
            look.note(resource, "VAULT_ADDR", told.get("VAULT_ADDR"), agrees=host == zone.get("Name"))
            if _name(resource) in sealers:
                look.note(resource, "SEALING", told.get("SEALING"), agrees=told.get("SEALING") == "true")


def _programs(look: Inspection, region: str) -> Iterator[tuple[Resource, Mapping[str, object]]]:
    """Functions in the network and tasks of a region, with the environment variables of each."""
    service = look.name(region, "service")
    for stack in (service, look.name(region, "key-agent")):
        for function in look.in_stack(stack, "AWS::Lambda::Function"):
            if function.get("VpcConfig") is not None:
                yield function, function.get("Environment.Variables") or {}
    for task in look.in_stack(service, "AWS::ECS::TaskDefinition"):
        container = task.get("ContainerDefinitions.0.Environment") or []
        yield task, {variable["Name"]: variable["Value"] for variable in container}


def _name(resource: Resource) -> str:
    return str(resource.get("FunctionName") or resource.get("Family"))


def _key_type(look: Inspection) -> None:
    """Vault's key is of the kind that its agent asks for when it imports the first version."""
    for agent in look.in_every_region("key-agent", "AWS::Lambda::Function"):
        look.show(agent, "Environment.Variables.TRANSIT_KEY_TYPE", equals(_TRANSIT_TYPES[str(look.figure.value)]))


RULES: Rules = {
    "encryption.application.method": _method,
    "encryption.application.key_type": _key_type,
}
