"""System paths, envelopes, seal and tokens, through hvac and plain HTTP."""

import threading
from collections.abc import Callable
from typing import Any

import hvac
import pytest
import requests

from local.vault.api import Operation, VaultError
from local.vault.build import build, build_open
from local.vault.http import serve
from local.vault.tokens import TokenParams
from tests.local.vault.conftest import ROOT_TOKEN, Clock


def call(address: str, method: str, path: str, **options: Any) -> requests.Response:
    headers = {"X-Vault-Token": ROOT_TOKEN} | options.pop("headers", {})
    return requests.request(method, f"{address}/v1/{path}", headers=headers, timeout=5, **options)


def test_health_is_public(address: str) -> None:
    answer = requests.get(f"{address}/v1/sys/health", timeout=5)
    assert answer.status_code == 200
    assert answer.json() | {"server_time_utc": 0, "version": ""} == {
        "initialized": True,
        "sealed": False,
        "standby": False,
        "performance_standby": False,
        "replication_performance_mode": "disabled",
        "replication_dr_mode": "disabled",
        "server_time_utc": 0,
        "version": "",
        "enterprise": False,
        "cluster_name": "vault-cluster-dev",
        "cluster_id": "00000000-0000-0000-0000-000000000000",
    }
    assert requests.head(f"{address}/v1/sys/health?activecode=299", timeout=5).status_code == 299
    assert requests.get(f"{address}/v1/sys/health?activecode=x", timeout=5).status_code == 400


def test_from_empty_to_unsealed_and_sealed_again() -> None:
    server = serve(build())
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    client = hvac.Client(url=f"http://127.0.0.1:{server.server_address[1]}", token="")
    assert client.sys.read_health_status().status_code == 501
    assert not client.sys.is_initialized()

    made = client.sys.initialize(secret_shares=5, secret_threshold=3)
    with pytest.raises(hvac.exceptions.InvalidRequest, match="already initialized"):
        client.sys.initialize(secret_shares=1, secret_threshold=1)
    client.token = made["root_token"]
    assert client.sys.read_health_status().status_code == 503
    with pytest.raises(hvac.exceptions.VaultDown, match="Vault is sealed"):
        client.auth.token.lookup_self()

    assert client.sys.submit_unseal_key(made["keys"][0])["progress"] == 1
    assert client.sys.submit_unseal_key(made["keys"][0])["progress"] == 1, "the same share counts once"
    assert client.sys.submit_unseal_key(reset=True)["progress"] == 0
    client.sys.submit_unseal_keys(made["keys_base64"][1:3])
    with pytest.raises(hvac.exceptions.InvalidRequest):
        client.sys.submit_unseal_key("00" * 33)
    client.sys.submit_unseal_keys(made["keys"][2:5])
    assert not client.sys.is_sealed()
    assert client.is_authenticated()

    client.sys.seal()
    assert client.sys.is_sealed()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "errors"),
    [
        ("GET", "nowhere/x", {}, 404, ['no handler for route "nowhere/x". route entry not found.']),
        ("GET", "sys/nothing", {}, 404, ["unsupported path"]),
        ("DELETE", "sys/mounts", {}, 405, ["unsupported operation"]),
        ("POST", "sys/mounts/x", {"data": "{"}, 400, ["failed to parse JSON input"]),
        ("POST", "sys/mounts/x", {"json": {"type": "nonsense"}}, 400, None),
        ("GET", "sys/policies/acl/unknown", {}, 404, []),
        ("PUT", "sys/policies/acl/root", {"json": {"policy": 'path "a" {}'}}, 400, ["cannot update 'root' policy"]),
        ("PUT", "sys/policies/acl/x", {"json": {}}, 400, ["'policy' parameter not supplied or empty"]),
        ("GET", "auth/token/lookup-self", {"headers": {"X-Vault-Token": ""}}, 403, ["permission denied"]),
        (
            "GET",
            "auth/token/lookup-self",
            {"headers": {"X-Vault-Token": "hvs.unknown"}},
            403,
            ["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"],
        ),
        ("PATCH", "sys/mounts/x", {"json": {}}, 415, None),
    ],
)
def test_errors(
    address: str, method: str, path: str, options: dict[str, Any], status: int, errors: list[str] | None
) -> None:
    answer = call(address, method, path, **options)

    assert answer.status_code == status
    if errors is not None:
        assert answer.json()["errors"] == errors


