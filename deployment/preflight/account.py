"""Questions to an AWS account: bounded in time, read-only, each failure one of three kinds."""

import threading
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigNotFound,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

CONFIG = Config(
    connect_timeout=4,
    read_timeout=15,
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=16,
    user_agent_extra="anfl-preflight",
)

_PATIENT = frozenset({"iam", "service-quotas"})
"""Services of which much is asked at once, and which answer few questions a second."""

_BAD_CREDENTIALS = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_NOT_ALLOWED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"})
_BUSY = frozenset(
    {"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "ServiceUnavailable"}
)
_NO_CREDENTIALS = (
    ConfigNotFound,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

Connect = Callable[[str, str], Any]
"""(service, region) → a botocore client."""


class CredentialsError(Exception):
    """There are no credentials, or AWS does not accept them."""


class UnansweredError(Exception):
    """The service did not answer, or may not be asked; the message says which and why."""

    def __init__(self, message: str, *, remedy: str = "See that this machine reaches AWS, then run it again.") -> None:
        super().__init__(message)
        self.remedy = remedy


class AnswerError(Exception):
    """The service answered with an error of its own."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Account:
    """The account of the credentials in the environment."""

    def __init__(self, connect: Connect) -> None:
        """:param connect: makes clients; each is made once."""
        self._connect = connect
        self._clients: dict[tuple[str, str], Any] = {}
        self._silent: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()

    def ask(self, service: str, operation: str, *, region: str, **parameters: object) -> dict[str, Any]:
        """The answer to ``operation`` (``describe_vpcs``) of ``service`` in ``region``.

        :raises CredentialsError: nobody may be asked with these credentials.
        :raises UnansweredError: this service did not answer; it is not asked again.
        :raises AnswerError: any other error of the service.
        """
        return dict(self._guarded(service, operation, region, lambda client: getattr(client, operation)(**parameters)))

    def ask_all(self, service: str, operation: str, *, region: str, key: str, **parameters: object) -> list[Any]:
        """The items below ``key`` of every page; raises as `ask` does."""

        def pages(client: Any) -> list[Any]:  # noqa: ANN401 - botocore makes its clients at run time
            found = client.get_paginator(operation).paginate(**parameters)
            return [item for page in found for item in page.get(key, [])]

        return list(self._guarded(service, operation, region, pages))

    def _guarded(self, service: str, operation: str, region: str, ask: Callable[[Any], Any]) -> Any:  # noqa: ANN401
        where = (service, region)
        if where in self._silent:
            raise UnansweredError(self._silent[where])
        try:
            return ask(self._client(service, region))
        except _NO_CREDENTIALS as error:
            raise CredentialsError(str(error)) from error
        except ClientError as error:
            raise _translated(error, f"{service}:{operation}", region) from error
        except (BotoCoreError, ResponseParserError) as error:
            self._silent[where] = f"{service} in {region} does not answer ({type(error).__name__})"
            raise UnansweredError(self._silent[where]) from error

    def _client(self, service: str, region: str) -> Any:  # noqa: ANN401 - botocore makes its clients at run time
        with self._lock:  # a session may not be used by two threads at once
            if (service, region) not in self._clients:
                self._clients[service, region] = self._connect(service, region)
            return self._clients[service, region]


def _translated(error: ClientError, action: str, region: str) -> Exception:
    found = error.response.get("Error", {})
    code, message = found.get("Code", ""), found.get("Message", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _BAD_CREDENTIALS:
        return CredentialsError(f"AWS does not accept the credentials ({code}: {message})")
    if code in _NOT_ALLOWED:
        return UnansweredError(
            f"the credentials may not ask {action} in {region} ({code})",
            remedy=f"Run it with credentials that may: {action}.",
        )
    if code in _BUSY or status >= 500:
        return UnansweredError(f"{action} in {region} did not answer ({code})", remedy="Run it again later.")
    return AnswerError(code, message)


def config_for(service: str) -> Config:
    """Time-outs and retries; who throttles is asked more slowly, and more often."""
    if service in _PATIENT:
        return CONFIG.merge(Config(retries={"mode": "adaptive", "total_max_attempts": 6}))
    return CONFIG


def from_environment() -> Account:
    """The account of the environment's credentials or profile.

    :raises CredentialsError: the profile does not exist.
    """
    try:
        session = boto3.session.Session()
    except _NO_CREDENTIALS as error:
        raise CredentialsError(str(error)) from error

    def connect(service: str, region: str) -> Any:  # noqa: ANN401 - botocore makes its clients at run time
        return session.client(service, region_name=region, config=config_for(service))  # type: ignore[call-overload]

    return Account(connect)
