"""Names inside Vault that its set-up and its users share."""

JWT_KEY = "jwt"
"""Transit key that signs tokens (ecdsa-p256)."""
DATA_KEY = "anfl"
"""Transit key that wraps data keys (aes256-gcm96, derived)."""
CALLER_ROLE = "anfl"
"""Role of the jwt mount under which every bearer token logs in."""
NODE_ROLE = "vault-node"
"""Role of the aws mount, and policy, of Vault's own nodes."""


def client_role(*, tenant: str, name: str) -> str:
    """Name of a client's AppRole, which is also the subject of its tokens. A tenant's name holds no dot."""
    return f"{tenant}.{name}"


def server_id(region: str) -> str:
    """What a signed login names as its addressee, so that it cannot be replayed to another region's Vault."""
    return f"anfl-vault.{region}"
