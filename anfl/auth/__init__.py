"""Who is calling, and may they: JWT → Vault → RBAC."""
