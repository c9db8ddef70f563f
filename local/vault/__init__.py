"""A development Vault for machines without the `vault` binary: the part of its HTTP API that ANFL uses, in memory.

For development and tests only: plain HTTP on loopback, nothing sealed at rest. Real Vault's documented behaviour
(paths, statuses, error texts, TTL arithmetic, policy precedence) is followed, so that what works here works there.

Not there: KV and every other engine, identity entities, response wrapping, leases, token roles, backup of keys, import
of other keys than aes256-gcm96. Accepted without effect: audit devices, CIDR bounds, wrapping TTLs in policies, unique
ids of AWS principals, automatic rotation. `make test-hvac` runs hvac's own integration tests against it.
"""
