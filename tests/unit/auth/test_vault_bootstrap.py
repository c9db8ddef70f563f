"""From nothing to a cluster that is set up: whatever happened before, and wherever a run was interrupted."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import hvac
import pytest
from hvac.exceptions import InvalidRequest

from anfl import aws
from anfl.auth import identity_request
from anfl.auth.names import NODE_ROLE, former_server_id, server_id
from anfl.auth.table import AuthTable, PublishedKey
from anfl.auth.vault import IamRole, VaultClient
from anfl.auth.vault_bootstrap import AUDIT_DEVICES, BootstrapError, VaultBootstrap
from anfl.resources import Caretaker, Function
from tests.unit.auth.cluster import Cluster, ProcessDiedError, Store, die_after, make
from tests.unit.auth.conftest import ENVIRONMENT, REGION, IamIdentity

NODE_ARN = "arn:aws:iam::123456789012:role/node"
FUNCTION_ARN = "arn:aws:iam::123456789012:role/auth"


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with ExitStack() as exits:
        found = Cluster(exits=exits)
        found.start()
        yield found


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def bootstrap(cluster: Cluster, store: Store, table: AuthTable, aws_endpoint: str) -> VaultBootstrap:
    return make(cluster, store, table, aws_endpoint)


@pytest.fixture
def roles(auth_role: IamIdentity) -> dict[str, str]:
    """This process runs under the bootstrap's own IAM role."""
    return {Caretaker.VAULT_BOOTSTRAP: auth_role.arn, NODE_ROLE: NODE_ARN}


def operator(cluster: Cluster) -> VaultClient:
    """What the bootstrap is at later deployments."""
    return VaultClient(address=cluster.urls[0], credentials=IamRole(Caretaker.VAULT_BOOTSTRAP))


def state(cluster: Cluster) -> dict[str, Any]:
    roots, client = cluster.root_tokens(), cluster.root()
    audit = client.sys.list_enabled_audit_devices()["data"]
    found = {
        "root tokens": roots,
        "methods": sorted(client.sys.list_auth_methods()["data"]),
        "engines": sorted(client.sys.list_mounted_secrets_engines()["data"]),
        "audit": {name: device["options"] for name, device in audit.items()},
        "autopilot": client.adapter.get("/v1/sys/storage/raft/autopilot/configuration")["data"],
        "node": client.auth.aws.read_role(NODE_ROLE),
        "own": client.auth.aws.read_role(Caretaker.VAULT_BOOTSTRAP),
        "caller": client.auth.jwt.read_role("anfl")["data"],
        "policies": {
            n: client.sys.read_acl_policy(n)["data"]["policy"] for n in client.sys.list_policies()["policies"]
        },
        "keys": {
            name: client.secrets.transit.read_key(name)["data"]["type"]
            for name in client.secrets.transit.list_keys()["data"]["keys"]
        },
    }
    client.auth.token.revoke_self()
    return found


def test_empty_nodes_become_a_cluster_that_is_set_up(
    bootstrap: VaultBootstrap, cluster: Cluster, store: Store, roles: dict[str, str], table: AuthTable
) -> None:
    bootstrap.run(iam_roles=roles, seconds=5)

    found = state(cluster)
    assert found["audit"] == {f"{kind}/": dict(options) for kind, options in AUDIT_DEVICES.items()}
    assert len(found["audit"]) == 2
    assert found["autopilot"]["cleanup_dead_servers"] is True
    assert found["autopilot"]["min_quorum"] == 3, "without it no dead server is cleaned up"
    assert found["own"]["bound_iam_principal_arn"] == [roles[Caretaker.VAULT_BOOTSTRAP]]
    assert found["own"]["token_policies"] == ["operator"]
    assert found["node"]["token_policies"] == ["vault-node"]
    assert found["keys"] == {"jwt": "ecdsa-p256"}, "the one that wraps data keys is imported later"
    assert {"approle/", "aws/", "jwt/"} <= set(found["methods"])
    assert [key.kid for key in table.published_keys()] == [f"{REGION}.1"]
    assert cluster.wiped == 0
    assert store.current is not None
    assert len(store.current.recovery_keys) == 1


