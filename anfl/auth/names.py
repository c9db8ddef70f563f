"""Names inside Vault that its set-up and its users share."""

from collections.abc import Iterable

JWT_KEY = "jwt"
"""Transit key that signs tokens (ecdsa-p256)."""
DATA_KEY = "anfl"
"""Transit key that wraps data keys (aes256-gcm96, derived)."""
CALLER_ROLE = "anfl"
"""Role of the jwt mount under which every bearer token logs in."""
NODE_ROLE = "vault-node"
"""Role of the aws mount, and policy, of Vault's own nodes."""
_TENANT, _ROLE = "anfl/tenant/", "anfl/role/"


def client_role(*, tenant: str, name: str) -> str:
    """Name of a client's AppRole, which is also the subject of its tokens. A tenant's name holds no dot."""
    return f"{tenant}.{name}"


def granting_policies(*, tenant: str, roles: Iterable[str]) -> list[str]:
    """How a client's role of Vault's aws mount, which has no metadata of its own, tells tenant and roles.

    Policies of these names do not exist, and cannot: such a policy grants nothing.
    """
    return [f"{_TENANT}{tenant}", *(f"{_ROLE}{role}" for role in sorted(set(roles)))]


def granted(policies: Iterable[str]) -> dict[str, str]:
    """``tenant`` and ``roles`` as the metadata of other logins has them; empty where they name no one tenant."""
    tenants = [name.removeprefix(_TENANT) for name in policies if name.startswith(_TENANT)]
    roles = sorted(name.removeprefix(_ROLE) for name in policies if name.startswith(_ROLE))
    return {"tenant": tenants[0], "roles": " ".join(roles)} if len(tenants) == 1 else {}


def server_id(environment: str, region: str) -> str:
    """What a signed login names as its addressee, so that it cannot be replayed to another Vault.

    Neither to another region's nor to another environment's, where both trust one account.
    """
    return f"anfl-vault.{environment}.{region}"


def former_server_id(region: str) -> str:
    """What it was before it named the environment: a Vault that is still to be set up anew asks for it."""
    return f"anfl-vault.{region}"
