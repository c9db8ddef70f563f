"""Called by a schedule, at deployments and by operators: brings the region's Vault up to date with the auth table.

That is the wrapping key of data, and the public keys of tokens.
"""

from functools import cache
from typing import Any

import msgspec

from anfl import aws, environment, start
from anfl.auth.table import AuthTable
from anfl.auth.token_keys import TokenKeys
from anfl.auth.vault import IamRole, VaultClient
from anfl.crypto.agent import Agent, patiently
from anfl.crypto.material import Material
from anfl.crypto.operation import Operation, answer
from anfl.crypto.transit_key import TransitKey
from anfl.crypto.wrapping_versions import State, WrappingVersions
from anfl.invocation import Context, seconds_left
from anfl.resources import Caretaker

start.begin()

_VAULT_SECONDS = 10.0
_KMS_SECONDS = 5


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The function's environment."""

    environment: str = msgspec.field(name="ANFL_ENVIRONMENT")
    auth_table: str = msgspec.field(name="AUTH_TABLE")
    key: str = msgspec.field(name="WRAPPING_KEY_ARN")
    key_type: str = msgspec.field(name="TRANSIT_KEY_TYPE")
    vault: str = msgspec.field(name="VAULT_ADDR")
    issuer: str = msgspec.field(name="TOKEN_ISSUER")
    region: str = msgspec.field(name="AWS_REGION")


@cache
def _settings() -> Settings:
    return environment.load(Settings)


@cache
def _versions() -> WrappingVersions:
    return WrappingVersions(table=_settings().auth_table)


@cache
def _vault() -> VaultClient:
    return VaultClient(address=_settings().vault, credentials=IamRole(Caretaker.KEY_AGENT), read_seconds=_VAULT_SECONDS)


@cache
def _token_keys() -> TokenKeys:
    settings = _settings()
    table = AuthTable(name=settings.auth_table)
    return TokenKeys(_vault(), region=settings.region, table=table, issuer=settings.issuer)


def _agent() -> Agent:
    """A new one for each run: who holds the lease is told apart by it."""
    settings = _settings()
    kms = aws.session().client("kms", config=aws.config(read_timeout=_KMS_SECONDS))
    return Agent(
        region=settings.region,
        versions=_versions(),
        material=Material(kms, key_id=settings.key, environment=settings.environment),
        key=TransitKey(_vault(), key_type=settings.key_type),
    )


def handler(event: dict[str, Any], context: Context) -> dict[str, Any] | None:
    """``{"operation": "run" | "status"}`` in, how things stand out; or a request of CloudFormation."""
    seconds = seconds_left(context)

    def act(operation: Operation) -> State:
        if operation is Operation.ROTATE:
            raise ValueError(f"{operation} is asked of {Caretaker.KEY_LEADER}")
        if operation is Operation.STATUS:
            return _versions().state()
        try:
            _token_keys().distribute()
        finally:  # neither waits for what is wrong with the other
            state = patiently(_agent().run, seconds=seconds)
        return state

    return answer(event, environment=_settings().environment, act=act, physical_id="wrapping-key")
