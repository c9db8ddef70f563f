# The function `webhook-signer` moves those keys to a new version of the wrapping key, without seeing them.

path "transit/rewrap/anfl" {
  capabilities = ["update"]
  allowed_parameters = {
    "ciphertext"  = []
    "context"     = ["X3NlY3JldHMv*"]
    "key_version" = []
  }
}