def test_the_root_token_is_recorded_at_once_and_revoked_at_the_end(
    bootstrap: VaultBootstrap, cluster: Cluster, store: Store, roles: dict[str, str]
) -> None:
    bootstrap.run(iam_roles=roles, seconds=5)

    first, last = store.written
    assert first.root_token
    assert last.root_token is None
    assert last.recovery_keys == first.recovery_keys
    with pytest.raises(hvac.exceptions.Forbidden):
        hvac.Client(url=cluster.urls[0], token=first.root_token).auth.token.lookup_self()


def test_a_later_deployment_needs_no_root_token_and_changes_what_has_changed_alone(
    bootstrap: VaultBootstrap, cluster: Cluster, store: Store, roles: dict[str, str]
) -> None:
    bootstrap.run(iam_roles=roles, seconds=5)
    before = state(cluster)

    bootstrap.run(iam_roles=roles, seconds=5)
    assert state(cluster) == before
    assert len(store.written) == 2

    bootstrap.run(iam_roles={Function.AUTH: FUNCTION_ARN}, seconds=5)
    bound = cluster.root().auth.aws.read_role("auth")
    assert bound["bound_iam_principal_arn"] == [FUNCTION_ARN]
    assert bound["token_policies"] == ["auth-function"]


@dataclass(kw_only=True)
class Attempt:
    """A bootstrap that is killed again and again."""

    cluster: Cluster
    table: AuthTable
    aws_endpoint: str
    roles: dict[str, str]
    store: Store = field(default_factory=Store)

    def begin_anew(self) -> None:
        """A region in which nothing was ever done."""
        for key in self.table.published_keys():
            self.table.withdraw(key.kid)
        self.cluster.start()
        self.cluster.wiped = 0
        self.store = Store()

    def run(self, *, dying_after: int | None = None) -> bool:
        """Whether it came to an end."""
        bootstrap = make(self.cluster, self.store, self.table, self.aws_endpoint)
        with pytest.MonkeyPatch.context() as patch:
            if dying_after is not None:
                die_after(dying_after, patch)
            try:
                bootstrap.run(iam_roles=self.roles, seconds=5)
            except ProcessDiedError:
                return False
        return True

    def result(self) -> dict[str, Any]:
        """Everything that must not depend on what happened on the way."""
        record = self.store.current
        assert record is not None
        return state(self.cluster) | {
            "root token on record": record.root_token,
            "recovery keys": (len(record.recovery_keys), self.cluster.is_opened_by(record.recovery_keys)),
            "published": [key.kid for key in self.table.published_keys()],
        }


@pytest.fixture
def attempt(cluster: Cluster, table: AuthTable, aws_endpoint: str, roles: dict[str, str]) -> Attempt:
    return Attempt(cluster=cluster, table=table, aws_endpoint=aws_endpoint, roles=roles)


def test_killed_after_any_write_and_once_more_on_the_way_the_next_run_completes_it(attempt: Attempt) -> None:
    attempt.run()
    undisturbed = attempt.result()
    assert (undisturbed["root tokens"], undisturbed["root token on record"]) == (0, None)
    assert undisturbed["recovery keys"] == (1, True)
    first = 0
    while True:
        attempt.begin_anew()
        if attempt.run(dying_after=first):
            break
        second = random.Random(first).randrange(12)
        attempt.run(dying_after=second)
        attempt.run()
        assert attempt.result() == undisturbed, f"killed after write {first}, and then after {second}"
        assert (attempt.cluster.wiped > 0) is (first == 0), "only what was initialised and not recorded is wiped"
        first += 1
    assert first > 25