def test_mount_twice_is_refused_and_unmount_twice_is_fine(root: hvac.Client) -> None:
    root.sys.enable_secrets_engine("transit", path="deep/transit")
    for path in ("deep/transit", "deep", "deep/transit/below"):
        with pytest.raises(hvac.exceptions.InvalidRequest, match="path is already in use"):
            root.sys.enable_secrets_engine("transit", path=path)
    assert root.sys.list_mounted_secrets_engines()["deep/transit/"]["type"] == "transit"

    for _ in range(2):
        root.sys.disable_secrets_engine("deep/transit")
    assert "deep/transit/" not in root.sys.list_mounted_secrets_engines()["data"]


def test_policies_round_trip_and_apply_at_once(root: hvac.Client, holder: Callable[[str], hvac.Client]) -> None:
    client = holder('path "sys/mounts" { capabilities = ["read"] }')
    client.sys.list_mounted_secrets_engines()
    assert "of-the-holder" in root.sys.list_acl_policies()["data"]["keys"]

    root.sys.create_or_update_acl_policy("of-the-holder", 'path "sys/mounts" { capabilities = ["deny"] }')

    with pytest.raises(hvac.exceptions.Forbidden, match="permission denied"):
        client.sys.list_mounted_secrets_engines()
    root.sys.delete_acl_policy("of-the-holder")
    assert client.sys.get_capabilities(["sys/mounts"])["capabilities"] == ["deny"]


def test_capabilities(root: hvac.Client, holder: Callable[[str], hvac.Client]) -> None:
    client = holder('path "secret/*" { capabilities = ["update", "create"] }')

    answer = client.sys.get_capabilities(["secret/a", "other"])

    assert answer["data"] == {"secret/a": ["create", "update"], "other": ["deny"]}
    assert answer["secret/a"] == ["create", "update"]
    of_other = root.sys.get_capabilities(["secret/a"], token=client.token)
    assert of_other["capabilities"] == ["create", "update"]


