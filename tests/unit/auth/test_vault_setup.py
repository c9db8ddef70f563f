"""The set-up of Vault: idempotent, resumable anywhere, possible with the operator's rights alone."""

import time
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import hvac
import jwt
import pytest

from anfl import aws
from anfl.auth.issuer import ACTIVATION_SECONDS, TokenIssuer
from anfl.auth.names import granted
from anfl.auth.policies import POLICIES_OF, load_policies
from anfl.auth.principal import Role
from anfl.auth.table import AuthTable
from anfl.auth.vault import IamRole, StaticToken, VaultClient
from anfl.auth.vault_setup import VaultSetup
from anfl.environment import MissingSettingError
from anfl.problems import Problem
from anfl.registry.keys import data_key_place
from anfl.resources import Function, Service
from local.vault.acl import Acl, parse
from local.vault.api import Operation
from tests.unit.auth.cluster import ProcessDiedError
from tests.unit.auth.conftest import (
    AUDIENCE,
    ENVIRONMENT,
    ISSUER,
    REGION,
    ROOT_TOKEN,
    IamIdentity,
    RunningVault,
    running_vault,
)

ROLES: dict[str, str] = {Function.AUTH: "arn:aws:iam::123456789012:role/auth"}


def state(vault: RunningVault, table: AuthTable) -> dict[str, Any]:
    """All that the set-up is about."""
    client = hvac.Client(url=vault.address, token=ROOT_TOKEN)
    return {
        "engines": sorted(client.sys.list_mounted_secrets_engines()["data"]),
        "methods": sorted(client.sys.list_auth_methods()["data"]),
        "policies": {n: client.sys.read_policy(n)["data"]["rules"] for n in client.sys.list_policies()["policies"]},
        "keys": {name: client.secrets.transit.read_key(name)["data"] for name in _keys(client)},
        "jwt": [client.auth.jwt.read_config()["data"], client.auth.jwt.read_role("anfl")["data"]],
        "aws": [client.auth.aws.read_config(), client.auth.aws.read_role("auth")],
        "published": table.published_keys(),
    }


def _keys(client: hvac.Client) -> list[str]:
    names: list[str] = client.secrets.transit.list_keys()["data"]["keys"]
    return names


def test_result(setup: VaultSetup, vault: RunningVault, table: AuthTable) -> None:
    setup.reconcile(iam_roles=ROLES | {Function.AUTHORIZER: "arn:aws:iam::123456789012:role/authorizer"})

    found = state(vault, table)
    assert set(load_policies()) <= set(found["policies"])
    assert found["keys"]["jwt"]["type"] == "ecdsa-p256"
    assert list(found["keys"]) == ["jwt"], "the key that wraps data keys is imported, not made here"
    for key in found["keys"].values():
        assert (key["exportable"], key["allow_plaintext_backup"], key["deletion_allowed"]) == (False, False, False)
    assert [key.kid for key in found["published"]] == [f"{REGION}.1"]
    config, role = found["jwt"]
    assert config["bound_issuer"] == ISSUER
    assert role["bound_audiences"] == [AUDIENCE]
    assert role["token_type"] == "batch"
    assert role["token_policies"] == []
    assert role["token_no_default_policy"] is True
    assert 0 < role["clock_skew_leeway"] <= 5
    assert found["aws"][1]["bound_iam_principal_arn"] == [ROLES[Function.AUTH]]
    client = hvac.Client(url=vault.address, token=ROOT_TOKEN)
    assert client.auth.aws.list_roles()["keys"] == ["auth"], "the authorizer needs no login of its own"


def test_twice_changes_nothing(setup: VaultSetup, vault: RunningVault, table: AuthTable) -> None:
    setup.reconcile(iam_roles=ROLES)
    first = state(vault, table)

    setup.reconcile(iam_roles=ROLES)

    assert state(vault, table) == first


