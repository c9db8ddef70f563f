# The service and the function that read and write tenants' vectors. They have data keys made, wrapped and unwrapped,
# derived by a context that names tenant, collection and day, and never see the wrapping key itself.

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
