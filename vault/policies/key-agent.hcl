# The function `key-agent` imports versions of the wrapping key and proves each (anfl.crypto.agent). It makes,
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