def interrupt_after(calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this many requests reach Vault; then the process dies, its last request executed but not answered."""
    original = hvac.adapters.RawAdapter.request
    seen = 0

    def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal seen
        seen += 1
        answer = original(self, *args, **kwargs)
        if seen > calls:
            raise ProcessDiedError
        return answer

    monkeypatch.setattr(hvac.adapters.RawAdapter, "request", request)


def test_interrupted_after_any_request_the_next_run_completes_it(
    vault: RunningVault, setup: VaultSetup, table: AuthTable, aws_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup.reconcile(iam_roles=ROLES)
    undisturbed = comparable(state(vault, table))
    point = 0
    while True:
        for key in table.published_keys():
            table.withdraw(key.kid)
        with running_vault() as other:
            resumed = VaultSetup(
                other.client(),
                environment=ENVIRONMENT,
                region=REGION,
                auth_table=table,
                issuer=ISSUER,
                audience=AUDIENCE,
                sts_endpoint=aws_endpoint,
            )
            with monkeypatch.context() as patch:
                interrupt_after(point, patch)
                try:
                    resumed.reconcile(iam_roles=ROLES)
                except ProcessDiedError:
                    point += 1
                else:
                    break

            resumed.reconcile(iam_roles=ROLES)

            assert comparable(state(other, table)) == undisturbed, f"interrupted after request {point}"
    assert point > 15


def comparable(found: dict[str, Any]) -> dict[str, Any]:
    """Without what is random: key material and times."""
    rest = found | {"published": [key.kid for key in found["published"]]}
    rest["keys"] = {name: {**key, "keys": sorted(key["keys"])} for name, key in found["keys"].items()}
    rest["jwt"] = [found["jwt"][0] | {"jwt_validation_pubkeys": len(found["jwt"][0]["jwt_validation_pubkeys"])}]
    return rest


def operator(vault: RunningVault) -> VaultClient:
    root = hvac.Client(url=vault.address, token=ROOT_TOKEN)
    token = root.auth.token.create(policies=["operator"], no_parent=True)["auth"]["client_token"]
    return VaultClient(address=vault.address, credentials=StaticToken(token))


def test_operator_policy_suffices_after_the_bootstrap(
    setup: VaultSetup, vault: RunningVault, table: AuthTable, aws_endpoint: str
) -> None:
    setup.reconcile(iam_roles={})
    by_operator = VaultSetup(
        operator(vault),
        environment=ENVIRONMENT,
        region=REGION,
        auth_table=table,
        issuer=ISSUER,
        audience="another",
        sts_endpoint=aws_endpoint,
    )

    by_operator.reconcile(iam_roles=ROLES)
    by_operator.ensure_client("reader", tenant="demo", roles=[Role.READER])
    by_operator.ensure_client("reader", tenant="demo", roles=[Role.READER])
    by_operator.remove_client("reader", tenant="demo")

    assert state(vault, table)["jwt"][1]["bound_audiences"] == ["another"]


@pytest.mark.parametrize(
    "overreach",
    [
        lambda c: c.sys.create_or_update_acl_policy("operator", 'path "*" { capabilities = ["sudo"] }'),
        lambda c: c.sys.create_or_update_acl_policy("mine", 'path "*" { capabilities = ["sudo"] }'),
        lambda c: c.auth.token.create(policies=["root"]),
        lambda c: c.secrets.transit.sign_data("jwt", "eA=="),
        lambda c: c.secrets.transit.encrypt_data("anfl", "eA==", context="eA=="),
        lambda c: c.secrets.transit.decrypt_data("anfl", "vault:v1:eA==", context="eA=="),
        lambda c: c.secrets.transit.delete_key("jwt"),
        lambda c: c.secrets.transit.create_key("anfl", derived=True),
        lambda c: c.secrets.transit.read_key("anfl"),
        lambda c: c.adapter.post("/v1/transit/keys/anfl/import", json={"ciphertext": "eA=="}),
        lambda c: c.sys.disable_secrets_engine("transit"),
        lambda c: c.sys.disable_auth_method("jwt"),
        lambda c: c.sys.seal(),
    ],
)
def test_operator_can_do_no_more(setup: VaultSetup, vault: RunningVault, overreach: Callable[[Any], Any]) -> None:
    setup.reconcile(iam_roles={})

    with pytest.raises(hvac.exceptions.Forbidden):
        operator(vault).attempt(overreach)


def test_a_refusal_tells_the_operator_why(setup: VaultSetup) -> None:
    setup.reconcile(iam_roles={})

    with pytest.raises(hvac.exceptions.InvalidPath, match="unsupported path"):
        setup.bind("two words", "arn:aws:iam::123456789012:role/auth", [])


def test_every_bound_policy_exists_and_parses() -> None:
    policies = load_policies()

    assert {name for names in POLICIES_OF.values() for name in names} <= policies.keys()
    for text in policies.values():
        assert parse(text)


@pytest.mark.parametrize(
    ("policy", "operation", "path", "allowed"),
    [
        ("auth-function", Operation.UPDATE, "transit/sign/jwt", True),
        ("auth-function", Operation.UPDATE, "transit/sign/anfl", False),
        ("auth-function", Operation.READ, "transit/keys/jwt", False),
        ("auth-function", Operation.UPDATE, "transit/decrypt/anfl", False),
        ("data-service", Operation.UPDATE, "transit/encrypt/anfl", False),
        ("data-service", Operation.CREATE, "transit/encrypt/anfl", False),
        ("data-service", Operation.UPDATE, "transit/decrypt/anfl", True),
        ("data-service", Operation.UPDATE, "transit/datakey/plaintext/anfl", True),
        ("data-service", Operation.UPDATE, "transit/sign/jwt", False),
        ("data-service", Operation.UPDATE, "transit/keys/anfl/import_version", False),
        ("data-service", Operation.READ, "transit/keys/anfl", False),
        ("key-agent", Operation.UPDATE, "transit/keys/anfl/import", True),
        ("key-agent", Operation.UPDATE, "transit/keys/anfl/import_version", True),
        ("key-agent", Operation.UPDATE, "transit/keys/anfl/rotate", False),
        ("key-agent", Operation.UPDATE, "transit/keys/anfl/config", False),
        ("key-agent", Operation.DELETE, "transit/keys/anfl", False),
        ("key-agent", Operation.UPDATE, "transit/keys/anfl", False),
        ("key-agent", Operation.UPDATE, "transit/keys/jwt/import", False),
        ("key-agent", Operation.UPDATE, "transit/encrypt/anfl", False),
        ("key-agent", Operation.READ, "transit/export/encryption-key/anfl", False),
        ("data-service", Operation.READ, "transit/export/encryption-key/anfl", False),
    ],
)
def test_least_privilege(policy: str, operation: Operation, path: str, allowed: bool) -> None:
    assert Acl([parse(load_policies()[policy])]).allows(operation, path, {}) is allowed


@pytest.mark.parametrize(
    ("policy", "path"),
    [
        ("webhook-sealing", "transit/datakey/plaintext/anfl"),
        ("webhook-sealing", "transit/decrypt/anfl"),
        ("webhook-rewrapping", "transit/rewrap/anfl"),
    ],
)
def test_who_opens_secrets_of_webhooks_gets_at_no_other_data_key(policy: str, path: str) -> None:
    acl = Acl([parse(load_policies()[policy])])

    def may(context: str, **more: object) -> bool:
        return acl.allows(Operation.UPDATE, path, {"context": b64encode(context.encode()).decode(), **more})

    assert may(data_key_place("demo", "us-west-1"), key_version=1) or may(data_key_place("demo", "us-west-1"))
    assert not may("demo/glosses/0123/keys/00000001/2026-11-26")
    assert not may("secrets/glosses/0123/keys/00000001/2026-11-26")
    assert not may(data_key_place("demo", "us-west-1"), batch_input=[{"context": "ZGVtbw=="}])


def test_new_secret_id_replaces_the_earlier_one(ready: VaultSetup, vault: RunningVault) -> None:
    first = ready.ensure_client("reader", tenant="demo", roles=[Role.READER])
    second = ready.ensure_client("reader", tenant="demo", roles=[Role.READER, Role.WRITER])
    client = VaultClient(address=vault.address)

    login = client.login_approle(role_id=second.role_id, secret_id=second.secret_id)

    assert login.metadata == {"role_name": "demo.reader", "tenant": "demo", "roles": "reader writer"}
    assert first.role_id == second.role_id
    with pytest.raises(Problem, match="invalid_credentials"):
        client.login_approle(role_id=first.role_id, secret_id=first.secret_id)


@pytest.mark.parametrize(
    ("tenant", "roles", "reason"),
    [("Demo", [Role.READER], "lower-case"), ("a.b", [Role.READER], "lower-case"), ("demo", [], "at least one")],
)
def test_client_that_could_get_no_token_is_refused(
    setup: VaultSetup, tenant: str, roles: list[Role], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        setup.ensure_client("reader", tenant=tenant, roles=roles)


def test_same_name_in_two_tenants_is_two_clients(ready: VaultSetup, vault: RunningVault) -> None:
    one = ready.ensure_client("reader", tenant="one", roles=[Role.READER])
    two = ready.ensure_client("reader", tenant="two", roles=[Role.READER])

    for credentials, tenant in ((one, "one"), (two, "two")):
        login = VaultClient(address=vault.address).login_approle(
            role_id=credentials.role_id, secret_id=credentials.secret_id
        )
        assert login.metadata["tenant"] == tenant


def test_client_login_can_do_nothing_in_vault(ready: VaultSetup, vault: RunningVault) -> None:
    credentials = ready.ensure_client("admin", tenant="demo", roles=[Role.ADMIN])
    login = VaultClient(address=vault.address).login_approle(
        role_id=credentials.role_id, secret_id=credentials.secret_id
    )

    client = hvac.Client(url=vault.address, token=login.token)
    with pytest.raises(hvac.exceptions.Forbidden):
        client.secrets.transit.sign_data("jwt", "eA==")
    with pytest.raises(hvac.exceptions.Forbidden):
        client.auth.token.lookup_self()


def test_only_the_bound_iam_role_logs_in(
    ready: VaultSetup,  # noqa: ARG001 - bound by it
    vault: RunningVault,
    iam_role: Callable[[str], IamIdentity],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    login = VaultClient(address=vault.address).login_iam(Function.AUTH, ENVIRONMENT)
    assert login.metadata["canonical_arn"].endswith("-auth")

    for name, value in iam_role("anfl-test-somebody").environment.items():
        monkeypatch.setenv(name, value)
    aws.session.cache_clear()

    with pytest.raises(Problem, match="vault_unavailable"):
        VaultClient(address=vault.address).login_iam(Function.AUTH, ENVIRONMENT)


def test_a_process_that_was_not_told_its_environment_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANFL_ENVIRONMENT", raising=False)
    with pytest.raises(MissingSettingError, match="ANFL_ENVIRONMENT"):
        IamRole(Service.VECTOR_STORE)


def test_service_role_gets_its_policies(ready: VaultSetup, vault: RunningVault, auth_role: IamIdentity) -> None:
    ready.bind(Service.VECTOR_STORE, auth_role.arn, POLICIES_OF[Service.VECTOR_STORE])
    client = VaultClient(address=vault.address, credentials=IamRole(Service.VECTOR_STORE))
    vault.client().attempt(lambda c: c.secrets.transit.create_key("anfl", derived=True))

    made = client.operate(lambda c: c.secrets.transit.generate_data_key("anfl", "plaintext", context="eA=="))

    assert made["data"]["ciphertext"].startswith("vault:v1:")
    with pytest.raises(Problem, match="vault_unavailable"):
        client.sign_jws(key="jwt", version=1, signing_input=b"x")


def test_client_logs_in_again_when_its_token_is_gone(
    ready: VaultSetup,  # noqa: ARG001 - bound by it
    vault: RunningVault,
) -> None:
    client = VaultClient(address=vault.address, credentials=IamRole(Function.AUTH))
    client.sign_jws(key="jwt", version=1, signing_input=b"x")
    client.operate(lambda c: c.auth.token.revoke_self())

    assert len(client.sign_jws(key="jwt", version=1, signing_input=b"x")) == 86


def test_rotation_signs_with_the_new_version_only_when_everybody_knows_it(
    ready: VaultSetup, vault: RunningVault, table: AuthTable
) -> None:
    credentials = ready.ensure_client("reader", tenant="demo", roles=[Role.READER])
    vault.client().attempt(lambda c: c.secrets.transit.rotate_key("jwt"))
    ready.keys.distribute()
    offset = 0.0

    def kid() -> str:

        issuer = TokenIssuer(
            VaultClient(address=vault.address, credentials=IamRole(Function.AUTH)),
            published_keys=table.published_keys,
            region=REGION,
            issuer=ISSUER,
            audience=AUDIENCE,
            lifetime=900,
            session=3600,
            clock=lambda: time.time() + offset,
        )
        token = issuer.exchange_approle(role_id=credentials.role_id, secret_id=credentials.secret_id).access_token
        found: str = jwt.get_unverified_header(token)["kid"]
        keys = {key.kid: jwt.PyJWK(key.jwk) for key in table.published_keys()}
        jwt.decode(token, keys[found], ["ES256"], audience=AUDIENCE, options={"verify_nbf": False, "verify_iat": False})
        return found

    assert kid() == f"{REGION}.1"
    offset = ACTIVATION_SECONDS + 1
    assert kid() == f"{REGION}.2"

    vault.client().attempt(lambda c: c.secrets.transit.update_key_configuration("jwt", min_decryption_version=2))
    ready.keys.publish()
    assert [key.kid for key in table.published_keys()] == [f"{REGION}.2"]


@pytest.mark.parametrize(
    ("policies", "told"),
    [
        (
            ["anfl/tenant/acme", "anfl/role/writer", "anfl/role/reader", "default"],
            {"tenant": "acme", "roles": "reader writer"},
        ),
        (["anfl/tenant/acme", "anfl/tenant/other", "anfl/role/admin"], {}),
        (["anfl/role/admin"], {}),
        ([], {}),
    ],
)
def test_an_iam_role_that_is_bound_to_two_tenants_is_a_client_of_neither(
    policies: list[str], told: dict[str, str]
) -> None:
    assert granted(policies) == told
