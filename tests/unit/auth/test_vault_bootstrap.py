"""From nothing to a cluster that is set up: whatever happened before, and wherever a run was interrupted."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import hvac
import pytest

from anfl import aws
from anfl.auth.names import NODE_ROLE
from anfl.auth.policies import load_policies
from anfl.auth.table import AuthTable, PublishedKey
from anfl.auth.vault import IamRole, VaultClient
from anfl.auth.vault_bootstrap import AUDIT_DEVICES, BootstrapError, Recovery, VaultBootstrap
from anfl.auth.vault_setup import VaultSetup
from anfl.resources import Caretaker, Function
from local.vault.build import build
from local.vault.core import Core
from local.vault.http import serve
from tests.unit.auth.conftest import AUDIENCE, ISSUER, REGION, IamIdentity
from tests.unit.auth.test_vault_setup import ProcessDiedError, interrupt_after

NODE_ARN = "arn:aws:iam::123456789012:role/node"
FUNCTION_ARN = "arn:aws:iam::123456789012:role/auth"


@dataclass
class Cluster:
    """Nodes that have joined one another answer alike, so they share one server's state."""

    exits: ExitStack
    size: int = 3
    wiped: int = 0
    urls: list[str] = field(default_factory=list)

    def addresses(self) -> Sequence[str]:
        return self.urls

    def wipe(self) -> None:
        self.wiped += 1
        self.start()

    def start(self) -> None:
        """New, empty nodes."""
        core = build(auto_unseal=True)
        self.urls = [self.exits.enter_context(listening(core)) for _ in range(self.size)]


@contextmanager
def listening(core: Core) -> Iterator[str]:
    server = serve(core)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with ExitStack() as exits:
        found = Cluster(exits=exits)
        found.start()
        yield found


@dataclass
class Store:
    """A record that remembers what was ever in it."""

    current: Recovery | None = None
    written: list[Recovery] = field(default_factory=list)

    def read(self) -> Recovery | None:
        return self.current

    def write(self, recovery: Recovery) -> None:
        self.current = recovery
        self.written.append(recovery)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def bootstrap(cluster: Cluster, store: Store, table: AuthTable, aws_endpoint: str) -> VaultBootstrap:
    return make(cluster, store, table, aws_endpoint)


def make(cluster: Cluster, store: Store, table: AuthTable, aws_endpoint: str, **changes: Any) -> VaultBootstrap:
    settings: dict[str, Any] = {"policies": load_policies()} | changes

    def setup(vault: VaultClient) -> VaultSetup:
        return VaultSetup(
            vault,
            region=REGION,
            auth_table=table,
            issuer=ISSUER,
            audience=AUDIENCE,
            sts_endpoint=aws_endpoint,
            **settings,
        )

    return VaultBootstrap(
        nodes=cluster,
        size=3,
        store=store,
        setup=setup,
        in_use=lambda: any(key.region == REGION for key in table.published_keys()),
        pause=lambda _seconds: None,
    )


@pytest.fixture
def roles(auth_role: IamIdentity) -> dict[str, str]:
    """This process runs under the bootstrap's own IAM role."""
    return {Caretaker.VAULT_BOOTSTRAP: auth_role.arn, NODE_ROLE: NODE_ARN}


def operator(cluster: Cluster) -> VaultClient:
    """What the bootstrap is at later deployments."""
    return VaultClient(address=cluster.urls[0], credentials=IamRole(Caretaker.VAULT_BOOTSTRAP))


def state(cluster: Cluster) -> dict[str, Any]:
    def look(client: hvac.Client) -> dict[str, Any]:
        return {
            "methods": sorted(client.sys.list_auth_methods()["data"]),
            "engines": sorted(client.sys.list_mounted_secrets_engines()["data"]),
            "audit": {
                name: found["options"] for name, found in client.sys.list_enabled_audit_devices()["data"].items()
            },
            "autopilot": client.adapter.get("/v1/sys/storage/raft/autopilot/configuration")["data"],
            "node": client.auth.aws.read_role(NODE_ROLE),
            "own": client.auth.aws.read_role(Caretaker.VAULT_BOOTSTRAP),
            "policies": {n: client.sys.read_acl_policy(n)["data"]["policy"] for n in ("operator", NODE_ROLE)},
            "keys": {name: client.secrets.transit.read_key(name)["data"]["type"] for name in ("jwt", "anfl")},
        }

    return operator(cluster).attempt(look)


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
    assert found["keys"] == {"jwt": "ecdsa-p256", "anfl": "aes256-gcm96"}
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
    bound = operator(cluster).attempt(lambda client: client.adapter.get("/v1/auth/aws/role/auth")["data"])
    assert bound["bound_iam_principal_arn"] == [FUNCTION_ARN]
    assert bound["token_policies"] == ["auth-function"]


def test_interrupted_after_any_request_the_next_run_completes_it(
    cluster: Cluster,
    table: AuthTable,
    aws_endpoint: str,
    roles: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make(cluster, Store(), table, aws_endpoint).run(iam_roles=roles, seconds=5)
    undisturbed = state(cluster)
    wipes = []
    point = 0
    while True:
        for key in table.published_keys():
            table.withdraw(key.kid)
        cluster.start()
        cluster.wiped = 0
        store = Store()
        bootstrap = make(cluster, store, table, aws_endpoint)
        with monkeypatch.context() as patch:
            interrupt_after(point, patch)
            try:
                bootstrap.run(iam_roles=roles, seconds=5)
            except ProcessDiedError:
                pass
            else:
                break

        bootstrap.run(iam_roles=roles, seconds=5)

        wipes.append(cluster.wiped)
        assert state(cluster) == undisturbed, f"interrupted after request {point}"
        assert store.current is not None
        assert store.current.root_token is None, f"interrupted after request {point}"
        point += 1
    assert point > 30
    assert sum(wipes) == 1, "only what was initialised and not recorded is wiped"


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