@pytest.mark.parametrize("second", range(6))
def test_killed_in_the_midst_of_a_wipe_the_next_run_wipes_again(attempt: Attempt, second: int) -> None:
    attempt.run()
    undisturbed = attempt.result()
    attempt.begin_anew()
    attempt.run(dying_after=0)

    assert not attempt.run(dying_after=second)
    assert attempt.run()

    assert attempt.result() == undisturbed


def test_a_recorded_root_token_that_is_revoked_already_is_forgotten(
    bootstrap: VaultBootstrap, store: Store, roles: dict[str, str]
) -> None:
    bootstrap.run(iam_roles=roles, seconds=5)
    store.current = store.written[0]

    bootstrap.run(iam_roles=roles, seconds=5)

    assert store.current.root_token is None


def test_a_cluster_in_use_is_not_wiped_when_its_record_is_gone(
    bootstrap: VaultBootstrap, cluster: Cluster, store: Store, roles: dict[str, str], table: AuthTable
) -> None:
    bootstrap.run(iam_roles=roles, seconds=5)
    for key in table.published_keys():
        table.withdraw(key.kid)
    store.current = None

    with pytest.raises(BootstrapError, match="it is not wiped"):
        bootstrap.run(iam_roles=roles, seconds=5)
    assert cluster.wiped == 0


def test_a_cluster_whose_keys_were_published_is_not_wiped_even_if_nobody_could_log_in(
    bootstrap: VaultBootstrap, cluster: Cluster, roles: dict[str, str], table: AuthTable
) -> None:
    hvac.Client(url=cluster.urls[0]).adapter.put("/v1/sys/init", json={"recovery_shares": 1, "recovery_threshold": 1})
    table.publish(PublishedKey(kid=f"{REGION}.1", jwk={"kty": "EC"}, published_at=1))

    with pytest.raises(BootstrapError, match="it is not wiped"):
        bootstrap.run(iam_roles=roles, seconds=5)
    assert cluster.wiped == 0


def test_empty_nodes_of_a_cluster_that_was_in_use_are_not_initialised(
    bootstrap: VaultBootstrap, cluster: Cluster, store: Store, roles: dict[str, str]
) -> None:
    bootstrap.run(iam_roles=roles, seconds=5)
    cluster.start()

    with pytest.raises(BootstrapError, match="restore a snapshot"):
        bootstrap.run(iam_roles=roles, seconds=5)
    assert len(store.written) == 2
    assert not hvac.Client(url=cluster.urls[0]).sys.is_initialized()


def test_fewer_nodes_than_there_should_be_are_waited_for(
    bootstrap: VaultBootstrap, cluster: Cluster, roles: dict[str, str]
) -> None:
    del cluster.urls[0]

    with pytest.raises(BootstrapError, match="waited in vain for 3 nodes that answer"):
        bootstrap.run(iam_roles=roles, seconds=0)
    assert not hvac.Client(url=cluster.urls[0]).sys.is_initialized()


def test_a_node_that_does_not_answer_is_named(
    bootstrap: VaultBootstrap, cluster: Cluster, roles: dict[str, str]
) -> None:
    cluster.urls[0] = "http://127.0.0.1:9"

    with pytest.raises(BootstrapError, match=r"3 nodes that answer: .*Connection"):
        bootstrap.run(iam_roles=roles, seconds=0)


def test_a_change_beyond_the_operators_rights_asks_for_a_person(
    bootstrap: VaultBootstrap,
    cluster: Cluster,
    store: Store,
    roles: dict[str, str],
    table: AuthTable,
    aws_endpoint: str,
) -> None:
    bootstrap.run(iam_roles=roles, seconds=5)
    wider = {"operator": 'path "*" { capabilities = ["sudo"] }'}

    with pytest.raises(BootstrapError, match="with a root token"):
        make(cluster, store, table, aws_endpoint, policies=wider).run(iam_roles=roles, seconds=5)


