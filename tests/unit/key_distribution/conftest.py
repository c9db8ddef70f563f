"""A real table and real Vaults."""

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hvac.exceptions import InvalidRequest
from moto import mock_aws

from local.tables import create_table
from local.vault.transit_transfer import KeyTransfer
from tests.unit.auth.conftest import RunningVault, running_vault
from tests.unit.key_distribution.regions import REGIONS

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE = "auth-of-this-test"


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> "Iterator[DynamoDBClient]":
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.session.Session(region_name=REGIONS[0]).client("dynamodb")
        create_table(client, TABLE)
        yield client


@cache
def _import_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=4096)


def share_the_import_key(patch: pytest.MonkeyPatch) -> None:
    """Every Vault unwraps imports by one key: making it takes seconds, and it is not what is tested."""
    transfer: Any = KeyTransfer
    patch.setattr(transfer, "_wrapping_key", _import_key())


@pytest.fixture(scope="session")
def vaults() -> Iterator[dict[str, RunningVault]]:
    """One in each region, with transit and nothing in it."""
    with pytest.MonkeyPatch.context() as patch, ExitStack() as exits:
        share_the_import_key(patch)
        running = {region: exits.enter_context(running_vault()) for region in REGIONS}
        for vault in running.values():
            vault.client().attempt(lambda client: client.sys.enable_secrets_engine("transit"))
        yield running


def empty(vault: RunningVault) -> None:
    """Take the key away, as only a root token can."""

    def run(client: Any) -> None:
        with suppress(InvalidRequest):  # there is none
            client.secrets.transit.update_key_configuration("anfl", deletion_allowed=True)
            client.secrets.transit.delete_key("anfl")

    vault.client().attempt(run)
