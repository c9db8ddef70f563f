"""A development Vault and an auth table, both real servers on loopback, brought up by the real set-up."""

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from anfl import aws
from anfl.auth.table import AuthTable
from anfl.auth.vault import StaticToken, VaultClient
from anfl.auth.vault_setup import VaultSetup
from anfl.resources import Function
from local.tables import create_table
from local.vault.build import build_open
from local.vault.http import serve
from tests.unit.auth.functions import Handler, load
from tests.unit.turns import take_turns

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ENVIRONMENT = "test"
REGION = "us-west-1"
ISSUER = "https://lib.example.test"
AUDIENCE = "anfl-test"
ROOT_TOKEN = "root-of-this-test"
TABLE = "auth-of-this-test"
_ADMIN = boto3.session.Session(aws_access_key_id="testing", aws_secret_access_key="testing", region_name=REGION)


@cache
def _client(service: str, endpoint: str) -> Any:
    """Made once, because that is slow."""
    make: Any = _ADMIN.client
    return make(service, endpoint_url=endpoint)


@pytest.fixture(scope="session")
def aws_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def dynamodb(aws_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> "Iterator[DynamoDBClient]":
    take_turns(monkeypatch)
    client = _client("dynamodb", aws_endpoint)
    create_table(client, TABLE)
    yield client
    client.delete_table(TableName=TABLE)


@pytest.fixture
def table(dynamodb: "DynamoDBClient") -> AuthTable:
    return AuthTable(name=TABLE, client=dynamodb)


@dataclass(kw_only=True)
class RunningVault:
    """A server that a test may stop."""

    address: str
    stop: Callable[[], None]

    def client(self, token: str = ROOT_TOKEN) -> VaultClient:
        """A client with that token."""
        return VaultClient(address=self.address, credentials=StaticToken(token), read_seconds=10.0)


@contextmanager
def running_vault() -> Iterator[RunningVault]:
    """A new, empty server."""
    server = serve(build_open(root_token=ROOT_TOKEN))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    yield RunningVault(address=f"http://127.0.0.1:{server.server_address[1]}", stop=stop)
    if thread.is_alive():
        stop()


@pytest.fixture
def vault() -> Iterator[RunningVault]:
    with running_vault() as vault:
        yield vault


@pytest.fixture
def setup(vault: RunningVault, table: AuthTable, aws_endpoint: str) -> VaultSetup:
    """The set-up of this Vault, not yet run."""
    return VaultSetup(
        vault.client(),
        environment=ENVIRONMENT,
        region=REGION,
        auth_table=table,
        issuer=ISSUER,
        audience=AUDIENCE,
        sts_endpoint=aws_endpoint,
    )


@dataclass(frozen=True, kw_only=True)
class IamIdentity:
    """An IAM role and temporary credentials of it."""

    arn: str
    environment: Mapping[str, str]


@pytest.fixture(scope="session")
def iam_role(aws_endpoint: str) -> Callable[[str], IamIdentity]:
    """Creates a role and assumes it."""

    def create(name: str) -> IamIdentity:
        iam = _client("iam", aws_endpoint)
        sts = _client("sts", aws_endpoint)
        try:
            arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({}))["Role"]["Arn"]
        except iam.exceptions.EntityAlreadyExistsException:
            arn = iam.get_role(RoleName=name)["Role"]["Arn"]
        keys = sts.assume_role(RoleArn=arn, RoleSessionName="session")["Credentials"]
        return IamIdentity(
            arn=arn,
            environment={
                "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
                "AWS_SESSION_TOKEN": keys["SessionToken"],
            },
        )

    return create


@pytest.fixture
def auth_role(
    iam_role: Callable[[str], IamIdentity], aws_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[IamIdentity]:
    """This process runs as the function `auth`: its role's credentials are in the environment."""
    identity = iam_role("anfl-test-auth")
    for name, value in identity.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ANFL_ENVIRONMENT", ENVIRONMENT)
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_endpoint)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    aws.session.cache_clear()
    yield identity
    aws.session.cache_clear()


@pytest.fixture
def ready(setup: VaultSetup, auth_role: IamIdentity) -> VaultSetup:
    """The set-up, after its first run."""
    setup.reconcile(iam_roles={Function.AUTH: auth_role.arn})
    return setup


@pytest.fixture
def settings_environment(vault: RunningVault, auth_role: IamIdentity, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    """What the stacks set for the functions `auth` and `authorizer`."""
    settings: dict[str, Any] = {
        "VAULT_ADDR": vault.address,
        "AUTH_TABLE": TABLE,
        "TOKEN_ISSUER": ISSUER,
        "TOKEN_AUDIENCE": AUDIENCE,
        "TOKEN_TTL_SECONDS": "900",
        "TOKEN_SESSION_SECONDS": "3600",
        "TOKEN_ISSUERS": "[]",
        "TOKEN_THROTTLE_RATE": "1000",
        "TOKEN_THROTTLE_BURST": "1000",
        "REVOCATIONS_PER_TENANT": "100",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def auth(settings_environment: None) -> Handler:  # noqa: ARG001
    """The function `auth`."""
    handler: Handler = load("auth").handler
    return handler


@pytest.fixture
def authorizer(settings_environment: None) -> Handler:  # noqa: ARG001
    """The function `authorizer`."""
    handler: Handler = load("authorizer").handler
    return handler


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The handlers configure logging when imported; put it back for the other tests."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
