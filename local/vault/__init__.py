"""A development Vault for machines without the `vault` binary: the part of its HTTP API that ANFL uses, in memory.

For development and tests only: plain HTTP on loopback, nothing sealed at rest. Real Vault's documented behaviour
(paths, statuses, error texts, TTL arithmetic, policy precedence) is followed, so that what works here works there.

Not there: KV and every other engine, identity entities, response wrapping, leases, audit devices, token roles, export
and backup of keys. Accepted without effect: CIDR bounds, wrapping TTLs in policies, unique ids of AWS principals.
"""
