# A node of the cluster itself: whether its fellows are well, and the snapshots that it puts into S3. A snapshot is
# encrypted by the seal: without the key of KMS it is noise.

path "sys/storage/raft/autopilot/state" {
  capabilities = ["read"]
}

path "sys/storage/raft/snapshot" {
  capabilities = ["read"]
}
