# The function `auth` turns a Vault login into a bearer token. It signs, and that is all it may do: public keys reach it
# through the auth table, and clients log in with their own credentials, not with its token.

# No hash in the path: the client names it in the body.
path "transit/sign/jwt" {
  capabilities = ["update"]
}
