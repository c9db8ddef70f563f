# Reconciles Vault's set-up after every deployment, and adds clients (anfl.auth.vault_setup). It uses no key and reads no
# secret. Its own policy and its own login are written by the bootstrap with the root token only; what it hands to others
# are the policies below, to the names below. A test holds each line against a whole run: nothing is granted that no step
# needs (tests/unit/auth/test_vault_grants.py).
#
# Vault asks for `create` only where it can tell that something is absent; elsewhere writing is `update`.

# Which engines and methods are there; add those that are missing. Methods need sudo by Vault's own rule. Without `aws`
# nobody logs in as the operator: that one is the root token's.
path "sys/mounts" {
  capabilities = ["read"]
}

path "sys/mounts/transit" {
  capabilities = ["update"]
}

path "sys/auth" {
  capabilities = ["read"]
}

path "sys/auth/approle" {
  capabilities = ["update", "sudo"]
}

path "sys/auth/jwt" {
  capabilities = ["update", "sudo"]
}

# The policies of functions and services; its own it may compare, not change.
path "sys/policies/acl/auth-function" {
  capabilities = ["read", "update"]
}

path "sys/policies/acl/data-service" {
  capabilities = ["read", "update"]
}

path "sys/policies/acl/key-agent" {
  capabilities = ["read", "update"]
}

path "sys/policies/acl/webhook-sealing" {
  capabilities = ["read", "update"]
}

path "sys/policies/acl/webhook-rewrapping" {
  capabilities = ["read", "update"]
}

path "sys/policies/acl/vault-node" {
  capabilities = ["read", "update"]
}

path "sys/policies/acl/operator" {
  capabilities = ["read"]
}

# The key that signs tokens: make it, read its public halves and versions, add new versions, end old ones. Nothing that
# uses or exports it, and nothing at all about the one that wraps data keys.
path "transit/keys/jwt" {
  capabilities = ["read", "update"]
}

path "transit/keys/jwt/rotate" {
  capabilities = ["update"]
}

path "transit/keys/jwt/config" {
  capabilities = ["update"]
}

# Who may log in: clients (AppRole; their names are anybody's), bearer tokens (jwt), functions, services and nodes (aws).
path "auth/approle/role/+" {
  capabilities = ["create", "update", "delete"]
}

path "auth/approle/role/+/role-id" {
  capabilities = ["read"]
}

path "auth/approle/role/+/secret-id" {
  capabilities = ["list", "update"]
}

path "auth/approle/role/+/secret-id-accessor/destroy" {
  capabilities = ["update"]
}

path "auth/jwt/config" {
  capabilities = ["update"]
}

path "auth/jwt/role/anfl" {
  capabilities = ["create", "update"]
}

path "auth/aws/config/client" {
  capabilities = ["update"]
}

path "auth/aws/role/auth" {
  capabilities = ["create", "update"]
}

path "auth/aws/role/vector-store" {
  capabilities = ["create", "update"]
}

path "auth/aws/role/vector-processing" {
  capabilities = ["create", "update"]
}

path "auth/aws/role/model-registry" {
  capabilities = ["create", "update"]
}

path "auth/aws/role/webhook-signer" {
  capabilities = ["create", "update"]
}

path "auth/aws/role/key-agent" {
  capabilities = ["create", "update"]
}

path "auth/aws/role/vault-node" {
  capabilities = ["create", "update"]
}

# Which audit devices there are: none may be added, changed or removed without the root token.
path "sys/audit" {
  capabilities = ["read", "sudo"]
}

# When the cluster forgets a node that is gone.
path "sys/storage/raft/autopilot/configuration" {
  capabilities = ["read", "update"]
}
