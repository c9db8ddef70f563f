"""Called by a schedule, at deployments and by operators, in the home region alone."""

from functools import cache
from typing import Any

import msgspec

from anfl import aws, environment, start
from anfl.crypto.leader import Leader
from anfl.crypto.material import Material
from anfl.crypto.operation import Operation, answer
from anfl.crypto.wrapping_versions import State, WrappingVersions

start.begin()


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The function's environment."""

    environment: str = msgspec.field(name="ANFL_ENVIRONMENT")
    auth_table: str = msgspec.field(name="AUTH_TABLE")
    key: str = msgspec.field(name="WRAPPING_KEY_ARN")
    rotation: int = msgspec.field(name="ROTATION_SECONDS")


@cache
def _settings() -> Settings:
    return environment.load(Settings)


@cache
def _versions() -> WrappingVersions:
    return WrappingVersions(table=_settings().auth_table)


@cache
def _leader() -> Leader:
    settings = _settings()
    kms = aws.session().client("kms", config=aws.config())
    return Leader(
        versions=_versions(),
        material=Material(kms, key_id=settings.key, environment=settings.environment),
        rotation_seconds=settings.rotation,
    )


def _act(operation: Operation) -> State:
    if operation is Operation.STATUS:
        return _versions().state()
    return _leader().rotate() if operation is Operation.ROTATE else _leader().run()


def handler(event: dict[str, Any], _context: object) -> dict[str, Any] | None:
    """``{"operation": "run" | "rotate" | "status"}`` in, how things stand out; or a request of CloudFormation."""
    return answer(event, environment=_settings().environment, act=_act, physical_id="wrapping-key")
