"""The certificate of Vault's nodes: brought when it is new, and then alone."""

from collections.abc import Iterator
from typing import Any

import boto3
import msgspec
import pytest
from botocore.exceptions import ClientError
from botocore.stub import ANY, Stubber
from moto import mock_aws

from lambda_src.vault_certificate.handler import Exported, Settings, bring

ARN = "arn:aws:acm:us-west-1:123456789012:certificate/12345678-1234-1234-1234-123456789012"


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield


@pytest.fixture
def secretsmanager() -> Any:
    client = boto3.client("secretsmanager", region_name="us-west-1")
    client.create_secret(Name="certificate")
    return client


@pytest.fixture
def settings(secretsmanager: Any) -> Settings:
    return Settings(certificate=ARN, secret=secretsmanager.describe_secret(SecretId="certificate")["ARN"])


def issued(*certificates: str) -> Any:
    """ACM, which moto lets export private certificates alone; answers are checked against its model."""
    client = boto3.client("acm", region_name="us-west-1")
    stub = Stubber(client)
    for number, certificate in enumerate(certificates):
        answer = {"Certificate": certificate, "CertificateChain": "chain", "PrivateKey": f"key {number}"}
        stub.add_response("export_certificate", answer, {"CertificateArn": ARN, "Passphrase": ANY})
    stub.activate()
    return client


def versions(secretsmanager: Any) -> int:
    return len(secretsmanager.list_secret_version_ids(SecretId="certificate", IncludeDeprecated=True)["Versions"])


def kept(secretsmanager: Any) -> Exported:
    value = secretsmanager.get_secret_value(SecretId="certificate")["SecretString"]
    return msgspec.json.decode(value, type=Exported)


def test_the_first_one_is_brought_with_what_opens_its_key(secretsmanager: Any, settings: Settings) -> None:
    assert bring(settings, acm=issued("first"), secretsmanager=secretsmanager)
    found = kept(secretsmanager)
    assert (found.certificate, found.chain, found.private_key) == ("first", "chain", "key 0")
    assert len(found.passphrase) == 48


def test_one_that_is_there_is_not_brought_again(secretsmanager: Any, settings: Settings) -> None:
    """ACM encrypts the key anew each time: what counts is whom the certificate names."""
    acm = issued("first", "first", "second")
    assert [bring(settings, acm=acm, secretsmanager=secretsmanager) for _ in range(3)] == [True, False, True]
    assert kept(secretsmanager).certificate == "second"
    assert versions(secretsmanager) == 2


def test_each_is_exported_under_a_passphrase_of_its_own(secretsmanager: Any, settings: Settings) -> None:
    acm, found = issued("first", "second"), set()
    for _ in range(2):
        bring(settings, acm=acm, secretsmanager=secretsmanager)
        found.add(kept(secretsmanager).passphrase)
    assert len(found) == 2


def test_what_acm_refuses_leaves_the_secret_as_it_was(secretsmanager: Any, settings: Settings) -> None:
    bring(settings, acm=issued("first"), secretsmanager=secretsmanager)
    client = boto3.client("acm", region_name="us-west-1")
    stub = Stubber(client)
    stub.add_client_error("export_certificate", "RequestInProgressException", "not issued yet")
    stub.activate()
    with pytest.raises(ClientError, match="not issued yet"):
        bring(settings, acm=client, secretsmanager=secretsmanager)
    assert kept(secretsmanager).certificate == "first"