def test_an_audit_device_that_is_gone_is_noticed(
    bootstrap: VaultBootstrap, cluster: Cluster, store: Store, roles: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    revoke = hvac.api.auth_methods.token.Token.revoke_self
    with monkeypatch.context() as patch:
        patch.setattr(hvac.api.auth_methods.token.Token, "revoke_self", lambda _self: None)
        bootstrap.run(iam_roles=roles, seconds=5)
    root = hvac.Client(url=cluster.urls[0], token=store.written[0].root_token)
    root.sys.disable_audit_device("syslog")
    revoke(root.auth.token)

    with pytest.raises(BootstrapError, match="audit devices are gone: syslog"):
        bootstrap.run(iam_roles=roles, seconds=5)


def test_another_iam_role_cannot_log_in_as_the_bootstrap(
    bootstrap: VaultBootstrap,
    roles: dict[str, str],
    iam_role: Callable[[str], IamIdentity],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bootstrap.run(iam_roles=roles, seconds=5)
    for name, value in iam_role("anfl-test-somebody").environment.items():
        monkeypatch.setenv(name, value)
    aws.session.cache_clear()

    with pytest.raises(BootstrapError, match="cannot log in to Vault by IAM role"):
        bootstrap.run(iam_roles=roles, seconds=5)


@pytest.mark.parametrize(
    "overreach",
    [
        lambda c: c.sys.enable_audit_device("file", path="mine", options={"file_path": "/tmp/x"}),
        lambda c: c.sys.disable_audit_device("file"),
        lambda c: c.adapter.get("/v1/sys/storage/raft/snapshot"),
    ],
)
def test_the_bootstrap_itself_can_neither_hush_the_audit_nor_take_the_data(
    bootstrap: VaultBootstrap, cluster: Cluster, roles: dict[str, str], overreach: Callable[[Any], Any]
) -> None:
    bootstrap.run(iam_roles=roles, seconds=5)

    with pytest.raises(hvac.exceptions.Forbidden):
        operator(cluster).attempt(overreach)


def test_a_node_reads_the_clusters_state_and_snapshots_and_nothing_else(
    bootstrap: VaultBootstrap, cluster: Cluster, roles: dict[str, str]
) -> None:
    bootstrap.run(iam_roles=roles | {NODE_ROLE: roles[Caretaker.VAULT_BOOTSTRAP]}, seconds=5)
    node = VaultClient(address=cluster.urls[0], credentials=IamRole(NODE_ROLE))
    with pytest.raises(hvac.exceptions.Forbidden):
        node.attempt(lambda client: client.sys.list_auth_methods())
    with pytest.raises(hvac.exceptions.Forbidden):
        node.attempt(lambda client: client.secrets.transit.read_key("anfl"))


def test_a_vault_that_the_release_before_set_up_is_brought_to_the_new_id(
    bootstrap: VaultBootstrap, cluster: Cluster, roles: dict[str, str]
) -> None:
    bootstrap.run(iam_roles=roles, seconds=600)
    before = former_server_id(REGION)
    cluster.root().auth.aws.configure(
        sts_endpoint=cluster.root().auth.aws.read_config()["sts_endpoint"], iam_server_id_header_value=before
    )
    node = VaultClient(address=cluster.urls[0], credentials=IamRole(Caretaker.VAULT_BOOTSTRAP))
    node.attempt(lambda client: client.auth.token.lookup_self())  # nodes are replaced before the bootstrap runs

    bootstrap.run(iam_roles=roles, seconds=600)

    config = cluster.root().auth.aws.read_config()
    assert config["iam_server_id_header_value"] == server_id(ENVIRONMENT, REGION)
    with pytest.raises(InvalidRequest, match="Server-ID"):
        cluster.root().adapter.post(
            "/v1/auth/aws/login", json={"role": Caretaker.VAULT_BOOTSTRAP, **identity_request.former()}
        )
