"""Material opens as what it was drawn for: in any region, under its own number and in its own environment alone."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import msgspec
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from anfl.crypto.material import KEY_BYTES, PURPOSE, PURPOSE_VALUE, Material
from anfl.crypto.wrapping_versions import WrappingVersion
from tests.unit.key_distribution.regions import HOME

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient


@pytest.fixture(name="kms")
def _kms(monkeypatch: pytest.MonkeyPatch) -> Iterator["KMSClient"]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield boto3.session.Session(region_name=HOME).client("kms")


@pytest.fixture(name="key")
def _key(kms: "KMSClient") -> str:
    return kms.create_key()["KeyMetadata"]["KeyId"]


@pytest.fixture(name="version")
def _version(kms: "KMSClient", key: str) -> WrappingVersion:
    """The second one, of prod."""
    drawn = Material(kms, key_id=key, environment="prod").draw(2)
    return WrappingVersion(number=2, material=drawn, drawn_at=1)


def test_what_was_drawn_opens_and_is_overwritten_afterwards(
    kms: "KMSClient", key: str, version: WrappingVersion
) -> None:
    with Material(kms, key_id=key, environment="prod").opened(version) as secret:
        assert len(secret) == KEY_BYTES
        assert any(secret)
    assert not any(secret)


def test_a_version_that_is_put_under_another_number_does_not_open(
    kms: "KMSClient", key: str, version: WrappingVersion
) -> None:
    moved = msgspec.structs.replace(version, number=3)
    with pytest.raises(ClientError), Material(kms, key_id=key, environment="prod").opened(moved):
        pass


def test_a_version_that_is_put_into_another_environments_table_does_not_open(
    kms: "KMSClient", key: str, version: WrappingVersion
) -> None:
    with pytest.raises(ClientError), Material(kms, key_id=key, environment="dev").opened(version):
        pass


def test_what_the_key_has_wrapped_for_something_else_does_not_open(
    kms: "KMSClient", key: str, version: WrappingVersion
) -> None:
    bound = {PURPOSE: "another", "anfl-environment": "prod", "anfl-version": "2"}
    assert bound[PURPOSE] != PURPOSE_VALUE
    other = kms.generate_data_key_without_plaintext(KeyId=key, NumberOfBytes=KEY_BYTES, EncryptionContext=bound)
    foreign = msgspec.structs.replace(version, material=other["CiphertextBlob"])
    with pytest.raises(ClientError), Material(kms, key_id=key, environment="prod").opened(foreign):
        pass
