"""An AWS in memory, with the credentials of nobody."""

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from operations.cloud import Cloud


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        yield Cloud(boto3.session.Session(aws_access_key_id="testing", aws_secret_access_key="testing"))
