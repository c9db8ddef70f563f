"""A catalogue's table in memory."""

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from local.tables import create_table
from tests.unit.vectors.importing import TABLE


@pytest.fixture(name="session")
def _session(monkeypatch: pytest.MonkeyPatch) -> Iterator[boto3.session.Session]:
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        session = boto3.session.Session(
            aws_access_key_id="testing", aws_secret_access_key="testing", region_name="us-east-1"
        )
        create_table(session.client("dynamodb"), TABLE)
        yield session
