# The function `key-agent` tells everybody of the region's public keys of tokens, and Vault of everybody's
# (anfl.auth.token_keys). It imports versions of the wrapping key and proves each (anfl.crypto.agent). It makes,
# rotates, configures and deletes none, and its key is imported so that nobody can read it back or rotate it here.

path "transit/keys/anfl" {
  capabilities = ["read"]
}

# Vault's own public key, for which material is wrapped on its way.
path "transit/wrapping_key" {
  capabilities = ["read"]
}

path "transit/keys/anfl/import" {
  capabilities = ["update"]
}

path "transit/keys/anfl/import_version" {
  capabilities = ["update"]
}

# A version is proven by opening what only its secret can have sealed.
path "transit/decrypt/anfl" {
  capabilities = ["update"]
}

# The public halves of the key that signs tokens, and what the jwt mount believes.
path "transit/keys/jwt" {
  capabilities = ["read"]
}

path "auth/jwt/config" {
  capabilities = ["update"]
}
