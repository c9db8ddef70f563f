"""Public keys of tokens: what one region rotates, ends or brings along, every Vault knows by the next turns."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from anfl.auth.issuer import TokenIssuer
from anfl.auth.keys import DenyList, KeySet
from anfl.auth.names import CALLER_ROLE, JWT_KEY
from anfl.auth.principal import Role
from anfl.auth.table import AuthTable
from anfl.auth.token_keys import TokenKeys
from anfl.auth.vault_setup import VaultSetup
from anfl.auth.verifier import TokenVerifier
from anfl.problems import Problem
from anfl.resources import PARTITION_KEY, SORT_KEY, AuthPartition
from tests.unit.auth.conftest import AUDIENCE, ENVIRONMENT, ISSUER, RunningVault, running_vault

WEST, EAST = "us-west-1", "us-east-1"


@dataclass(frozen=True, kw_only=True)
class Region:
    """One that was deployed once."""

    name: str
    vault: RunningVault
    table: AuthTable
    setup: VaultSetup

    def turn(self) -> None:
        """What its schedule does."""
        TokenKeys(self.vault.client(), region=self.name, table=self.table, issuer=ISSUER).distribute()

    def token(self) -> str:
        """A new one, issued here."""
        client = self.setup.ensure_client("reader", tenant="demo", roles=[Role.READER])
        issuer = TokenIssuer(
            self.vault.client(),
            published_keys=self.table.published_keys,
            region=self.name,
            issuer=ISSUER,
            audience=AUDIENCE,
            lifetime=900,
            session=3600,
        )
        return issuer.exchange_approle(role_id=client.role_id, secret_id=client.secret_id).access_token

    def believes(self, token: str) -> bool:
        """Whether its Vault lets the bearer in."""
        try:
            self.vault.client().login_jwt(role=CALLER_ROLE, token=token)
        except Problem as problem:
            if problem.code != "token_refused":
                raise
            return False
        else:
            return True


def deployed(name: str, vault: RunningVault, table: AuthTable, aws_endpoint: str) -> Region:
    setup = VaultSetup(
        vault.client(),
        environment=ENVIRONMENT,
        region=name,
        auth_table=table,
        issuer=ISSUER,
        audience=AUDIENCE,
        sts_endpoint=aws_endpoint,
    )
    setup.reconcile(iam_roles={})
    return Region(name=name, vault=vault, table=table, setup=setup)


@pytest.fixture(name="regions")
def _regions(table: AuthTable, aws_endpoint: str) -> Iterator[tuple[Region, Region]]:
    """The second one came later."""
    with running_vault() as west, running_vault() as east:
        yield deployed(WEST, west, table, aws_endpoint), deployed(EAST, east, table, aws_endpoint)


def test_a_region_that_came_first_believes_one_that_came_later(regions: tuple[Region, Region]) -> None:
    west, east = regions
    token = east.token()
    assert (east.believes(token), west.believes(token), east.believes(west.token())) == (True, False, True)
    west.turn()
    assert west.believes(token)


def test_a_key_that_is_rotated_and_ended_is_known_and_gone_without_a_deployment(
    regions: tuple[Region, Region], table: AuthTable
) -> None:
    west, east = regions
    west.turn()
    old = east.token()
    east.vault.client().attempt(lambda client: client.secrets.transit.rotate_key(JWT_KEY))
    for region in (east, west):
        region.turn()
    assert {key.kid for key in table.published_keys()} == {f"{WEST}.1", f"{EAST}.1", f"{EAST}.2"}
    assert west.believes(old)
    assert east.believes(old)
    east.vault.client().attempt(
        lambda client: client.secrets.transit.update_key_configuration(JWT_KEY, min_decryption_version=2)
    )
    for region in (east, west):
        region.turn()
    assert {key.kid for key in table.published_keys()} == {f"{WEST}.1", f"{EAST}.2"}
    assert not west.believes(old)
    assert not east.believes(old)
    assert east.believes(west.token())


def test_after_the_emergency_end_of_a_key_a_region_issues_nothing_until_its_turn_and_then_at_once(
    regions: tuple[Region, Region],
) -> None:
    """As the runbook says of a key that was seen: what it costs, and that turns by hand shorten it."""
    here, there = regions
    here.turn()
    there.turn()
    old = here.token()
    here.vault.client().attempt(lambda client: client.secrets.transit.rotate_key(JWT_KEY))
    here.vault.client().attempt(
        lambda client: client.secrets.transit.update_key_configuration(JWT_KEY, min_decryption_version=2)
    )

    with pytest.raises(Problem, match="vault_unavailable"):
        here.token()
    assert there.believes(there.token()), "others go on"

    here.turn()
    new = here.token()
    assert (here.believes(new), here.believes(old)) == (True, False)
    assert (there.believes(new), there.believes(old)) == (False, True), "until its own turn"

    there.turn()
    assert (there.believes(new), there.believes(old)) == (True, False)


@pytest.mark.parametrize(
    ("kid", "item"),
    [
        ("eu-west-1.x", {"jwk": {"S": "{}"}, "published_at": {"N": "0"}}),
        ("nowhere", {"jwk": {"S": "{}"}, "published_at": {"N": "0"}}),
        ("eu-west-1.7", {"published_at": {"N": "0"}}),
        ("eu-west-1.7", {"jwk": {"S": "[]"}, "published_at": {"N": "0"}}),
        ("eu-west-1.7", {"jwk": {"S": "{}"}, "published_at": {"N": "0"}}),
        ("eu-west-1.7", {"jwk": {"S": '{"kty": "EC", "alg": "none"}'}, "published_at": {"N": "0"}}),
        ("eu-west-1.7", {"jwk": {"S": '{"kty": "oct", "k": "AAAA", "alg": "HS256"}'}, "published_at": {"N": "0"}}),
        ("eu-west-1.7", {"jwk": {"S": '{"kty": "oct"}'}, "published_at": {"N": "0"}}),
        ("", {}),
    ],
)
def test_what_somebody_publishes_that_is_no_key_keeps_nobody_from_the_others(
    regions: tuple[Region, Region], table: AuthTable, kid: str, item: dict[str, Any]
) -> None:
    """Neither regions that tell their Vaults, nor those who issue, nor those who verify."""
    west, east = regions
    name: dict[str, Any] = {PARTITION_KEY: {"S": AuthPartition.KEYS}, SORT_KEY: {"S": kid or "-"}}
    table._client.put_item(TableName=table._name, Item={**name, **item})
    for region in (east, west):
        region.turn()
    token = east.token()
    assert east.believes(token)
    assert west.believes(token)
    verifier = TokenVerifier(
        KeySet(table.published_keys), issuer=ISSUER, audience=AUDIENCE, deny_list=DenyList(table.revoked)
    )
    assert verifier.verify(token).tenant == "demo"