class TestTokens:
    def test_login_data(self, root: hvac.Client) -> None:
        auth = root.auth.token.create(policies=["b", "A"], ttl="1h", meta={"k": "v"}, display_name="me")["auth"]

        assert auth["client_token"].startswith("hvs.")
        assert auth["policies"] == ["a", "b", "default"]
        assert (auth["lease_duration"], auth["renewable"], auth["token_type"]) == (3600, True, "service")
        data = root.auth.token.lookup(auth["client_token"])["data"]
        assert (data["display_name"], data["meta"], data["path"]) == ("token-me", {"k": "v"}, "auth/token/create")
        assert 3598 <= data["ttl"] <= 3600
        assert root.auth.token.lookup_self()["data"]["expire_time"] is None

    def test_expiry_and_renewal(self, root: hvac.Client, address: str, clock: Clock) -> None:
        auth = root.auth.token.create(policies=["x"], ttl="60s", explicit_max_ttl="100s")["auth"]
        client = hvac.Client(url=address, token=auth["client_token"])

        clock.passed += 50
        assert client.auth.token.renew_self(increment="30s")["auth"]["lease_duration"] == 30
        clock.passed += 25
        capped = client.auth.token.renew_self(increment="60s")
        assert 24 <= capped["auth"]["lease_duration"] <= 25
        assert "exceeded the effective max_ttl" in capped["warnings"][0]

        clock.passed += 26
        with pytest.raises(hvac.exceptions.Forbidden, match="invalid token"):
            client.auth.token.lookup_self()

    def test_periodic_token_renews_for_ever(self, root: hvac.Client, address: str, clock: Clock) -> None:
        auth = root.auth.token.create(policies=["x"], period="60s")["auth"]
        client = hvac.Client(url=address, token=auth["client_token"])

        for _ in range(5):
            clock.passed += 59
            assert client.auth.token.renew_self()["auth"]["lease_duration"] == 60

    def test_root_with_a_period_is_renewed_like_any_other(self, root: hvac.Client) -> None:
        auth = root.auth.token.create(period="30m")["auth"]

        assert (auth["lease_duration"], auth["policies"]) == (1800, ["root"])

    def test_accessor_looks_up_and_revokes_without_telling_the_token(self, root: hvac.Client) -> None:
        auth = root.auth.token.create(policies=["x"])["auth"]
        found = root.auth.token.lookup_accessor(auth["accessor"])["data"]
        assert (found["id"], found["accessor"]) == ("", auth["accessor"])
        assert auth["accessor"] in root.auth.token.list_accessors()["data"]["keys"]

        root.auth.token.revoke_accessor(auth["accessor"])

        with pytest.raises(hvac.exceptions.InvalidRequest, match="invalid accessor"):
            root.auth.token.lookup_accessor(auth["accessor"])
        with pytest.raises(hvac.exceptions.Forbidden):
            root.auth.token.lookup(auth["client_token"])

    def test_last_use_is_served(self, root: hvac.Client, address: str) -> None:
        auth = root.auth.token.create(policies=["x"], num_uses=2)["auth"]
        client = hvac.Client(url=address, token=auth["client_token"])

        assert client.auth.token.lookup_self()["data"]["num_uses"] == 1
        client.auth.token.lookup_self()
        with pytest.raises(hvac.exceptions.Forbidden):
            client.auth.token.lookup_self()

    def test_revocation_takes_the_children(self, root: hvac.Client, address: str) -> None:
        root.sys.create_or_update_acl_policy("x", 'path "auth/token/create" { capabilities = ["update"] }')
        parent = root.auth.token.create(policies=["x"])["auth"]["client_token"]
        child = hvac.Client(url=address, token=parent).auth.token.create(policies=["x"])["auth"]["client_token"]

        root.auth.token.revoke(parent)

        for token in (parent, child):
            with pytest.raises(hvac.exceptions.Forbidden, match="bad token"):
                root.auth.token.lookup(token)

    @pytest.mark.parametrize(
        "wanted", [{"policies": ["root"]}, {"policies": ["y"]}, {"no_parent": True}, {"period": "1h"}]
    )
    def test_child_gets_no_more_than_its_parent(
        self, holder: Callable[[str], hvac.Client], wanted: dict[str, Any]
    ) -> None:
        client = holder('path "auth/token/create" { capabilities = ["update"] }')

        with pytest.raises(hvac.exceptions.InvalidRequest):
            client.auth.token.create(**wanted)

    def test_batch_tokens_live_and_die_by_time_alone(self, root: hvac.Client, address: str, clock: Clock) -> None:
        auth = root.auth.token.create(policies=["x"], type="batch", ttl="60s")["auth"]
        client = hvac.Client(url=address, token=auth["client_token"])
        assert auth["client_token"].startswith("hvb.")
        assert (auth["accessor"], auth["renewable"]) == ("", False)
        with pytest.raises(hvac.exceptions.InvalidRequest, match="not renewable"):
            client.auth.token.renew_self()
        with pytest.raises(hvac.exceptions.InvalidRequest, match="cannot be revoked"):
            client.auth.token.revoke_self()

        clock.passed += 61
        with pytest.raises(hvac.exceptions.Forbidden):
            client.auth.token.lookup_self()


def test_a_token_is_good_from_its_networks_alone(clock: Clock) -> None:
    core = build_open(root_token=ROOT_TOKEN, clock=clock)
    params = TokenParams(bound_cidrs=("10.1.0.0/16", "::1"))
    made = core.tokens.create(path="auth/jwt/login", display_name="x", params=params, meta={})
    for sender in ("10.1.2.3", "::1"):
        reply = core.handle(Operation.READ, "auth/token/lookup-self", {}, made.id, sender=sender)
        assert reply is not None
        assert (reply.data or {})["bound_cidrs"] == ["10.1.0.0/16", "::1"]
    for sender in ("10.2.0.1", "127.0.0.1"):
        with pytest.raises(VaultError, match="denied"):
            core.handle(Operation.READ, "auth/token/lookup-self", {}, made.id, sender=sender)
