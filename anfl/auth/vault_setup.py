"""Brings a Vault into the state that ANFL needs; run it again after any change or interruption.

Every step looks first and changes only what differs, so running it twice, or again after it was interrupted anywhere,
ends in the same state. The bootstrap of a deployed Vault and ``make run`` call it the same way, once a region::

    vault = VaultClient(address=..., credentials=StaticToken(operator_or_root_token))
    setup = VaultSetup(
        vault, environment="dev", region="us-west-1", auth_table=AuthTable(name=...), issuer=..., audience=...,
        sts_endpoint="http://127.0.0.1:4566",  # locally; by default the region's own STS
    )
    setup.reconcile(iam_roles={Function.AUTH: "arn:aws:iam::...:role/...", Service.VECTOR_STORE: "arn:...", ...})
    reader = setup.ensure_client("reader", tenant="demo", roles=[Role.READER])
    # reader.role_id, reader.secret_id → POST /v1/auth/token

``iam_roles`` may hold every function and service; those that need nothing from Vault get nothing. With several regions,
reconcile each, then call ``keys.adopt()`` in each again: only then does every region's Vault know the keys of
those that came after it. Where ANFL is deployed the function ``key-agent`` does so every few minutes.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import hvac
import msgspec
from hvac.exceptions import InvalidPath, InvalidRequest

from anfl.auth.grants import CLIENT_PATTERN
from anfl.auth.names import CALLER_ROLE, JWT_KEY, client_role, granting_policies, server_id
from anfl.auth.policies import POLICIES_OF, load_policies
from anfl.auth.principal import Role
from anfl.auth.table import AuthTable
from anfl.auth.token_keys import TokenKeys
from anfl.auth.vault import VaultClient
from anfl.auth.verifier import TENANT_PATTERN

_SERVICE_TOKEN_SECONDS = 3600
_CALLER_TOKEN_SECONDS = 60
_CLOCK_SKEW_SECONDS = 5


class ClientCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """What a client exchanges for tokens. The secret id is told once."""

    role_id: str
    secret_id: str


class VaultSetup:
    """One region's Vault, as ANFL wants it.

    Methods raise Problem 503 where Vault is away, and hvac's exceptions where it refuses: they tell the operator why.
    """

    def __init__(
        self,
        vault: VaultClient,
        *,
        environment: str,
        region: str,
        auth_table: AuthTable,
        issuer: str,
        audience: str,
        sts_endpoint: str | None = None,
        policies: Mapping[str, str] | None = None,
    ) -> None:
        """:param policies: HCL texts by name; by default those of the repository."""
        self._vault = vault
        self._environment = environment
        self._region = region
        self.keys = TokenKeys(vault, region=region, table=auth_table, issuer=issuer)
        self._audience = audience
        self._sts_endpoint = sts_endpoint or f"https://sts.{region}.amazonaws.com"
        self._policies = load_policies() if policies is None else policies

    def reconcile(self, *, iam_roles: Mapping[str, str]) -> None:
        """Everything: mounts, the key of tokens, policies, methods and roles.

        :param iam_roles: ARN of the IAM role by name of the function or service.
        """
        self._ensure_mounts()
        self._ensure_signing_key()
        for name, text in self._policies.items():
            self._ensure_policy(name, text)
        self._configure_aws()
        for name, role_arn in iam_roles.items():
            if name in POLICIES_OF:
                self.bind(name, role_arn, POLICIES_OF[name])
        self.keys.distribute()
        self._ensure_caller_role()

    def bind(self, name: str, role_arn: str, policies: Sequence[str]) -> None:
        """Let the IAM role log in as ``name`` with ``policies``."""
        self._vault.attempt(
            lambda client: client.auth.aws.create_role(
                role=name,
                auth_type="iam",
                bound_iam_principal_arn=[role_arn],
                # By ARN: unique ids need iam:GetRole, and whoever may recreate roles rules the account anyway.
                resolve_aws_unique_ids=False,
                ttl=_SERVICE_TOKEN_SECONDS,
                max_ttl=_SERVICE_TOKEN_SECONDS * 24,
                policies=list(policies),
            )
        )

    def ensure_client(self, name: str, *, tenant: str, roles: Sequence[Role]) -> ClientCredentials:
        """A client of the API: an AppRole with a new secret id, which replaces every earlier one.

        :param name: unique within the tenant; the subject of its tokens is ``<tenant>.<name>``.
        :raises ValueError: a tenant or roles that no token could carry.
        """
        _check_client(name, tenant, roles)
        role = client_role(tenant=tenant, name=name)
        metadata = {"tenant": tenant, "roles": " ".join(sorted(set(roles)))}

        def ensure(client: hvac.Client) -> ClientCredentials:
            approle = client.auth.approle
            approle.create_or_update_approle(
                role_name=role,
                bind_secret_id=True,
                # The login only tells tenant and roles: its Vault token can do nothing.
                token_policies=[],
                token_no_default_policy=True,
                token_type="batch",  # noqa: S106 - a kind of token
                token_ttl=_CALLER_TOKEN_SECONDS,
            )
            earlier = _secret_id_accessors(client, role)
            made = approle.generate_secret_id(role_name=role, metadata=metadata)["data"]
            for accessor in earlier:
                approle.destroy_secret_id_accessor(role_name=role, secret_id_accessor=accessor)
            role_id = approle.read_role_id(role_name=role)["data"]["role_id"]
            return ClientCredentials(role_id=role_id, secret_id=made["secret_id"])

        return self._vault.attempt(ensure)

    def ensure_iam_client(self, name: str, *, tenant: str, roles: Sequence[Role], role_arn: str) -> str:
        """A client of the API that logs in by an IAM role of its own; the name of its role in Vault's aws mount.

        It takes a root token: the operator policy names the roles of that mount that it may write.

        :raises ValueError: see `ensure_client`; also a name with more than lower-case letters, digits, ``_.-``.
        """
        _check_client(name, tenant, roles)
        role = client_role(tenant=tenant, name=name)
        if not re.search(CLIENT_PATTERN, role):
            raise ValueError(f"client {name!r}: use lower-case letters, digits, '_', '.' and '-'")
        bound: dict[str, Any] = {
            "auth_type": "iam",
            "bound_iam_principal_arn": [role_arn],
            "resolve_aws_unique_ids": False,
            # As of AppRoles: the login only tells tenant and roles. hvac's call does not know these fields.
            "token_policies": granting_policies(tenant=tenant, roles=roles),
            "token_no_default_policy": True,
            "token_type": "batch",
            "token_ttl": _CALLER_TOKEN_SECONDS,
        }
        self._vault.attempt(lambda client: client.adapter.post(f"/v1/auth/aws/role/{role}", json=bound))
        return role

    def remove_client(self, name: str, *, tenant: str) -> None:
        """Take a client's access by AppRole away; tokens it holds live on until they expire or are revoked.

        :raises LookupError: it has none here, so that nothing is taken away. It may log in by IAM role, or elsewhere.
        """
        role = client_role(tenant=tenant, name=name)
        self._remove(
            lambda client: client.auth.approle.read_role_id(role_name=role),
            lambda client: client.auth.approle.delete_role(role_name=role),
            missing=f"there is no AppRole {role} in {self._region}",
        )

    def remove_iam_client(self, name: str, *, tenant: str) -> None:
        """Take a client's access by IAM role away, as `remove_client` does that by AppRole. It takes a root token too.

        :raises LookupError: see `remove_client`.
        """
        role = client_role(tenant=tenant, name=name)
        self._remove(
            lambda client: client.auth.aws.read_role(role=role),
            lambda client: client.auth.aws.delete_role(role=role),
            missing=f"no IAM role logs in as {role} in {self._region}",
        )

    def _remove(
        self, read: Callable[[hvac.Client], object], delete: Callable[[hvac.Client], object], *, missing: str
    ) -> None:
        """Vault itself deletes what there is not without a word."""

        def remove(client: hvac.Client) -> None:
            try:
                read(client)
            except InvalidPath:
                raise LookupError(missing) from None
            delete(client)

        self._vault.attempt(remove)

    def _ensure_mounts(self) -> None:
        def ensure(client: hvac.Client) -> None:
            if "transit/" not in client.sys.list_mounted_secrets_engines()["data"]:
                _unless_there(lambda: client.sys.enable_secrets_engine("transit"))
            methods = client.sys.list_auth_methods()["data"]
            for method in ("approle", "jwt", "aws"):
                if f"{method}/" not in methods:
                    _unless_there(lambda method=method: client.sys.enable_auth_method(method))

        self._vault.attempt(ensure)

    def _ensure_signing_key(self) -> None:
        """The one that wraps data keys is equal in all regions, and comes from outside (`anfl.crypto.leader`)."""

        def ensure(client: hvac.Client) -> None:
            try:
                client.secrets.transit.read_key(name=JWT_KEY)
            except InvalidPath:
                client.secrets.transit.create_key(name=JWT_KEY, key_type="ecdsa-p256")

        self._vault.attempt(ensure)

    def _ensure_policy(self, name: str, text: str) -> None:
        def ensure(client: hvac.Client) -> None:
            try:
                standing = client.sys.read_acl_policy(name=name)["data"]["policy"]
            except InvalidPath:
                standing = None
            if standing != text:
                client.sys.create_or_update_acl_policy(name=name, policy=text)

        self._vault.attempt(ensure)

    def _configure_aws(self) -> None:
        self._vault.attempt(
            lambda client: client.auth.aws.configure(
                sts_endpoint=self._sts_endpoint,
                sts_region=self._region,
                iam_server_id_header_value=server_id(self._environment, self._region),
            )
        )

    def _ensure_caller_role(self) -> None:
        """Tenant and roles pass from the token into Vault's answer; the Vault token itself can do nothing."""
        role: dict[str, Any] = {
            "name": CALLER_ROLE,
            "role_type": "jwt",
            "user_claim": "sub",
            "bound_audiences": [self._audience],
            "bound_claims": {"roles": [role.value for role in Role]},
            # Vault maps string claims only, so the roles travel once more as `scope`.
            "claim_mappings": {"tenant": "tenant", "scope": "roles"},
            "clock_skew_leeway": _CLOCK_SKEW_SECONDS,
            "token_type": "batch",
            "token_ttl": _CALLER_TOKEN_SECONDS,
            "token_no_default_policy": True,
        }
        self._vault.attempt(
            lambda client: client.adapter.post(f"/v1/auth/jwt/role/{CALLER_ROLE}", json=role | {"token_policies": []})
        )


def _check_client(name: str, tenant: str, roles: Sequence[Role]) -> None:
    if not re.search(TENANT_PATTERN, tenant):
        raise ValueError(f"tenant {tenant!r}: use up to 63 lower-case letters, digits and hyphens")
    if not roles:
        raise ValueError(f"client {name!r}: give it at least one of {', '.join(Role)}")


def _unless_there(enable: Any) -> None:  # noqa: ANN401 - any call
    """Somebody else may have enabled it between the look and the call."""
    try:
        enable()
    except InvalidRequest as error:
        if "path is already in use" not in str(error):
            raise


def _secret_id_accessors(client: hvac.Client, role: str) -> list[str]:
    try:
        found: list[str] = client.auth.approle.list_secret_id_accessors(role_name=role)["data"]["keys"]
    except InvalidPath:
        return []
    return found
