"""Vault's policies, and who has which."""

from collections.abc import Mapping
from pathlib import Path

from anfl.auth.names import NODE_ROLE
from anfl.resources import Caretaker, Function, Service

POLICIES_DIRECTORY = Path(__file__).parents[2] / "vault" / "policies"
POLICIES_OF: Mapping[str, tuple[str, ...]] = {
    Function.AUTH: ("auth-function",),
    Function.VECTOR_PROCESSING: ("data-service",),
    Service.VECTOR_STORE: ("data-service",),
    Service.MODEL_REGISTRY: ("webhook-sealing",),
    Function.WEBHOOK_SIGNER: ("webhook-sealing", "webhook-rewrapping"),
    Caretaker.VAULT_BOOTSTRAP: ("operator",),
    Caretaker.KEY_AGENT: ("key-agent",),
    NODE_ROLE: ("vault-node",),
}
"""By function or service. Who is not named (the authorizer, for one) never logs in for itself."""


def load_policies(directory: Path = POLICIES_DIRECTORY) -> dict[str, str]:
    """HCL texts by policy name.

    :raises FileNotFoundError: where the directory holds none.
    """
    policies = {path.stem: path.read_text(encoding="utf-8") for path in sorted(directory.glob("*.hcl"))}
    if not policies:
        raise FileNotFoundError(f"no *.hcl in {directory}: pass the directory that holds ANFL's Vault policies")
    return policies
