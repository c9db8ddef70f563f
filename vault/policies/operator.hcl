# Reconciles Vault's set-up after every deployment, and adds clients (anfl.auth.vault_setup). It reads no tenant's data,
# signs no token, and cannot widen its own rights: this policy is written by the bootstrap, with the root token, only.

# Which engines and methods are there; add those that are missing. Methods need sudo by Vault's own rule.
path "sys/mounts" {
  capabilities = ["read"]
}

path "sys/mounts/transit" {
  capabilities = ["create", "update"]
}

path "sys/auth" {
  capabilities = ["read"]
}

path "sys/auth/approle" {
  capabilities = ["create", "update", "sudo"]
}

path "sys/auth/jwt" {
  capabilities = ["create", "update", "sudo"]
}

path "sys/auth/aws" {
  capabilities = ["create", "update", "sudo"]
}

# The policies of functions and services; its own it may compare, not change.
path "sys/policies/acl/auth-function" {
  capabilities = ["create", "read", "update"]
}

path "sys/policies/acl/data-service" {
  capabilities = ["create", "read", "update"]
}

path "sys/policies/acl/vault-node" {
  capabilities = ["create", "read", "update"]
}

path "sys/policies/acl/operator" {
  capabilities = ["read"]
}

# Keys: create, read public halves and versions, rotate, retire old versions. Nothing that uses or exports them.
path "transit/keys/jwt" {
  capabilities = ["create", "read", "update"]
}

path "transit/keys/anfl" {
  capabilities = ["create", "read", "update"]
}

path "transit/keys/+/rotate" {
  capabilities = ["update"]
}

path "transit/keys/+/config" {
  capabilities = ["update"]
}

# Who may log in: clients (AppRole), bearer tokens (jwt), functions and services (aws).
path "auth/approle/role/+" {
  capabilities = ["create", "read", "update", "delete"]
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
  capabilities = ["read", "update"]
}

path "auth/jwt/role/anfl" {
  capabilities = ["create", "read", "update"]
}

path "auth/aws/config/client" {
  capabilities = ["create", "read", "update"]
}

path "auth/aws/role/+" {
  capabilities = ["create", "read", "update", "delete"]
}

# Which audit devices there are: none may be added, changed or removed without the root token.
path "sys/audit" {
  capabilities = ["read", "sudo"]
}

# When the cluster forgets a node that is gone.
path "sys/storage/raft/autopilot/configuration" {
  capabilities = ["read", "update"]
}
