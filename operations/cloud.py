"""The account that a command works on: clients with bounded patience, and what errors of AWS are told as."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from operations.errors import OperationError

_CONFIG = Config(
    connect_timeout=5,
    read_timeout=30,
    retries={"mode": "standard", "total_max_attempts": 5},  # exponential, with jitter
)


class Cloud:
    """One account, by the credentials and endpoints of the process's environment."""

    def __init__(self, session: boto3.session.Session | None = None) -> None:
        self._session = session or boto3.session.Session()
        self.client = cache(self._client)
        """(service, region) → its client."""

    def _client(self, service: Any, region: str) -> Any:  # noqa: ANN401 - boto3's overloads
        with told(f"{service} in {region}"):
            return self._session.client(service, region_name=region, config=_CONFIG)

    def table(self, name: str, region: str) -> Any:  # noqa: ANN401 - a mypy_boto3_dynamodb Table
        """A DynamoDB table."""
        return self._session.resource("dynamodb", region_name=region, config=_CONFIG).Table(name)

    @cached_property
    def account(self) -> str:
        """Its number.

        :raises OperationError: there are no credentials that hold.
        """
        with told("Who you are"):
            return str(self.client("sts", "us-east-1").get_caller_identity()["Account"])


@contextmanager
def told(doing: str) -> Iterator[None]:
    """Turn an error of AWS into one that says what could not be done.

    :raises OperationError: in place of it.
    """
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise OperationError(f"{error}. Set AWS_PROFILE, or credentials in the environment.") from error
    except (BotoCoreError, ClientError) as error:
        raise OperationError(f"{doing}: {error}") from error


def code_of(error: ClientError) -> str:
    """What AWS calls the error."""
    return str(error.response.get("Error", {}).get("Code", ""))
