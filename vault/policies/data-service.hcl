# The services and the function that read and write tenants' data. They wrap and unwrap data keys, derived by a context
# that names tenant and collection, and never see the wrapping key itself.

# `update` without `create`: a mistyped key name is an error, not a new key.
path "transit/encrypt/anfl" {
  capabilities = ["update"]
}

path "transit/decrypt/anfl" {
  capabilities = ["update"]
}

# After a rotation wrapped keys move to the new version without being opened here.
path "transit/rewrap/anfl" {
  capabilities = ["update"]
}

# A new data key in clear and wrapped, in one call.
path "transit/datakey/plaintext/anfl" {
  capabilities = ["update"]
}
