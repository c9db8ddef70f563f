"""hvac's tests that cannot pass against the development Vault, and why: by class and name, as patterns.

What ANFL uses of Vault is not here: such a test passes, or the development Vault is wrong.
"""

_ENTERPRISE = "Vault Enterprise only"
_HA = "needs a cluster with Consul; standby nodes are not played here"
_WRAPPING = "response wrapping: ANFL wraps no response, and none that should be wrapped is told"
_ROLES = "token roles: nobody creates tokens for others"
_BACKUP = "backup of a key: keys of ANFL never leave Vault"
_EXTRAS = "hashes, MACs and random bytes: ANFL computes its own"
_DISCOVERY = "keys fetched by OIDC discovery from Vault's identity engine: ANFL pushes public keys"
_ALIASES = "what goes into an identity's alias: ANFL uses no identity entities"

REASONS: dict[str, str] = {
    "TestPolicies.test_*_rgp_policy": _ENTERPRISE,
    "TestPolicies.test_*_egp_policy": _ENTERPRISE,
    "TestHealth.test_*_standby*": _HA,
    "TestAppRole.test_generate_secret_id_[12]_*": _WRAPPING,
    "TestAppRole.test_create_custom_secret_id_[12]_*": _WRAPPING,
    "TestToken.test_create_wrapped_*": _WRAPPING,
    "TestToken.test_token_roles": _ROLES,
    "TestToken.test_create_token_w_role": _ROLES,
    "TestTransit.test_backup_key_*": _BACKUP,
    "TestTransit.test_restore_key_*": _BACKUP,
    "TestTransit.test_generate_hmac_0_success": _EXTRAS,
    "TestTransit.test_generate_random_bytes_0_success": _EXTRAS,
    "TestTransit.test_hash_data_0_success": _EXTRAS,
    "TestTransit.test_export_key_0_success": f"exports the key's MAC; {_EXTRAS}",
    "TestJWT.test_configure_*": _DISCOVERY,
    "TestJWT.test_read_config_*": _DISCOVERY,
    "TestJWT.test_jwt_login_*": _DISCOVERY,
    "TestMount.test_secret_backend_manipulation": "moves a mount (sys/remount): no policy of ANFL allows it",
    "TestAws.test_configure_identity_integration_succeeds_*": _ALIASES,
    "TestAws.test_configure_identity_integration_fails_[01]_*": _ALIASES,
    "TestAudit.test_audit_hash_*": "nothing is audited here",
}
