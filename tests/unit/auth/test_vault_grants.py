"""Whether Vault's policies grant what the system needs, and nothing else: a whole life of it, each role by itself."""

import os
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

import hvac
import pytest

from anfl import aws
from anfl.auth.issuer import TokenIssuer
from anfl.auth.names import CALLER_ROLE, JWT_KEY, NODE_ROLE
from anfl.auth.policies import POLICIES_OF, load_policies
from anfl.auth.principal import Role
from anfl.auth.table import AuthTable
from anfl.auth.token_keys import TokenKeys
from anfl.auth.vault import IamRole, VaultClient
from anfl.auth.vault_setup import VaultSetup
from anfl.crypto.transit_key import TransitKey
from anfl.crypto.vault_transit import VaultTransit
from anfl.registry.keys import data_key_place
from anfl.resources import Caretaker, Function, Service
from tests.unit.auth.cluster import Cluster, Store, make
from tests.unit.auth.conftest import AUDIENCE, ENVIRONMENT, ISSUER, REGION, IamIdentity
from tests.unit.auth.grants import UNUSED, Ledger, granted, without
from tests.unit.key_distribution.conftest import share_the_import_key

TAKEN = 10
SEED = int(os.environ.get("SEED") or random.randrange(2**32))
DATA_USERS = (Service.VECTOR_STORE, Function.VECTOR_PROCESSING)
SECRET_USERS = (Service.MODEL_REGISTRY, Function.WEBHOOK_SIGNER)
SECRETS = data_key_place("demo", REGION)


@dataclass(kw_only=True)
class Life:
    """From an empty cluster to the rotation of its keys."""

    table: AuthTable
    aws_endpoint: str
    identities: Mapping[str, IamIdentity]
    patch: pytest.MonkeyPatch
    policies: Mapping[str, str] = field(default_factory=load_policies)

    def run(self) -> Ledger:
        """What it used; it ends at the first refusal."""
        ledger = Ledger()
        for key in self.table.published_keys():
            self.table.withdraw(key.kid)
        with self.patch.context() as patch, ExitStack() as exits:
            ledger.watch(patch)
            share_the_import_key(patch)
            cluster = Cluster(exits=exits)
            cluster.start()
            try:
                self._deploy_and_again(cluster)
                self._bring_keys(cluster)
                self._serve(cluster)
                self._rotate(cluster)
            except Exception as error:
                ledger.ended_by = error
        return ledger

    def _deploy_and_again(self, cluster: Cluster) -> None:
        """The first deployment; one that finds things lost and changed; one that finds everything as it should be."""
        self._become(Caretaker.VAULT_BOOTSTRAP)
        store = Store()
        arns = {name: identity.arn for name, identity in self.identities.items()}
        bootstrap = make(cluster, store, self.table, self.aws_endpoint, policies=self.policies)
        bootstrap.run(iam_roles=arns, seconds=5)
        lose(cluster.root())
        for _ in range(2):
            bootstrap.run(iam_roles=arns, seconds=5)

    def _bring_keys(self, cluster: Cluster) -> None:
        """The wrapping key and its second version come from outside."""
        self._become(Caretaker.KEY_AGENT)
        vault = VaultClient(address=cluster.urls[0], credentials=IamRole(Caretaker.KEY_AGENT))
        key = TransitKey(vault, key_type="aes256-gcm96")
        for number in (1, 2):
            secret = bytearray(os.urandom(32))
            key.add(secret, first=number == 1)
            assert key.held().latest == number
            assert key.opens(number, secret)
        TokenKeys(vault, region=REGION, table=self.table, issuer=ISSUER).distribute()

    def _serve(self, cluster: Cluster) -> None:
        """A client gets a token, presents it, and its data are sealed; nodes log in."""
        self._become(Caretaker.VAULT_BOOTSTRAP)
        setup = self._setup(cluster)
        setup.ensure_client("reader", tenant="demo", roles=[Role.READER])
        credentials = setup.ensure_client("reader", tenant="demo", roles=[Role.READER])
        setup.ensure_client("gone", tenant="demo", roles=[Role.READER])
        setup.remove_client("gone", tenant="demo")
        self._become(Function.AUTH)
        issuer = TokenIssuer(
            VaultClient(address=cluster.urls[0], credentials=IamRole(Function.AUTH)),
            published_keys=self.table.published_keys,
            region=REGION,
            issuer=ISSUER,
            audience=AUDIENCE,
            lifetime=900,
            session=3600,
        )
        issued = issuer.exchange_approle(role_id=credentials.role_id, secret_id=credentials.secret_id)
        login = VaultClient(address=cluster.urls[0]).login_jwt(role=CALLER_ROLE, token=issued.access_token)
        assert login.metadata["tenant"] == "demo"
        for name in DATA_USERS:
            self._become(name)
            seal_and_open(VaultClient(address=cluster.urls[0], credentials=IamRole(name)), "demo/glosses")
        for name in SECRET_USERS:
            self._become(name)
            vault = VaultClient(address=cluster.urls[0], credentials=IamRole(name))
            seal_and_open(vault, SECRETS, moves=name == Function.WEBHOOK_SIGNER)
        self._become(NODE_ROLE)
        VaultClient(address=cluster.urls[0]).login_iam(NODE_ROLE, ENVIRONMENT)

    def _rotate(self, cluster: Cluster) -> None:
        """A new version of the key that signs tokens, and the end of the old one."""
        self._become(Caretaker.VAULT_BOOTSTRAP)
        setup, operator = self._setup(cluster), self._operator(cluster)
        operator.attempt(lambda client: client.secrets.transit.rotate_key(JWT_KEY))
        setup.keys.distribute()
        operator.attempt(lambda c: c.secrets.transit.update_key_configuration(JWT_KEY, min_decryption_version=2))
        setup.keys.publish()
        assert [key.version for key in self.table.published_keys()] == [2]

    def _become(self, name: str) -> None:
        for variable, value in self.identities[name].environment.items():
            self.patch.setenv(variable, value)
        aws.session.cache_clear()

    def _operator(self, cluster: Cluster) -> VaultClient:
        return VaultClient(address=cluster.urls[0], credentials=IamRole(Caretaker.VAULT_BOOTSTRAP))

    def _setup(self, cluster: Cluster) -> VaultSetup:
        return VaultSetup(
            self._operator(cluster),
            environment=ENVIRONMENT,
            region=REGION,
            auth_table=self.table,
            issuer=ISSUER,
            audience=AUDIENCE,
            sts_endpoint=self.aws_endpoint,
            policies=self.policies,
        )


