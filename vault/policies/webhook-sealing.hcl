# The service and the function that seal and open secrets of webhooks. The data keys that they have made and unwrapped are
# those whose context begins with "_secrets/" (in base64, which is how Vault is given it), and no others: not those of
# tenants' vectors. What is not named here may not be sent, so no batch brings another context in.

path "transit/datakey/plaintext/anfl" {
  capabilities = ["update"]
  allowed_parameters = {
    "bits"        = []
    "context"     = ["X3NlY3JldHMv*"]
    "key_version" = []
  }
}

path "transit/decrypt/anfl" {
  capabilities = ["update"]
  allowed_parameters = {
    "ciphertext" = []
    "context"    = ["X3NlY3JldHMv*"]
  }
}