def lose(root: hvac.Client) -> None:
    """What a deployment may find missing or other than it should be."""
    root.sys.disable_secrets_engine("transit")
    for method in ("approle", "jwt"):
        root.sys.disable_auth_method(method)
    for name in load_policies():
        if name != "operator":
            root.sys.create_or_update_acl_policy(name, 'path "nothing" { capabilities = ["read"] }')
    for name in POLICIES_OF:
        if name != Caretaker.VAULT_BOOTSTRAP:
            root.auth.aws.delete_role(name)
    root.adapter.post("/v1/sys/storage/raft/autopilot/configuration", json={"min_quorum": 0})


class First:
    """Says that the first version is active."""

    def active(self) -> int:
        """See `anfl.crypto.transit.Versions`."""
        return 1


def seal_and_open(vault: VaultClient, context: str, *, moves: bool = True) -> None:
    """What sealing data asks of Vault: a data key, wrapped; it is opened, and moved to another version."""
    transit = VaultTransit(vault, First())
    made = transit.generate(context)
    moved = transit.rewrap(made.wrapped, context, version=1) if moves else made.wrapped
    assert transit.unwrap(moved, context) == made.plaintext


@pytest.fixture(name="life")
def _life(
    table: AuthTable,
    aws_endpoint: str,
    iam_role: Callable[[str], IamIdentity],
    auth_role: IamIdentity,  # noqa: ARG001 - region and endpoint
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Life]:
    identities = {name: iam_role(f"anfl-test-life-{name}") for name in POLICIES_OF}
    yield Life(table=table, aws_endpoint=aws_endpoint, identities=identities, patch=monkeypatch)
    aws.session.cache_clear()


def test_whoever_logs_in_is_let_do_everything_it_does_and_could_do_nothing_else(life: Life) -> None:
    ledger = life.run()

    assert ledger.refused() == []
    assert ledger.ended_by is None
    idle = granted(load_policies()) - ledger.used()
    assert idle - UNUSED.keys() == set(), "granted, and no step of the run uses it: take it away, or list it in UNUSED"
    assert UNUSED.keys() - idle == set(), "listed as unused, and used or not granted"


def test_a_grant_that_is_taken_away_is_missed(life: Life) -> None:
    grants = sorted(granted(load_policies()) - UNUSED.keys())
    for grant in random.Random(SEED).sample(grants, TAKEN):
        life.policies = without(load_policies(), grant)
        ledger = life.run()
        assert ledger.ended_by is not None, f"{grant}, SEED={SEED}"
        assert ledger.misses(grant), f"{grant}, SEED={SEED}"
